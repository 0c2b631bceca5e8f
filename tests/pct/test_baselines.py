"""The baseline that knows nothing but the head's outline."""

from dataclasses import replace

import numpy as np
import pytest

from data_prep.schema import PackedMasks
from data_prep.shards import list_cases, read_slices, read_volumes
from pct import baselines
from pct.baselines import NoHead, fill_head, mean_head_hu
from pct.cli import baseline
from pct.scoring.pseudo_cts import find_pseudo_cts
from pct.scoring.score_files import score_files


@pytest.fixture(scope="module")
def case(phantom_data):
    return read_volumes(phantom_data, list_cases(phantom_data, "val")[0])


def test_the_mean_is_that_of_head_pixels_of_training_slices(phantom_data, monkeypatch):
    slices = read_slices(phantom_data, "train")
    expected = np.mean(slices.ct_hu[slices.head[:]], dtype=np.float64)
    assert -100 < expected < 600
    monkeypatch.setattr(baselines, "PART", 5)
    assert mean_head_hu(slices) == pytest.approx(expected, abs=1e-9)


def test_slices_without_a_head_are_refused(phantom_data):
    slices = read_slices(phantom_data, "train")
    nobody = PackedMasks(np.zeros_like(slices.head.bits), slices.head.size)
    with pytest.raises(NoHead, match=r"12 training slices without a pixel of head.*pct prep"):
        mean_head_hu(replace(slices, head=nobody))


def test_two_values_are_painted_and_the_outline_is_that_of_the_mr(case):
    pct = fill_head(case, 123.4)
    assert pct.array.dtype == np.int16
    assert set(np.unique(pct.array)) == {-1000, 123}
    inside, head = pct.array == 123, case.head.array
    assert 2 * (inside & head).sum() / (inside.sum() + head.sum()) > 0.95
    np.testing.assert_allclose(pct.affine, case.ct.affine)


def test_nothing_of_the_ct_gets_in_but_its_grid(case):
    blank = replace(case, ct=case.ct.with_array(np.zeros_like(case.ct.array)))
    blank = replace(blank, head=case.head.with_array(~case.head.array))
    np.testing.assert_array_equal(fill_head(blank, 50).array, fill_head(case, 50).array)


def test_the_verb_writes_what_pct_score_takes(phantom_data, tmp_path, capsys):
    baseline("mean_hu", data=phantom_data, to=tmp_path / "mean_hu")
    cases = list_cases(phantom_data, "val")
    hu = round(mean_head_hu(read_slices(phantom_data, "train")))
    told = capsys.readouterr().out
    assert f"{hu} HU in the head, 1 val cases" in told
    assert "pct score --pred" in told
    found = find_pseudo_cts(tmp_path / "mean_hu", cases, known=cases)
    given = score_files(found, phantom_data, "val", name="mean_hu")
    values = {score.metric: score.value for score in given.scores}
    assert given.is_whole
    assert given.notes("mean_hu") == []
    case = read_volumes(phantom_data, cases[0])
    inside = case.ct.array[case.head.array].astype(np.float64)
    assert values["mae_head"] == pytest.approx(np.abs(inside - hu).mean(), rel=0.1)
    assert values["fog_hu"] == -1000
