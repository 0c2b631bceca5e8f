"""Fog and the background's profile on a head whose surroundings are known."""

import math

import numpy as np
import pytest

from pct.metrics.background import BINS, background

SPACING_MM = (2.0, 2.0, 2.0)


def layers(*, shape=(3, 3, 80), head_at: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Air, and a head that fills the first columns: voxel i lies 2 (i - 9) mm from it."""
    head = np.zeros(shape, bool)
    head[..., :head_at] = True
    return np.full(shape, -1000.0), head


def test_clear_air_has_neither_fog_nor_share():
    pct, head = layers()
    pct[head] = 40
    scores = background(pct, head, SPACING_MM)
    assert scores["fog_hu"] == -1000
    assert scores["fog_share"] == 0
    assert all(scores[f"bg_hu_{name}"] == -1000 for name in BINS)
    assert all(scores[f"bg_share_{name}"] == 0 for name in BINS)


def test_each_bin_holds_the_voxels_of_its_distance():
    pct, head = layers()
    distance = 2.0 * (np.arange(80) - 9)
    pct[...] = -1000 + distance
    scores = background(pct, head, SPACING_MM)
    for i, name in enumerate(BINS):
        own = distance[(distance > 10 * i) & (distance <= 10 * i + 10)]
        assert len(own) == 5
        assert scores[f"bg_hu_{name}"] == pytest.approx(-1000 + own.mean())
    # Above -900 HU further than 100 mm: the last two bins wholly, none before.
    shares = [scores[f"bg_share_{name}"] for name in BINS]
    assert shares == [0.0] * 10 + [1.0, 1.0]


def test_fog_is_counted_from_five_millimetres_on():
    pct, head = layers()
    pct[..., 10:12] = 0  # 2 and 4 mm from the head
    assert background(pct, head, SPACING_MM)["fog_share"] == 0
    pct[..., 12:26] = -400  # 6 mm and further: 14 of 68 columns
    scores = background(pct, head, SPACING_MM)
    assert scores["fog_share"] == pytest.approx(14 / 68)
    assert scores["fog_hu"] == pytest.approx((-400 * 14 - 1000 * 54) / 68)


def test_the_void_between_head_and_fog_shows_in_the_curve():
    pct, head = layers()
    pct[..., 30:] = -500  # fog from 42 mm on, a void before it
    scores = background(pct, head, SPACING_MM)
    assert scores["bg_share_030_040"] == 0
    assert scores["bg_share_040_050"] == 1
    assert scores["bg_hu_040_050"] == -500


def test_fine_volumes_are_looked_at_every_two_millimetres():
    rng = np.random.default_rng(0)
    fine = rng.normal(-700, 300, (6, 8, 160))
    head = np.zeros(fine.shape, bool)
    head[..., :21] = True
    by_sample = background(fine[::2, ::2, ::2], head[::2, ::2, ::2], SPACING_MM)
    assert background(fine, head, (1.0, 1.0, 1.0)) == by_sample


def test_bins_that_the_volume_does_not_reach_and_volumes_without_a_head_are_undefined():
    pct, head = layers(shape=(3, 3, 30))
    scores = background(pct, head, SPACING_MM)
    assert scores["bg_hu_030_040"] == -1000  # reaches to 40 mm
    assert math.isnan(scores["bg_hu_040_050"])
    assert math.isnan(scores["bg_share_110_120"])
    assert all(map(math.isnan, background(pct, head & False, SPACING_MM).values()))
    assert math.isnan(background(pct, head | True, SPACING_MM)["fog_hu"])
