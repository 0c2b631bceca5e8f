"""The skull's scores exist where one segmenter drew both skulls, and nowhere else."""

import logging
import math

import numpy as np
import pytest

from data_prep import totalseg
from data_prep.totalseg import SegmentationFailed
from data_prep.volume import Volume
from pct.metrics.skull import _setup_named, skull_scores

DRAWN_BY = "totalsegmentator-2.18.0-total-fast+threshold-2"


@pytest.fixture(autouse=True)
def nobody_warned_yet():
    _setup_named.cache_clear()
    yield
    _setup_named.cache_clear()


@pytest.fixture
def segmenter(monkeypatch):
    """A TotalSegmentator 2.18.0 that takes for skull what lies above 700 HU."""
    asked = []

    def segment(ct, setup):
        asked.append(setup)
        return None, ct.with_array(ct.array > 700)

    monkeypatch.setattr(totalseg, "refuse_missing", lambda setup: None)
    monkeypatch.setattr(totalseg.metadata, "version", lambda name: "2.18.0")
    monkeypatch.setattr(totalseg, "segment", segment)
    return asked


def plate(at: int) -> np.ndarray:
    hu = np.full((40, 6, 5), 40, np.int16)
    hu[at : at + 4] = 1000
    return hu


def case(at: int) -> tuple[Volume, Volume, Volume]:
    """A pCT with its plate of bone at `at`, the head, and the CT's skull at 10; 0.5, 1, 3 mm."""
    affine = np.diag([0.5, 1.0, 3.0, 1.0])
    pct = Volume(plate(at), affine)
    return pct, pct.with_array(np.ones(pct.array.shape, bool)), pct.with_array(plate(10) > 700)


def test_the_pcts_skull_is_drawn_by_what_drew_the_cts(segmenter):
    scores = skull_scores(*case(12), backend=DRAWN_BY)
    assert [(one.segmenter, one.fast) for one in segmenter] == [("total", True)]
    assert scores == {"dice_skull": 0.5, "hd95_skull": 1.0}  # two of four voxels, 2 x 0.5 mm
    assert skull_scores(*case(10), backend=DRAWN_BY) == {"dice_skull": 1.0, "hd95_skull": 0.0}


def test_bone_outside_the_head_is_no_skull(segmenter):
    pct, head, skull = case(10)
    head.array[30:] = False
    pct.array[32:] = 1000
    assert skull_scores(pct, head, skull, backend=DRAWN_BY)["dice_skull"] == 1.0


def test_a_threshold_is_never_passed_off_as_a_segmentation(segmenter):
    assert skull_scores(*case(10), backend="threshold-2") == {}
    assert skull_scores(*case(10), backend="file-1+threshold-2") == {}
    assert segmenter == []


def test_another_version_is_not_compared_and_says_so(segmenter, caplog):
    other = "totalsegmentator-2.4.0-craniofacial"
    with caplog.at_level(logging.WARNING):
        assert skull_scores(*case(10), backend=other) == {}
    assert f"skull is by {other}, here is totalsegmentator-2.18.0-craniofacial" in caplog.text


def test_where_the_segmenter_is_not_here_there_is_no_score_and_a_warning(
    caplog, monkeypatch, tmp_path
):
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert skull_scores(*case(10), backend=DRAWN_BY) == {}
        assert skull_scores(*case(11), backend=DRAWN_BY) == {}
    (warning,) = caplog.messages  # one, however many cases
    assert warning.startswith(f"no dice_skull, the CT's skull is by {DRAWN_BY.partition('+')[0]}: ")
    assert "TotalSegmentator" in warning.partition(": ")[2]


def test_a_pct_that_it_cannot_read_is_undefined_and_counted(segmenter, monkeypatch, caplog):
    def stop(ct, setup):
        raise SegmentationFailed("TotalSegmentator stopped (RuntimeError: no skull in sight).")

    monkeypatch.setattr(totalseg, "segment", stop)
    with caplog.at_level(logging.WARNING):
        scores = skull_scores(*case(10), backend=DRAWN_BY)
    assert set(scores) == {"dice_skull", "hd95_skull"}
    assert all(map(math.isnan, scores.values()))
    assert "no skull in sight" in caplog.text
