"""MetaImage (.mha), as SynthRAD 2025 comes: read as NIfTI is, LPS turned to RAS."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  SimpleITK's own abbreviation
from scipy.spatial.transform import Rotation

from data_prep.sources import BadCase, find_cases, load_head, load_pair
from data_prep.volume import Volume, load_image, save_nifti

AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])


def make_metaimage(path, volume):
    """Write a RAS volume as ITK would: LPS, here with its axes turned as scanners leave them."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    image = sitk.GetImageFromArray(volume.array.T)
    image.SetSpacing(volume.spacing_mm)
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / volume.spacing_mm).ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), useCompression=True)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_a_metaimage_lies_where_its_nifti_does(tmp_path, dtype):
    turn = Rotation.from_euler("xyz", [10, -20, 30], degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * (-1.0, 2.0, 3.0), (5.0, -6.0, 7.0)
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(dtype)
    make_metaimage(tmp_path / "x.mha", Volume(array, affine))
    save_nifti(Volume(array, affine), tmp_path / "x.nii.gz")
    meta, nifti = load_image(tmp_path / "x.mha"), load_image(tmp_path / "x.nii.gz")
    assert np.array_equal(meta.array, nifti.array)
    assert meta.array.dtype == nifti.array.dtype
    np.testing.assert_allclose(meta.affine, nifti.affine, atol=1e-5)


def test_synthrad_2025_lies_two_or_three_folders_down_and_mixes_formats(tmp_path):
    volume = Volume(np.ones((4, 5, 6), np.float32), AFFINE)
    patient = tmp_path / "Task1" / "HN" / "1HNB001"
    for name in ("mr", "mask"):
        make_metaimage(patient / f"{name}.mha", volume)
    save_nifti(volume, patient / "ct.nii.gz")
    for root in (tmp_path, tmp_path / "Task1", tmp_path / "Task1" / "HN"):
        (case,) = find_cases("synthrad", root)
        assert (case.subject, case.about.site) == ("1HNB001", "B")
        mr, ct = load_pair(case)
        assert mr.array.shape == ct.array.shape == (4, 5, 6)
        assert load_head(case, ct.grid).array.all()


def test_an_image_in_two_formats_is_refused(tmp_path):
    volume = Volume(np.ones((4, 5, 6)), AFFINE)
    for name in ("mr", "ct"):
        save_nifti(volume, tmp_path / "p" / f"{name}.nii.gz")
    make_metaimage(tmp_path / "p" / "mr.mha", volume)
    (case,) = find_cases("synthrad", tmp_path)
    with pytest.raises(BadCase, match="its folder has two mr, expected one mr and one ct"):
        load_pair(case)


@pytest.mark.parametrize("spoil", ["junk", "cut", "plane", "colour"])
def test_a_broken_metaimage_names_the_image_but_no_path(tmp_path, spoil):
    path = tmp_path / "p" / "ct.mha"
    volume = Volume(np.ones((40, 50, 60)), AFFINE)
    save_nifti(volume, path.with_name("mr.nii.gz"))
    make_metaimage(path, volume)
    if spoil == "junk":
        path.write_bytes(b"no image")
    elif spoil == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        shape = (5, 4) if spoil == "plane" else (6, 5, 4, 3)
        colour = spoil == "colour"
        sitk.WriteImage(sitk.GetImageFromArray(np.ones(shape), isVector=colour), str(path))
    with pytest.raises(BadCase, match=r"^CT: (cannot be read as MetaImage|has \d axes)") as caught:
        load_pair(find_cases("synthrad", tmp_path)[0])
    assert str(tmp_path) not in str(caught.value)
