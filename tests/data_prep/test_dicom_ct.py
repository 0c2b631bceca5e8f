import numpy as np
import pydicom
import pytest

from data_prep.dicom import census, check, read_series
from data_prep.dicom_ct import BadTarget, Maker, Sheared, axial_grid_of, series_grid, write_ct
from data_prep.volume import Volume, from_ras, ras_grid, to_ras
from tests.data_prep.mr_series import (
    ORIENTATIONS,
    SHAPE,
    assert_same_place,
    by_the_standard,
    values,
    write_mr,
)

MAKER = Maker("t003@70", "ab" * 32, "models:/pct@champion", "pct-sweeps 0.1.0")


@pytest.fixture
def mr(tmp_path):
    return census(write_mr(tmp_path / "mr"))


def pct_of(series, grid=None):
    """A pseudo-CT of -1000 HU and up on the series' grid or another of its voxels."""
    raw = from_ras(read_series(series.folder), grid or series_grid(series))
    return raw.with_array(raw.array.astype(np.int16) - 1000)


def files(folder):
    return [pydicom.dcmread(file) for file in sorted(folder.iterdir())]


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


def test_the_same_again_has_the_same_uids_and_anything_else_has_others(mr, tmp_path):
    pct = pct_of(mr)
    other = pct.with_array(pct.array.copy())
    other.array[3, 3, 3] += 1
    moved = Volume(pct.array, pct.affine + np.eye(4)[:, [3, 3, 3, 0]] * 0.01)
    sibling = census(write_mr(tmp_path / "mr2", SeriesInstanceUID="1.2.3.4.99"))
    successor = Maker("t004@70", "cd" * 32, MAKER.address, MAKER.software)
    written = [
        write_ct(volume, tmp_path / f"ct{number}", like=like, maker=maker, frame_uid=frame_uid)
        for number, (volume, like, maker, frame_uid) in enumerate(
            [
                (pct, mr, MAKER, None),
                (pct, mr, MAKER, None),
                (other, mr, MAKER, None),
                (moved, mr, MAKER, None),
                (pct, sibling, MAKER, None),
                (pct, mr, successor, None),
                (pct, mr, MAKER, "1.2.3.4.77"),
            ]
        )
    ]
    series = [item.series_uid for item in written]
    assert series[0] == series[1]
    assert len(set(series)) == 6
    instances = [[one.SOPInstanceUID for one in files(item.folder)] for item in written]
    assert instances[0] == instances[1]
    assert len({uid for uids in instances for uid in uids}) == 6 * SHAPE[2]
    for item, uids in zip(written, instances, strict=True):
        assert {one.SeriesInstanceUID for one in files(item.folder)} == {item.series_uid}
        assert item.num_slices == len(uids) == SHAPE[2]


def test_values_beyond_a_cts_range_that_are_stored_alike_are_one_series(mr, tmp_path):
    pct = pct_of(mr)
    pct.array[0, 0, 0] = 5000
    first = write_ct(pct, tmp_path / "ct", like=mr, maker=MAKER)
    pct.array[0, 0, 0] = 6000
    assert write_ct(pct, tmp_path / "ct", like=mr, maker=MAKER).already
    assert not first.already


def test_a_folder_with_the_same_series_is_left_as_it_is(mr, tmp_path):
    first = write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    before = {file: file.stat().st_mtime_ns for file in first.folder.iterdir()}
    again = write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    assert (first.already, again.already) == (False, True)
    assert again.series_uid == first.series_uid
    assert {file: file.stat().st_mtime_ns for file in first.folder.iterdir()} == before


def test_an_empty_folder_is_used_and_stays_as_private_as_it_was(mr, tmp_path):
    (tmp_path / "ct").mkdir(mode=0o700)
    written = write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    assert len(files(written.folder)) == SHAPE[2]
    assert written.folder.stat().st_mode & 0o777 == 0o700


def spoil_nothing(folder):
    return None


def add_a_file(folder):
    (folder / "notes.txt").write_text("mine")


def take_a_slice(folder):
    (folder / "ct-0002.dcm").unlink()


def change_a_pixel(folder):
    data = bytearray((folder / "ct-0002.dcm").read_bytes())
    data[-1] ^= 1
    (folder / "ct-0002.dcm").write_bytes(data)


def cut_a_slice(folder):
    data = (folder / "ct-0002.dcm").read_bytes()
    (folder / "ct-0002.dcm").write_bytes(data[:-5])


def empty_a_slice(folder):
    (folder / "ct-0002.dcm").write_bytes(b"")


@pytest.mark.parametrize(
    "spoil", [spoil_nothing, add_a_file, take_a_slice, change_a_pixel, cut_a_slice, empty_a_slice]
)
def test_a_folder_with_anything_else_is_refused_and_kept(mr, tmp_path, spoil):
    target = tmp_path / "ct"
    write_ct(pct_of(mr), target, like=mr, maker=MAKER)
    spoil(target)
    before = {file.name: file.read_bytes() for file in target.iterdir()}
    pct = pct_of(mr)
    if spoil is spoil_nothing:
        pct.array[0, 0, 0] += 1
    with pytest.raises(BadTarget, match=r"ct: holds something else, .* Write to another folder"):
        write_ct(pct, target, like=mr, maker=MAKER)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == before


def test_a_file_or_the_mrs_own_folder_is_no_target(mr, tmp_path):
    (tmp_path / "ct").write_text("mine")
    for target in (tmp_path / "ct", mr.folder):
        with pytest.raises(BadTarget, match="something else"):
            write_ct(pct_of(mr), target, like=mr, maker=MAKER)
    assert len(files(mr.folder)) == SHAPE[2]


@pytest.mark.parametrize("made", [False, True])
def test_a_failure_in_the_middle_leaves_nothing(mr, tmp_path, monkeypatch, made):
    if made:
        (tmp_path / "ct").mkdir()
    before, saved, save_as = set(tmp_path.iterdir()), [], pydicom.Dataset.save_as

    def fail_at_the_fourth(self, path, **how):
        if len(saved) == 3:
            raise OSError(28, "No space left on device")
        saved.append(path)
        save_as(self, path, **how)

    monkeypatch.setattr(pydicom.Dataset, "save_as", fail_at_the_fourth)
    with pytest.raises(OSError, match="No space"):
        write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    assert len(saved) == 3
    assert set(tmp_path.iterdir()) == before
    assert not made or not any((tmp_path / "ct").iterdir())


def test_what_a_killed_run_left_is_swept_away(mr, tmp_path):
    (tmp_path / ".ct.partial").mkdir()
    (tmp_path / ".ct.partial" / "ct-0099.dcm").write_bytes(b"half")
    written = write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    assert len(files(written.folder)) == SHAPE[2]
    assert not (tmp_path / ".ct.partial").exists()
