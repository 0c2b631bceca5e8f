import numpy as np
import pytest

from data_prep.histograms import BIN_HU, FIRST_HU, NUM_BINS, TISSUES, count_hu, tissue_facts


def test_tissues_part_where_decisions_say_and_each_median_is_exact():
    values = [-1024, -401, -400, 0, 250, 251, 3071, 3072, 9000]
    ct = np.array([[[*values, -1000, -1000]]], np.int16)
    head = np.array([[[True] * 9 + [False] * 2]])
    found = count_hu(ct, head)
    air, soft, bone, outside = np.reshape(found["hu_histogram"], (4, NUM_BINS))
    assert [one.sum() for one in (air, soft, bone, outside)] == [2, 3, 4, 2]
    assert air[0] == 1
    assert soft[(0 - FIRST_HU) // BIN_HU] == 1
    assert bone[-1] == 3, "what lies beyond the last bin counts in it"
    assert found["hu_median"] == [-1024.0, 0.0, 3071.0, -1000.0]


def test_counts_are_those_of_numpy_on_any_image():
    rng = np.random.default_rng(0)
    ct = rng.integers(-1024, 3072, (7, 8, 9)).astype(np.int16)
    head = rng.random(ct.shape) < 0.4
    found = np.reshape(count_hu(ct, head)["hu_histogram"], (4, NUM_BINS))
    edges = FIRST_HU + BIN_HU * np.arange(NUM_BINS + 1)
    inside = ct[head]
    soft = (inside >= -400) & (inside <= 250)
    assert (found[1] == np.histogram(inside[soft], edges)[0]).all()
    assert (found[3] == np.histogram(ct[~head], edges)[0]).all()
    assert found.sum() == ct.size
    lower_median = np.quantile(inside[soft], 0.5, method="lower")
    assert count_hu(ct, head)["hu_median"][1] == lower_median


def test_a_head_without_bone_has_no_median_of_it():
    found = count_hu(np.full((2, 2, 2), 40, np.int16), np.ones((2, 2, 2), bool))
    assert found["hu_median"] == [None, 40.0, None, None]
    facts = tissue_facts([found])
    assert facts["bone"] == {"share": 0.0, "median_hu": None, "histogram": [0] * NUM_BINS}
    assert facts["soft"]["share"] == 1.0


def test_cases_are_pooled_by_voxels_and_their_medians_ranged():
    ones = np.ones((1, 1, 3), bool)
    rows = [count_hu(np.array([[hu]], np.int16), ones) for hu in ([30, 30, 900], [40, 40, 40])]
    facts = tissue_facts([*rows, count_hu(np.full((1, 1, 3), 60, np.int16), ones)])
    assert facts["soft"]["share"] == pytest.approx(8 / 9)
    assert facts["soft"]["median_hu"] == [30.0, 40.0, 60.0]
    assert set(facts) == set(TISSUES)
