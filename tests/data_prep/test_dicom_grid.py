import numpy as np
import pytest

from data_prep.dicom import census, check, read_series
from data_prep.dicom_ct import Sheared, axial_grid_of, series_grid, write_ct
from data_prep.volume import Volume, from_ras, ras_grid, to_ras
from tests.data_prep.mr_series import (
    MAKER,
    ORIENTATIONS,
    SHAPE,
    assert_same_place,
    by_the_standard,
    files,
    pct_of,
    values,
    write_mr,
)


@pytest.fixture
def mr(tmp_path):
    return census(write_mr(tmp_path / "mr"))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_series_grid_gives_the_stored_voxels_back(tmp_path, orientation, reverse):
    folder = write_mr(tmp_path / "mr", ORIENTATIONS[orientation], reverse=reverse)
    grid, volume = series_grid(census(folder)), read_series(folder)
    stored = from_ras(volume, grid)
    assert np.array_equal(stored.array, values())
    np.testing.assert_allclose(grid.affine, by_the_standard(folder).affine, atol=1e-9)
    np.testing.assert_allclose(ras_grid(grid).affine, volume.affine, atol=1e-9)


def test_an_axial_grid_runs_left_back_and_up_over_the_same_voxels(tmp_path):
    for name, cosines in ORIENTATIONS.items():
        volume = read_series(write_mr(tmp_path / name, cosines))
        turned = from_ras(volume, axial_grid_of(volume.grid))
        assert_same_place(turned, volume)
        lps = np.diag([-1, -1, 1]) @ turned.affine[:3, :3]
        assert np.array_equal(np.argmax(np.abs(lps), axis=0), [0, 1, 2])
        assert (np.diag(lps) > 0).all()
        assert np.array_equal(axial_grid_of(turned.grid).affine, turned.affine)


@pytest.mark.parametrize("order", ["the MR's", "axial", "RAS", "left-handed"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_voxel_is_read_back_where_it_was(tmp_path, orientation, order):
    series = census(write_mr(tmp_path / "mr", ORIENTATIONS[orientation]))
    pct = pct_of(series)
    if order == "axial":
        pct = pct_of(series, axial_grid_of(pct.grid))
    elif order == "RAS":
        pct = to_ras(pct)
    elif order == "left-handed":
        affine = pct.affine @ [[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        pct = Volume(pct.array[::-1], affine)
        assert np.linalg.det(affine) < 0
    written = write_ct(pct, tmp_path / "ct", like=series, maker=MAKER)
    check(census(written.folder))
    assert_same_place(by_the_standard(written.folder), pct)
    assert_same_place(read_series(written.folder), pct)


def test_a_grid_of_the_mrs_order_is_stored_as_it_is(mr, tmp_path):
    write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    for k, one in enumerate(files(tmp_path / "ct")):
        assert np.array_equal(one.pixel_array, values()[:, :, k].T - 1000)
        assert one.InstanceNumber == k + 1


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_slices_given_in_reverse_are_the_same_series_numbered_along_the_normal(
    tmp_path, orientation
):
    series = census(write_mr(tmp_path / "mr", ORIENTATIONS[orientation]))
    pct = pct_of(series)
    reverse = np.diag([1.0, 1.0, -1.0, 1.0])
    reverse[2, 3] = SHAPE[2] - 1
    written = write_ct(pct, tmp_path / "ct", like=series, maker=MAKER)
    turned = Volume(pct.array[:, :, ::-1], pct.affine @ reverse)
    assert write_ct(turned, tmp_path / "ct", like=series, maker=MAKER).already
    slices = files(written.folder)
    cosines = np.array(slices[0].ImageOrientationPatient)
    along_mm = [np.cross(cosines[:3], cosines[3:]) @ one.ImagePositionPatient for one in slices]
    np.testing.assert_allclose(np.diff(along_mm), 2.3, atol=1e-6)
    assert [one.InstanceNumber for one in slices] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([one.SliceLocation for one in slices], along_mm, atol=1e-6)


def test_slices_are_uniform_and_exact_over_five_hundred(mr, tmp_path):
    oblique = census(write_mr(tmp_path / "oblique", ORIENTATIONS["oblique"]))
    affine = series_grid(oblique).affine / 3
    affine[:, 3] = (-251.123456, 249.98765, -333.3333, 1)
    pct = Volume(np.zeros((2, 3, 500), np.int16), affine)
    written = write_ct(pct, tmp_path / "ct", like=mr, maker=MAKER)
    for k, one in enumerate(files(written.folder)):
        expected = np.diag([-1, -1, 1, 1]) @ affine @ (0, 0, k, 1)
        np.testing.assert_allclose(one.ImagePositionPatient, expected[:3], atol=1e-3)
        spacing = (*one.PixelSpacing, one.SliceThickness, one.SpacingBetweenSlices)
        np.testing.assert_allclose(spacing, np.array([1.1, 0.7, 2.3, 2.3]) / 3, atol=1e-6)
        assert max(map(len, map(str, one.ImagePositionPatient))) <= 16


def test_hu_are_stored_signed_and_clipped_to_what_a_ct_holds(mr, tmp_path):
    pct = pct_of(mr)
    pct.array[0, 0, 0], pct.array[1, 0, 0] = -3000, 4000
    write_ct(pct, tmp_path / "ct", like=mr, maker=MAKER)
    first = files(tmp_path / "ct")[0]
    assert first.pixel_array[0, :3].tolist() == [-1024, 3071, pct.array[2, 0, 0]]
    assert (first.PixelRepresentation, first.BitsStored, first.HighBit) == (1, 16, 15)
    assert (first.RescaleSlope, first.RescaleIntercept, first.RescaleType) == (1, 0, "HU")


def test_a_sheared_grid_is_refused_with_its_millimetres(mr, tmp_path):
    pct = pct_of(mr)
    pct.affine[0, 2] += 0.1
    with pytest.raises(Sheared, match=r"ct: .* would move by 0\.15 mm, .* Write it on an axial"):
        write_ct(pct, tmp_path / "ct", like=mr, maker=MAKER)
    assert not (tmp_path / "ct").exists()


def test_the_rounding_of_a_header_is_no_shear(mr, tmp_path):
    pct = pct_of(mr)
    pct.affine[0, 2] += 0.01
    written = write_ct(pct, tmp_path / "ct", like=mr, maker=MAKER)
    assert census(written.folder).tilt_deg < 0.001 < np.degrees(0.01 / 2.3)
    assert_same_place(by_the_standard(written.folder), pct, mm=0.05)


def test_only_slices_across_the_body_call_themselves_axial(tmp_path):
    kinds = {}
    for name, cosines in {**ORIENTATIONS, "in plane": [0.8, 0.6, 0, -0.6, 0.8, 0]}.items():
        series = census(write_mr(tmp_path / name, np.array(cosines)))
        write_ct(pct_of(series), tmp_path / f"{name} ct", like=series, maker=MAKER)
        kinds[name] = files(tmp_path / f"{name} ct")[0].ImageType[2]
    assert [name for name, kind in kinds.items() if kind == "AXIAL"] == ["axial", "in plane"]
    assert set(kinds.values()) == {"AXIAL", "REFORMATTED"}
