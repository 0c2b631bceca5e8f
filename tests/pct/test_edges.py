"""The error along the bone's edge against closed forms and brute force."""

import math

import numpy as np
import pytest

from pct.metrics.edges import edge_bone, near_surface

SPACING_MM = (3.0, 1.0, 0.5)


def bone_half(shape=(3, 12, 40)) -> tuple[np.ndarray, np.ndarray]:
    """Soft tissue left, bone right of x = 20, all of it head."""
    ct = np.zeros(shape)
    ct[..., 20:] = 1000
    return ct, np.ones(shape, bool)


def test_a_missing_edge_is_counted_over_the_band_of_two_millimetres():
    ct, head = bone_half()
    # The gradient is 1000 HU / (2 * 0.5 mm) in the two voxels at the edge, 0 in the other six of
    # the eight columns whose centres lie 0.25, 0.75, 1.25 or 1.75 mm from it.
    assert edge_bone(np.zeros_like(ct), ct, SPACING_MM, head) == pytest.approx(1000 * 2 / 8)


def test_edge_error_sees_slope_not_level():
    ct, head = bone_half()
    assert edge_bone(ct, ct, SPACING_MM, head) == 0
    assert edge_bone(ct + 70, ct, SPACING_MM, head) == 0
    assert edge_bone(1.1 * ct, ct, SPACING_MM, head) == pytest.approx(100 * 2 / 8)


def test_edge_error_ignores_what_is_far_from_bone_or_outside_the_head():
    ct, head = bone_half()
    head[:, :, :19] = False
    pct = ct.copy()
    pct[..., :12] = 400  # its slope ends 8 voxels, 4 mm, from the bone
    pct[..., 35:] = 0
    assert edge_bone(pct, ct, SPACING_MM, head) == 0


def test_the_edge_error_is_the_same_whichever_way_the_axes_run():
    ct, head = bone_half()
    pct = np.zeros_like(ct)
    turned = edge_bone(
        pct.transpose(2, 0, 1), ct.transpose(2, 0, 1), (0.5, 3.0, 1.0), head.transpose(2, 0, 1)
    )
    assert turned == pytest.approx(edge_bone(pct, ct, SPACING_MM, head))


def test_without_bone_there_is_no_edge_error():
    ct, head = bone_half()
    assert math.isnan(edge_bone(ct, np.zeros_like(ct), SPACING_MM, head))
    assert math.isnan(edge_bone(ct, np.full_like(ct, 900), SPACING_MM, head))


def test_where_no_centre_lies_within_two_millimetres_of_bone_the_edge_error_is_undefined():
    ct, head = bone_half()
    assert math.isnan(edge_bone(ct, ct, (5.0, 5.0, 5.0), head))


def test_slabs_change_nothing():
    ct, head = bone_half((45, 12, 40))
    ct[20:, :, :20] = 1000  # a surface across z as well, in the second slab
    pct = np.random.default_rng(3).normal(0, 500, ct.shape)
    near = near_surface(ct > 250, SPACING_MM)
    steep = [np.sqrt(sum(g**2 for g in np.gradient(v, *SPACING_MM))) for v in (pct, ct)]
    expected = np.abs(steep[0] - steep[1])[near].mean()
    assert edge_bone(pct, ct, SPACING_MM, head) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("spacing_mm", [(3.0, 1.0, 0.5), (0.9, 0.7, 1.3), (1.0, 1.0, 1.0)])
def test_the_band_holds_all_centres_within_two_millimetres_of_the_other_class(spacing_mm):
    bone = np.random.default_rng(4).random((5, 7, 9)) > 0.9
    step = np.array(spacing_mm)
    index = np.argwhere(np.ones_like(bone))
    apart = np.abs(index[:, None] - index[None]) * step
    to_face = np.linalg.norm(np.maximum(apart - step / 2, 0), axis=-1)
    other = bone.ravel()[:, None] != bone.ravel()[None]
    expected = ((to_face <= 2.0 + 1e-9) & other).any(axis=1)
    np.testing.assert_array_equal(near_surface(bone, spacing_mm).ravel(), expected)
