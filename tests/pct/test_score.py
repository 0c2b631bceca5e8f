"""Rows of scores of a model."""

import numpy as np
import pandas as pd
import pytest

from data_prep.intensity import mr_to_unit
from data_prep.schema import SliceGrid
from data_prep.shards import list_cases, read_manifest, read_volumes
from data_prep.volume import resample
from pct.metrics.case import METRIC_VERSION, METRICS
from pct.metrics.leak import LEAK_LIMIT
from pct.scoring.score import entrant_of, score_case, score_cases, table
from tests.pct.identity import air, identity, model_that

GRID = SliceGrid("resize", 64, 4.0, 12.0)


@pytest.fixture(scope="module")
def rows(phantom_data) -> pd.DataFrame:
    return table(score_cases(model_that(air, grid=GRID), phantom_data, "test"))


def test_every_case_has_a_row_for_every_volume_metric(rows, phantom_data):
    cases = list_cases(phantom_data, "test")
    assert sorted(rows["case"].unique()) == cases
    assert len(rows) == len(cases) * rows["metric"].nunique()
    assert {"ssim", "ssim_masked", "dice_hu250", "mae_head", "edge_bone"} <= set(rows["metric"])
    assert all(METRICS[m].unit == u for m, u in zip(rows["metric"], rows["unit"], strict=True))


def test_every_row_carries_what_decides_whether_it_may_be_compared(rows, phantom_data):
    manifest = read_manifest(phantom_data)
    for column, value in {
        "trial": "exp1@6",
        "split": "test",
        "split_sha": manifest.split_sha,
        "mask_backend": manifest.mask_backends[0],
        "geometry": "train",
        "background": "predicted",
        "metric_version": METRIC_VERSION,
    }.items():
        assert rows[column].unique().tolist() == [value]


def test_rows_say_in_which_geometry_and_with_which_background_they_were_predicted(phantom_data):
    model = model_that(air, grid=GRID, geometry="native_tiles", background="air")
    (geometry, background), = {
        (score.geometry, score.background) for score in score_cases(model, phantom_data, "val")
    }  # fmt: skip
    assert (geometry, background) == ("native_tiles", "air")


def test_a_pseudo_ct_of_air_is_wrong_by_the_ct_itself(rows, phantom_data):
    case = read_volumes(phantom_data, rows["case"][0])
    values = rows.set_index("metric")["value"]
    inside = case.ct.array[case.head.array].astype(float)
    assert values["mae_head"] == pytest.approx(np.abs(inside + 1000).mean(), rel=1e-6)
    assert values["dice_hu250"] == 0.0


def test_cases_are_scored_on_the_grid_of_their_ct_with_slices_first(phantom_data, monkeypatch):
    case = read_volumes(phantom_data, list_cases(phantom_data, "val")[0])
    seen = {}

    def remember(pct, ct, head, skull, spacing_mm, *, mr_unit):
        seen.update(ct=ct, head=head, skull=skull, spacing_mm=spacing_mm, mr_unit=mr_unit)
        return {}

    monkeypatch.setattr("pct.scoring.score.score_volume", remember)
    score_case(model_that(identity, grid=GRID), case)
    np.testing.assert_array_equal(seen["ct"], case.ct.array.transpose(2, 1, 0))
    np.testing.assert_array_equal(seen["skull"], case.skull.array.transpose(2, 1, 0))
    assert seen["head"].shape == seen["ct"].shape
    assert seen["spacing_mm"] == pytest.approx(case.ct.spacing_mm[::-1])
    raw = resample(case.mr, case.ct.grid, fill=float(case.mr.array.min())).array
    unit = mr_to_unit(raw, *case.mr_head_window).transpose(2, 1, 0)
    np.testing.assert_allclose(seen["mr_unit"], unit, atol=1e-5)


def test_a_copy_of_the_mr_is_a_leak(phantom_data):
    case = read_volumes(phantom_data, list_cases(phantom_data, "val")[0])
    copied = score_case(model_that(identity, grid=GRID), case)
    # 2000 HU by unit of [-1, 1], less what the generator's 4 mm pixels blur away.
    assert 300 < copied["mr_leak_slope"] < 2000
    assert copied["mr_leak_corr"] > 0.5
    assert copied["mr_leak"] > LEAK_LIMIT


def test_a_trials_name_may_be_given_and_each_case_is_told(phantom_data):
    told = []
    scores = score_cases(
        model_that(air, grid=GRID),
        phantom_data,
        "val",
        trial="exp2",
        on_case=lambda done, case: told.append((done, case)),
    )
    assert {score.trial for score in scores} == {"exp2"}
    assert told == list(enumerate(list_cases(phantom_data, "val"), 1))


def test_an_entrants_digest_is_of_the_weights_and_not_of_the_card():
    one, other = model_that(air, grid=GRID), model_that(air, grid=GRID)
    first = entrant_of(one)
    assert first.name == "exp1@6"
    one.card["trial"] = "exp2"
    assert entrant_of(one).digest == first.digest
    assert entrant_of(one).name == "exp2@6"
    assert entrant_of(other).digest != first.digest, "other random weights"
