from dataclasses import replace

import numpy as np
import pydicom
import pytest

from data_prep.dicom import census
from data_prep.dicom_ct import BadTarget, write_ct
from data_prep.volume import Volume
from tests.data_prep.mr_series import MAKER, SHAPE, files, pct_of, write_mr


@pytest.fixture
def mr(tmp_path):
    return census(write_mr(tmp_path / "mr"))


def test_the_same_again_has_the_same_uids_and_anything_else_has_others(mr, tmp_path):
    pct = pct_of(mr)
    other = pct.with_array(pct.array.copy())
    other.array[3, 3, 3] += 1
    moved = Volume(pct.array, pct.affine + np.eye(4)[:, [3, 3, 3, 0]] * 0.01)
    sibling = census(write_mr(tmp_path / "mr2", SeriesInstanceUID="1.2.3.4.99"))
    successor = replace(MAKER, digest="cd" * 32)
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


def swap_two_slices(folder):
    (folder / "ct-0002.dcm").rename(folder / "x")
    (folder / "ct-0003.dcm").rename(folder / "ct-0002.dcm")
    (folder / "x").rename(folder / "ct-0003.dcm")


def empty_a_slice(folder):
    (folder / "ct-0002.dcm").write_bytes(b"")


@pytest.mark.parametrize(
    "spoil",
    [
        add_a_file,
        take_a_slice,
        change_a_pixel,
        cut_a_slice,
        empty_a_slice,
        swap_two_slices,
    ],
)
def test_a_folder_with_anything_else_is_refused_and_kept(mr, tmp_path, spoil):
    target = tmp_path / "ct"
    write_ct(pct_of(mr), target, like=mr, maker=MAKER)
    spoil(target)
    before = {file.name: file.read_bytes() for file in target.iterdir()}
    with pytest.raises(BadTarget, match=r"ct: holds something else, .* Write to another folder"):
        write_ct(pct_of(mr), target, like=mr, maker=MAKER)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == before


def test_another_pseudo_ct_is_not_overwritten_be_it_another_by_its_model_alone(mr, tmp_path):
    first = write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    pct = pct_of(mr)
    with pytest.raises(BadTarget, match="something else"):
        write_ct(pct, first.folder, like=mr, maker=replace(MAKER, digest="cd" * 32))
    pct.array[0, 0, 0] += 1
    with pytest.raises(BadTarget, match="something else"):
        write_ct(pct, first.folder, like=mr, maker=MAKER)
    assert {one.SeriesInstanceUID for one in files(first.folder)} == {first.series_uid}


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
