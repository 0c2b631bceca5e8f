"""Distances of surfaces against MONAI, brute force and closed forms."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import HausdorffDistanceMetric, SurfaceDistanceMetric
from scipy.ndimage import gaussian_filter

from pct.metrics.surfaces import head_outlines, surface_distances

SPACING_MM = (3.0, 1.0, 0.5)


def two_blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two odd shapes that overlap, some of them at the volume's ends."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=(14, 20, 24)), 3)
    other = field + 0.5 * gaussian_filter(rng.normal(size=field.shape), 2)
    return field > field.std(), other > field.std()


def by_brute_force(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def surface(mask):
        at = []
        for index in np.argwhere(mask):
            for axis in range(3):
                for step in (-1, 1):
                    there = index.copy()
                    there[axis] += step
                    outside = (there < 0).any() or (there >= mask.shape).any()
                    if outside or not mask[tuple(there)]:
                        at.append(tuple(index))
        return np.array(sorted(set(at))) * SPACING_MM

    one, other = surface(a), surface(b)
    apart = np.linalg.norm(one[:, None] - other[None], axis=-1)
    return apart.min(axis=1), apart.min(axis=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_distances_equal_monai(seed):
    masks = two_blobs(seed)
    ours = surface_distances(*masks, SPACING_MM)
    a, b = (torch.from_numpy(mask)[None, None] for mask in masks)
    worst = HausdorffDistanceMetric(percentile=95)(a, b, spacing=SPACING_MM)
    mean = SurfaceDistanceMetric(symmetric=True)(a, b, spacing=SPACING_MM)
    assert ours.hd95_mm == pytest.approx(worst.item(), rel=1e-5)
    assert ours.mean_mm == pytest.approx(mean.item(), rel=1e-5)


def test_distances_equal_brute_force_voxel_by_voxel():
    masks = two_blobs(5)
    there, back = by_brute_force(*masks)
    ours = surface_distances(*masks, SPACING_MM)
    np.testing.assert_allclose(np.sort(ours.out), np.sort(there), atol=1e-12)
    np.testing.assert_allclose(np.sort(ours.back), np.sort(back), atol=1e-12)


def test_a_shifted_plate_is_off_by_its_shift():
    plate = np.zeros((3, 4, 30), bool)
    plate[..., 10] = True
    distances = surface_distances(plate, np.roll(plate, 6, axis=2), SPACING_MM)
    assert distances.hd95_mm == distances.mean_mm == 3.0


def test_the_larger_direction_counts():
    small = np.zeros((1, 1, 40), bool)
    small[..., :2] = True
    large = small.copy()
    large[..., 39] = True  # far from all of `small`, which is itself in `large`
    distances = surface_distances(small, large, (1.0, 1.0, 1.0))
    assert distances.hd95_mm == np.percentile([0, 0, 38], 95)
    assert distances.mean_mm == 38 / 5


def test_equal_masks_touch_and_an_empty_one_has_no_distance():
    mask, _ = two_blobs(3)
    same = surface_distances(mask, mask, SPACING_MM)
    assert same.hd95_mm == same.mean_mm == 0.0
    nothing = np.zeros_like(mask)
    for pair in ((mask, nothing), (nothing, mask), (nothing, nothing)):
        distances = surface_distances(*pair, SPACING_MM)
        assert math.isnan(distances.hd95_mm)
        assert math.isnan(distances.mean_mm)


def head_in_air(radius: float, size: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A ball of soft tissue with a cavity in it, in 1 mm voxels, and its outline."""
    steps = np.arange(size) - size / 2 + 0.5
    r = np.sqrt(sum(np.square(np.meshgrid(steps, steps, steps, indexing="ij"))))
    ct = np.where((r < radius) & ~(r < 5), 40, -1000).astype(np.int16)
    return ct, r < radius


def mean_mm(pct: np.ndarray, ct: np.ndarray, head: np.ndarray) -> float:
    outlines = head_outlines(pct, ct, head, (1.0, 1.0, 1.0))
    return surface_distances(*outlines, (1.0, 1.0, 1.0)).mean_mm


def test_a_head_that_is_three_millimetres_too_large_is_three_off():
    ct, head = head_in_air(18)
    assert mean_mm(head_in_air(21)[0], ct, head) == pytest.approx(3.0, abs=0.25)
    assert mean_mm(head_in_air(15)[0], ct, head) == pytest.approx(3.0, abs=0.25)


def test_a_couch_in_the_ct_and_specks_in_the_pct_do_not_move_the_heads_surface():
    ct, head = head_in_air(18)
    with_couch = ct.copy()
    with_couch[:, 56:] = 200
    speckled = ct.copy()
    speckled[5, 5, 5] = speckled[30, 30, 52] = 100
    assert mean_mm(speckled, with_couch, head) == 0.0


def test_a_cavity_that_is_filled_in_the_pct_is_no_matter_of_the_outline():
    ct, head = head_in_air(18)
    assert mean_mm(np.where(head, 40, -1000), ct, head) == 0.0


def test_fog_that_touches_the_skin_moves_the_surface():
    ct, head = head_in_air(18)
    fogged = np.where(head, ct, -200)
    assert mean_mm(fogged, ct, head) > 5.0
    assert mean_mm(np.where(head, ct, -350), ct, head) == 0.0  # below the skin's threshold
