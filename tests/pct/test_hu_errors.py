"""Errors in HU and overlaps against closed forms and MONAI."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric

from pct.metrics.hu_errors import dice, dice_air, dice_hu250, mae_by_tissue, mae_hu, z_jitter


def test_dice_equals_monai_exactly():
    generator = np.random.default_rng(2)
    a, b = (generator.random((6, 7, 8)) > 0.6 for _ in range(2))
    theirs = DiceMetric()(torch.from_numpy(a)[None, None], torch.from_numpy(b)[None, None])
    assert np.float32(dice(a, b)) == np.float32(theirs.item())


def test_dice_of_equal_disjoint_and_empty_masks():
    a = np.zeros((2, 4, 4), bool)
    a[0] = True
    assert dice(a, a) == 1
    assert dice(a, ~a) == 0
    assert dice(a, np.zeros_like(a)) == 0
    assert math.isnan(dice(np.zeros_like(a), np.zeros_like(a)))


def test_dice_hu250_is_above_250_and_inside_the_head():
    head = np.ones((1, 1, 5), bool)
    head[..., 4] = False
    ct = np.array([[[251, 251, 250, 0, 3000]]])
    pct = np.array([[[300, 0, 251, 0, 0]]])
    assert dice_hu250(pct, ct, head) == 0.5


def test_mae_holds_beyond_the_range_of_int16():
    ct = np.full((1, 2, 2), -30000, np.int16)
    pct = np.full((1, 2, 2), 30000, np.int16)
    assert mae_hu(pct, ct, np.ones((1, 2, 2), bool)) == 60000


def test_mae_of_an_empty_mask_is_nan():
    image = np.zeros((1, 2, 2))
    assert math.isnan(mae_hu(image, image, np.zeros((1, 2, 2), bool)))


def test_tissue_classes_come_from_the_ct_with_their_limits_in_soft_tissue():
    ct = np.array([[[-401, -400, 0, 250, 251, 251]]], np.int16)
    head = np.array([[[True, True, True, True, True, False]]])
    pct = ct + np.array([[[1, 2, 4, 6, 10, 999]]])
    scores = mae_by_tissue(pct, ct, head)
    assert scores == {"mae_air": 1.0, "mae_soft": 4.0, "mae_bone": 10.0}


def test_dice_air_is_below_400_and_inside_the_head():
    head = np.ones((1, 1, 5), bool)
    head[..., 4] = False
    ct = np.array([[[-401, -401, -400, 0, -1000]]])
    pct = np.array([[[-900, 0, -401, -400, -1000]]])
    assert dice_air(pct, ct, head) == 0.5
    assert math.isnan(dice_air(ct + 500, ct + 500, head))


def test_the_mean_error_is_that_of_all_voxels_at_once_however_many_slabs():
    generator = np.random.default_rng(0)
    pct, ct = (generator.integers(-1000, 2000, (40, 5, 6)).astype(np.int16) for _ in range(2))
    mask = generator.random(ct.shape) > 0.7
    expected = np.abs(pct[mask].astype(float) - ct[mask]).mean()
    assert mae_hu(pct, ct, mask) == pytest.approx(expected, rel=1e-12)


def zigzag(depth: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A CT, a pCT that is 7 HU too bright and too dark in turn, and all of it head."""
    ct = np.random.default_rng(1).normal(0, 300, (depth, 4, 5))
    sign = np.where(np.arange(depth) % 2, 1.0, -1.0)
    return ct + 7 * sign[:, None, None], ct, np.ones(ct.shape, bool)


def test_an_error_that_alternates_from_slice_to_slice_jitters_by_four_times_its_size():
    assert z_jitter(*zigzag()) == pytest.approx(28.0)


def test_an_error_that_is_constant_or_grows_steadily_does_not_jitter():
    _, ct, head = zigzag()
    ramp = 5 * np.arange(len(ct), dtype=float)[:, None, None]
    assert z_jitter(ct + 30, ct, head) == pytest.approx(0, abs=1e-9)
    assert z_jitter(ct + ramp, ct, head) == pytest.approx(0, abs=1e-9)


def test_jitter_counts_where_all_three_slices_are_head():
    pct, ct, head = zigzag()
    head[20:] = False
    pct[20:] += 1000
    assert z_jitter(pct, ct, head) == pytest.approx(28.0)
    pct[10, 0, 0] += 100  # touches three of 18 triples in one of 20 columns
    assert z_jitter(pct, ct, head) > 28.0


def test_fewer_than_three_slices_or_no_head_have_no_jitter():
    pct, ct, head = zigzag(2)
    assert math.isnan(z_jitter(pct, ct, head))
    pct, ct, head = zigzag()
    assert math.isnan(z_jitter(pct, ct, np.zeros_like(head)))
