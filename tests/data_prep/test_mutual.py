"""Mutual information and its gradient, against closed forms and differences."""

import numpy as np
import pytest

from data_prep.mutual import Places, climb, moving, score, thinned
from data_prep.volume import Volume

GRID = np.diag([2.0, 2.0, 2.0, 1.0])


def waves(shape=(24, 24, 24)):
    """A smooth image without symmetry, some 15 mm from crest to crest."""
    i, j, k = np.indices(shape)
    return np.sin(0.4 * i + 0.1 * j) + np.cos(0.35 * j) * np.sin(0.3 * k) + 0.05 * i


def places(levels):
    """The middle voxels of a grid of 24 and their grey levels, 0 to 19."""
    index = np.argwhere(np.ones((12, 12, 12))) + 6
    mm = 2.0 * index.T.astype(float)
    return Places(mm.mean(axis=1), mm - mm.mean(axis=1)[:, None], levels[tuple(index.T)])


def levels_of(image):
    share = (image - image.min()) / np.ptp(image)
    return np.clip(share * 20, 0, 19).astype(int)


def test_information_is_nothing_of_strangers_and_all_of_whole_grey_levels():
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 2, (24, 24, 24))
    image = moving(Volume(steps.astype(np.float32), GRID), blur_mm=0.0)
    at_rest = np.zeros(6)
    assert score(image, places(7 + 5 * steps), at_rest) == pytest.approx(1.0, abs=1e-6)
    assert score(image, places(12 - 5 * steps), at_rest) == pytest.approx(1.0, abs=1e-6)
    assert score(image, places(rng.integers(0, 2, steps.shape)), at_rest) < 1e-3
    assert score(image, places(0 * steps), at_rest) == pytest.approx(0.0, abs=1e-6)


def test_a_climb_finds_the_move_that_was_made():
    image = waves()
    mr = moving(Volume(image.astype(np.float32), GRID + np.eye(4, k=3) * 3.0), blur_mm=0.5)
    where = places(levels_of(-image))
    found = climb(mr, where, np.zeros(6), reach=np.full(6, 6.0), ftol=1e-8)
    assert found.moves[:3] == pytest.approx([3.0, 0.0, 0.0], abs=0.15)
    assert found.moves[3:] == pytest.approx([0.0, 0.0, 0.0], abs=0.6), "within half a degree"
    assert found.score > score(mr, where, np.zeros(6)) + 0.1


def test_no_move_goes_beyond_its_reach():
    mr = moving(Volume(waves().astype(np.float32), GRID + np.eye(4, k=3) * 3.0), blur_mm=0.5)
    reach = np.array([1.0, 1, 1, 0, 0, 0])
    found = climb(mr, places(levels_of(waves())), np.zeros(6), reach=reach, ftol=1e-8)
    assert (np.abs(found.moves) <= reach).all()
    assert found.moves[0] == pytest.approx(1.0)


def test_thinning_averages_whole_blocks_in_place():
    volume = Volume(np.arange(64, dtype=np.float32).reshape(4, 4, 4), np.eye(4))
    coarse = thinned(volume, 2.0)
    assert coarse.array[0, 0, 0] == volume.array[:2, :2, :2].mean()
    assert coarse.affine[:3, 3].tolist() == [0.5, 0.5, 0.5]
    assert coarse.spacing_mm == (2.0, 2.0, 2.0)
