import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest

from data_prep.dicom import BadSeries, census
from data_prep.dicom_ct import BadTarget, Sheared, refuse_unwritable, series_grid, write_ct
from data_prep.volume import Grid, Volume
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


def test_what_a_file_manager_adds_is_not_minded(mr, tmp_path):
    target = tmp_path / "ct"
    target.mkdir()
    for name in (".DS_Store", "Thumbs.db"):
        (target / name).write_bytes(b"icons")
    assert not write_ct(pct_of(mr), target, like=mr, maker=MAKER).already
    assert len(files(target)) == SHAPE[2]
    for name in (".DS_Store", "Thumbs.db", "._ct-0001.dcm", "DICOMDIR"):
        (target / name).write_bytes(b"icons")
    assert write_ct(pct_of(mr), target, like=mr, maker=MAKER).already
    assert (target / "DICOMDIR").exists()


def test_a_folder_of_hidden_files_alone_is_not_empty(mr, tmp_path):
    (tmp_path / "ct" / ".git").mkdir(parents=True)
    with pytest.raises(BadTarget, match=r"holds something else \(\.git\)"):
        write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)


def change_the_mr(folder, **tags):
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        dataset.save_as(file)


def test_an_mr_whose_patient_was_corrected_has_no_series_yet(mr, tmp_path):
    write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    change_the_mr(mr.folder, PatientID="CORRECTED-1", PatientName="Right^Name")
    words = r"a series whose header differs in PatientName, PatientID\), .* to another folder"
    with pytest.raises(BadTarget, match=words) as refused:
        write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    assert not any(word in str(refused.value) for word in ("CORRECTED", "SECRET", "Right"))
    written = write_ct(pct_of(mr), tmp_path / "ct2", like=mr, maker=MAKER)
    assert {one.PatientID for one in files(written.folder)} == {"CORRECTED-1"}


def test_a_tag_that_somebody_added_is_a_difference(mr, tmp_path):
    write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    change_the_mr(tmp_path / "ct", InstitutionName="ours")
    with pytest.raises(BadTarget, match="header differs in InstitutionName"):
        write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)


def test_another_time_of_writing_is_no_difference(mr, tmp_path):
    write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    change_the_mr(tmp_path / "ct", SeriesDate="20010203", ContentTime="040506")
    assert write_ct(pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER).already


def at_once(monkeypatch, runs):
    """Outcomes of runs that all look at the target before any of them renames its folder."""
    waits = threading.Barrier(len(runs))
    replace = Path.replace

    def together(self, target):
        waits.wait(timeout=30)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", together)

    def outcome(run):
        try:
            return run()
        except BadTarget as error:
            return error

    with ThreadPoolExecutor(len(runs)) as pool:
        return list(pool.map(outcome, runs))


def test_of_two_runs_at_once_one_whole_series_stays_and_the_other_is_refused(
    mr, tmp_path, monkeypatch
):
    one, other = pct_of(mr), pct_of(mr)
    other.array[...] += 1
    runs = [partial(write_ct, pct, tmp_path / "ct", like=mr, maker=MAKER) for pct in (one, other)]
    outcomes = at_once(monkeypatch, runs)
    written = [found for found in outcomes if not isinstance(found, BadTarget)]
    refused = [str(found) for found in outcomes if isinstance(found, BadTarget)]
    assert (len(written), len(refused)) == (1, 1)
    assert "holds something else (a series of other pixels)" in refused[0]
    slices = files(tmp_path / "ct")
    assert {item.SeriesInstanceUID for item in slices} == {written[0].series_uid}
    found = np.stack([item.pixel_array.T for item in slices], axis=2)
    assert any(np.array_equal(found, pct.array) for pct in (one, other))
    assert {path.name for path in tmp_path.iterdir()} == {"mr", "ct"}


def test_of_two_runs_at_once_that_write_the_same_both_are_content(mr, tmp_path, monkeypatch):
    run = partial(write_ct, pct_of(mr), tmp_path / "ct", like=mr, maker=MAKER)
    outcomes = at_once(monkeypatch, [run, run])
    assert sorted(item.already for item in outcomes) == [False, True]
    assert {path.name for path in tmp_path.iterdir()} == {"mr", "ct"}


def test_what_cannot_be_written_is_known_before_there_are_pixels(mr, tmp_path):
    target, grid = tmp_path / "ct", series_grid(mr)

    def look(like=mr, frame_uid=None, grid=grid, maker=MAKER):
        refuse_unwritable(grid, target, like=like, maker=maker, frame_uid=frame_uid)

    look()
    assert not target.exists()
    write_ct(pct_of(mr), target, like=mr, maker=MAKER)
    look()
    with pytest.raises(BadTarget, match="header differs in DerivationDescription"):
        look(maker=replace(MAKER, digest="cd" * 32))
    with pytest.raises(BadTarget, match="header differs in FrameOfReferenceUID"):
        look(frame_uid="1.2.3")
    with pytest.raises(BadTarget, match=r"something else \(ct-0006.dcm\)"):
        look(grid=Grid((*grid.shape[:2], 5), grid.affine))
    sheared = grid.affine.copy()
    sheared[0, 1] += 0.5
    with pytest.raises(Sheared, match="not at right angles"):
        look(grid=Grid(grid.shape, sheared))
    take_a_slice(target)
    with pytest.raises(BadTarget, match="incomplete: 5 of 6 slices"):
        look()
    change_the_mr(mr.folder, StudyInstanceUID=None)
    with pytest.raises(BadSeries, match="no StudyInstanceUID"):
        look()


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
    ("spoil", "words"),
    [
        (add_a_file, r"holds something else \(notes.txt\)"),
        (take_a_slice, r"incomplete: 5 of 6 slices, expected all or none. Remove it, or"),
        (change_a_pixel, r"something else \(ct-0002.dcm, whose pixels were changed or cut\)"),
        (cut_a_slice, r"something else \(ct-0002.dcm, whose pixels were changed or cut\)"),
        (empty_a_slice, r"something else \(ct-0002.dcm, which is no slice of it\)"),
        (swap_two_slices, r"header differs in SOPInstanceUID, InstanceNumber, ImagePosition"),
    ],
)
def test_a_folder_with_anything_else_is_refused_and_kept(mr, tmp_path, spoil, words):
    target = tmp_path / "ct"
    write_ct(pct_of(mr), target, like=mr, maker=MAKER)
    spoil(target)
    before = {file.name: file.read_bytes() for file in target.iterdir()}
    with pytest.raises(BadTarget, match=rf"{words}.* [Ww]rite to another folder"):
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
