"""Outlines are worked out in a mask's own box, and come out as over the whole volume."""

import numpy as np
import pytest
from scipy import ndimage

from data_prep.outline import boxes, close, dilate, enlarge, fill, solid

SPACING_MM = np.array([1.0, 2.0, 3.5])


def blobs(seed: int) -> np.ndarray:
    """Some lumps with holes, here and there at the border, in a corner of a larger volume."""
    rng = np.random.default_rng(seed)
    lumps = ndimage.gaussian_filter(rng.normal(size=(18, 14, 9)), rng.uniform(0.6, 2.0))
    mask = np.zeros((30, 22, 13), bool)
    mask[:18, 4:18, 2:11] = lumps > np.quantile(lumps, rng.uniform(0.5, 0.97))
    return np.flip(mask, axis=seed % 3)


@pytest.mark.parametrize("radius_mm", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("seed", range(6))
def test_dilation_takes_in_all_within_the_radius_and_no_more(seed, radius_mm):
    mask = blobs(seed)
    every = np.indices(mask.shape).reshape(3, -1).T * SPACING_MM
    apart = [np.linalg.norm(every[mask.ravel()] - place, axis=1).min() for place in every]
    expected = (np.array(apart) <= radius_mm + 1e-9).reshape(mask.shape)
    np.testing.assert_array_equal(dilate(mask, radius_mm, SPACING_MM), expected)


@pytest.mark.parametrize("radius_mm", [2.0, 4.0, 8.0])
@pytest.mark.parametrize("seed", range(6))
def test_closing_is_dilation_and_its_reverse_in_a_volume_without_end(seed, radius_mm):
    mask = blobs(seed)
    far = np.pad(mask, 20)
    wide = ndimage.distance_transform_edt(~far, sampling=SPACING_MM) <= radius_mm
    back = ndimage.distance_transform_edt(wide, sampling=SPACING_MM) > radius_mm
    expected = (back | far)[20:-20, 20:-20, 20:-20]
    np.testing.assert_array_equal(close(mask, radius_mm, SPACING_MM), expected)


@pytest.mark.parametrize("seed", range(6))
def test_holes_are_filled_in_every_slice_and_notches_at_the_border_are_not(seed):
    mask = blobs(seed)
    expected = np.stack([ndimage.binary_fill_holes(one) for one in np.moveaxis(mask, 2, 0)], 2)
    np.testing.assert_array_equal(fill(mask), expected)
    np.testing.assert_array_equal(fill(mask, most=0), mask)


def test_a_body_that_the_volume_cuts_is_solid_up_to_the_cut():
    mask = np.zeros((40, 40, 20), bool)
    mask[10:30, 8:32, :12] = True
    np.testing.assert_array_equal(solid(mask, np.ones(3)), mask)


@pytest.mark.parametrize("work", [dilate, close])
def test_nothing_comes_of_an_empty_mask(work):
    empty = np.zeros((5, 6, 7), bool)
    assert not work(empty, 4.0, SPACING_MM).any()
    assert not fill(empty).any()
    assert list(boxes(empty)) == []


def test_a_box_is_widened_up_to_the_border():
    mask = np.zeros((9, 9, 9), bool)
    mask[1:3, 4, 7] = True
    assert list(boxes(mask, margin=(2, 1, 3))) == [np.s_[0:5, 3:6, 4:11]]


def test_blocks_are_enlarged_and_cut():
    coarse = np.arange(12).reshape(2, 3, 2)
    expected = np.kron(coarse, np.ones((2, 1, 3), int))[:3, :3, :5]
    np.testing.assert_array_equal(enlarge(coarse, (3, 3, 5), (2, 1, 3)), expected)
