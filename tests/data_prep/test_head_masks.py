"""A head mask that a collection brings is used, and refused where it cannot be one."""

import re

import numpy as np
import pytest
from scipy import ndimage

from data_prep.masks import skull_in
from data_prep.phantom import make_head
from data_prep.pipeline import prepare
from data_prep.shards import list_cases, read_case_table, read_manifest, read_volumes
from data_prep.sources import find_cases
from data_prep.volume import Volume, load_nifti, save_nifti


@pytest.fixture(scope="module")
def phantom():
    return make_head(3, size=64, num_slices=24, spacing_mm=(4.0, 4.0, 8.0))


def test_the_skull_is_the_bone_inside_the_given_head(phantom):
    masks = skull_in(phantom.ct, phantom.head)
    assert np.array_equal(masks.head.array, phantom.head.array)
    assert masks.backend == "file-1+threshold-2"
    assert masks.skull.array.any()
    assert (phantom.ct.array[masks.skull.array] > 250).all()
    assert not (masks.skull.array & ~phantom.head.array).any()


def test_a_mask_of_another_grid_is_laid_on_the_ct(phantom):
    wide = np.pad(phantom.head.array, 3, mode="edge").repeat(2, axis=0)
    affine = phantom.head.affine @ np.diag([0.5, 1, 1, 1])
    affine[:3, 3] = (phantom.head.affine @ [-3.25, -3, -3, 1])[:3]
    masks = skull_in(phantom.ct, Volume(wide, affine))
    assert np.array_equal(masks.head.array, phantom.head.array)


def draw(collection, patient, change):
    """Give a patient the head of its CT as SynthRAD does, as uint8 and changed."""
    ct = load_nifti(collection / patient / "ct.nii.gz")
    head = ndimage.binary_fill_holes(ndimage.binary_opening(ct.array > -300, iterations=3))
    save_nifti(change(ct.with_array(head.astype(np.uint8))), collection / patient / "mask.nii.gz")


def reason_of(data, patient):
    return next(r["reason"] for r in read_case_table(data).to_pylist() if r["subject"] == patient)


def empty(mask):
    return mask.with_array(np.zeros_like(mask.array))


def elsewhere(mask):
    affine = mask.affine.copy()
    affine[0, 3] += 1000.0
    return Volume(mask.array, affine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (empty, r"the head mask is empty: none of 98304 voxels is above 0\.5"),
        (elsewhere, r"the head mask holds \d\.\d\d litres, of which 0\.00 lie on the CT"),
    ],
)
def test_a_mask_that_holds_no_head_of_this_ct_refuses_its_case_alone(
    data, own_collection, config, change, message
):
    patient = list_cases(data, "train")[0]
    draw(own_collection, patient, change)
    manifest = prepare(find_cases("synthrad", own_collection), data, config)
    assert manifest.num_cases == {"train": 1, "val": 1, "test": 1}
    assert re.match(message, reason_of(data, patient))


def test_a_mask_that_comes_or_changes_makes_its_case_anew(data, own_collection, config):
    patient = list_cases(data, "test")[0]
    digest = read_manifest(data).digest
    draw(own_collection, patient, lambda mask: mask)
    manifest = prepare(find_cases("synthrad", own_collection), data, config)
    assert manifest.mask_backends == ("file-1+threshold-2", "threshold-2")
    assert manifest.digest != digest
    volumes = read_volumes(data, patient)
    given = load_nifti(own_collection / patient / "mask.nii.gz")
    assert volumes.mask_backend == "file-1+threshold-2"
    assert np.array_equal(volumes.head.array, given.array > 0)

    smaller = given.with_array(ndimage.binary_erosion(given.array).astype(np.uint8))
    save_nifti(smaller, own_collection / patient / "mask.nii.gz")
    prepare(find_cases("synthrad", own_collection), data, config)
    assert np.array_equal(read_volumes(data, patient).head.array, smaller.array > 0)
