import csv
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from data_prep.cli import inspect
from data_prep.dicom import BadSeries, census, check, convert, describe, read_series
from data_prep.phantom import make_head
from data_prep.phantom_dicom import COLUMNS, BadTarget, write_cohort
from data_prep.volume import load_nifti, resample

REAL = Path(__file__).parents[3] / "shared" / "data" / "dicom"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="no real DICOM beside the repository")
SMALL = {"num_cases": 1, "size": 32, "num_slices": 12}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("dicom") / "cohort", **SMALL).parent


def series(cohort, modality):
    number = {"CT": 1, "MR": 2}[modality]
    return next(cohort.glob(f"PHANTOM/PHANTOM-000/*/{number}.*"))


@pytest.fixture
def ct_folder(cohort, tmp_path):
    return Path(shutil.copytree(series(cohort, "CT"), tmp_path / "ct"))


def edit(file, **values):
    dataset = pydicom.dcmread(file)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(file)


def refusal(folder):
    with pytest.raises(BadSeries) as caught:
        check(census(folder))
    assert str(caught.value).startswith(f"{folder}: ")
    assert "Export it anew" in str(caught.value)
    return "; ".join(caught.value.reasons)


def described(folder):
    found = census(folder)
    return describe(found, convert(found))


def test_inspecting_a_series_reads_it_once_and_converts_it(cohort, tmp_path, monkeypatch, capsys):
    read, dcmread = [], pydicom.dcmread

    def note(file, **how):
        read.append((file, *how))
        return dcmread(file, **how)

    monkeypatch.setattr(pydicom, "dcmread", note)
    inspect(series(cohort, "CT"), to=tmp_path / "ct.nii.gz")
    assert len(read) == len(set(read)) == 12 + 12  # headers, then pixels
    told = capsys.readouterr().out
    assert "orientation    axial" in told
    assert told.endswith(f"series -> {tmp_path / 'ct.nii.gz'}\n")
    assert load_nifti(tmp_path / "ct.nii.gz").array.shape == (32, 32, 12)


def test_a_written_ct_reads_back_voxel_for_voxel(cohort):
    phantom = make_head(0, size=32, num_slices=12, spacing_mm=(8.0, 8.0, 16.0))
    volume = read_series(series(cohort, "CT"))
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, phantom.ct.array)
    np.testing.assert_allclose(volume.affine, phantom.ct.affine, atol=1e-9)


def test_the_mr_has_a_grid_of_its_own_but_shows_the_same_head(tmp_path):
    cohort = write_cohort(tmp_path / "c", num_cases=1, size=96, num_slices=24).parent
    phantom = make_head(0, size=96, num_slices=24, spacing_mm=(256 / 96, 256 / 96, 8.0))
    mr = read_series(series(cohort, "MR"))
    assert mr.array.dtype == np.float32
    assert mr.spacing_mm == pytest.approx((0.95 * 256 / 96, 0.95 * 256 / 96, 8.4))
    assert abs(mr.affine[0, 1]) > 1e-4
    placed = resample(mr, phantom.ct.grid).array
    moves = [(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    alike = {
        move: np.corrcoef(np.roll(placed, move, (0, 1, 2)).ravel(), phantom.mr.array.ravel())[0, 1]
        for move in moves
    }
    assert alike.pop((0, 0, 0)) > max(alike.values()) + 0.02


def test_both_series_share_study_and_frame_and_carry_a_fake_patient(cohort):
    ct, mr = (pydicom.dcmread(next(series(cohort, m).iterdir())) for m in ("CT", "MR"))
    assert ct.FrameOfReferenceUID == mr.FrameOfReferenceUID
    assert ct.StudyInstanceUID == mr.StudyInstanceUID
    assert ct.SeriesInstanceUID != mr.SeriesInstanceUID
    assert ct.PatientID == mr.PatientID == "PHANTOM-000"


def test_metadata_lists_every_series_with_windows_paths(cohort):
    with (cohort / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["Modality"] for row in rows] == ["CT", "MR"]
    for row in rows:
        assert row["File Location"].startswith(".\\PHANTOM\\PHANTOM-000\\")
        assert len(list((cohort / row["File Location"].replace("\\", "/")).iterdir())) == 12
        assert row["Number of Images"] == "12"


def test_a_cohort_is_the_same_twice_and_written_once(cohort, tmp_path):
    heard = []
    again = write_cohort(tmp_path / "again", **SMALL, on_case=heard.append).parent
    files = [path for path in sorted(cohort.rglob("*")) if path.is_file()]
    assert len(files) == 12 + 12 + 2
    for path in files:
        assert path.read_bytes() == (again / path.relative_to(cohort)).read_bytes()
    write_cohort(tmp_path / "again", **SMALL, on_case=heard.append)
    assert heard == ["PHANTOM-000"]


def test_a_folder_with_something_else_is_not_overwritten(cohort, tmp_path):
    with pytest.raises(BadTarget, match=r"'seed': 0.* expected .*'seed': 1.*another folder"):
        write_cohort(cohort, **SMALL, seed=1)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadTarget, match="something else"):
        write_cohort(tmp_path, **SMALL)


def test_missing_slices_are_counted_and_placed(ct_folder):
    (ct_folder / "1-05.dcm").unlink()
    (ct_folder / "1-06.dcm").unlink()
    assert refusal(ct_folder) == (
        "slices missing: 2, first between slice 4 of 10 (z = -40.0 mm) and slice 5 of 10 "
        "(z = 8.0 mm) (48.00 mm, median gap 16.00 mm)"
    )


def test_uneven_gaps_name_the_worst(ct_folder):
    position = pydicom.dcmread(ct_folder / "1-06.dcm").ImagePositionPatient
    edit(ct_folder / "1-06.dcm", ImagePositionPatient=[*position[:2], position[2] + 5])
    assert "uneven gaps: 11.00 to 21.00 mm against a median of 16.00 mm" in refusal(ct_folder)


def test_header_rounding_is_no_uneven_gap(ct_folder):
    position = pydicom.dcmread(ct_folder / "1-06.dcm").ImagePositionPatient
    edit(ct_folder / "1-06.dcm", ImagePositionPatient=[*position[:2], position[2] + 0.1])
    check(census(ct_folder))


def test_a_doubled_slice_is_named(ct_folder):
    shutil.copy(ct_folder / "1-06.dcm", ct_folder / "copy.dcm")
    assert refusal(ct_folder) == (
        "doubled slices: 1, first between slice 6 of 13 (z = -8.0 mm) and slice 7 of 13 "
        "(z = -8.0 mm)"
    )


@pytest.mark.parametrize("degrees", [2.0, 18.5])
def test_gantry_tilt_is_measured(ct_folder, degrees):
    for file in ct_folder.iterdir():
        position = [float(x) for x in pydicom.dcmread(file).ImagePositionPatient]
        position[1] += np.tan(np.radians(degrees)) * position[2]
        edit(file, ImagePositionPatient=[f"{x:.6f}" for x in position])
    assert refusal(ct_folder) == f"gantry tilt {degrees:.1f} degrees"


def test_two_echoes_in_one_series_are_refused(cohort, tmp_path):
    folder = Path(shutil.copytree(series(cohort, "MR"), tmp_path / "mr"))
    for file in list(folder.iterdir()):
        second = shutil.copy(file, folder / f"second-{file.name}")
        edit(second, EchoTime="9.2")
    reasons = refusal(folder)
    assert "2 echo times (ms): 3.4, 9.2" in reasons
    assert "doubled slices: 12" in reasons


def test_all_faults_come_in_one_message(ct_folder):
    edit(ct_folder / "1-03.dcm", SeriesInstanceUID="1.2.3.4")
    edit(ct_folder / "1-04.dcm", PixelSpacing=[1.0, 1.0])
    (ct_folder / "1-08.dcm").unlink()
    reasons = refusal(ct_folder)
    assert "2 series" in reasons
    assert "2 pixel sizes (mm): (1.0, 1.0), (8.0, 8.0)" in reasons
    assert "slices missing: 1" in reasons


def test_a_second_orientation_or_shape_is_refused(ct_folder):
    edit(ct_folder / "1-03.dcm", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    edit(ct_folder / "1-04.dcm", Rows=16)
    reasons = refusal(ct_folder)
    assert "2 orientations" in reasons
    assert "2 shapes (rows, columns): (16, 32), (32, 32)" in reasons


def test_stray_files_are_passed_over_and_counted(ct_folder):
    (ct_folder / "LICENSE").write_text("no DICOM")
    report = pydicom.dcmread(ct_folder / "1-01.dcm")
    del report.ImagePositionPatient
    report.save_as(ct_folder / "report.dcm")
    found = census(ct_folder)
    check(found)
    assert (len(found.slices), found.num_stray) == (12, 2)


def test_shuffled_instance_numbers_change_nothing(cohort, ct_folder):
    for number, file in enumerate(sorted(ct_folder.iterdir())):
        edit(file, InstanceNumber=(number * 5) % 12)
    shuffled, straight = read_series(ct_folder), read_series(series(cohort, "CT"))
    assert np.array_equal(shuffled.array, straight.array)
    assert np.array_equal(shuffled.affine, straight.affine)


def test_truncated_pixels_are_refused_with_their_slice_and_length(ct_folder):
    file = ct_folder / "1-05.dcm"
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(BadSeries) as caught:
        read_series(ct_folder)
    told = "slice 5 of 12 (z = -24.0 mm): pixels cut short, 1548 of 2048 bytes"
    assert caught.value.reasons == (told,)


def test_more_slices_cut_short_are_counted(ct_folder):
    for name in ("1-05.dcm", "1-09.dcm"):
        (ct_folder / name).write_bytes((ct_folder / name).read_bytes()[:-500])
    with pytest.raises(BadSeries, match=r"slice 5 of 12 .* 2048 bytes, and 1 more slice of 12"):
        read_series(ct_folder)


@pytest.mark.filterwarnings("ignore:The pixel data is")
def test_pixels_with_padding_behind_them_are_whole(ct_folder):
    for file in ct_folder.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.Rows, dataset.Columns = 31, 31
        dataset.PixelData = dataset.PixelData[: 2 * 31 * 31] + b"\0\0"
        dataset.save_as(file)
    assert read_series(ct_folder).array.shape == (31, 31, 12)


def test_a_slice_without_pixels_is_named(ct_folder):
    dataset = pydicom.dcmread(ct_folder / "1-12.dcm")
    del dataset.PixelData
    dataset.save_as(ct_folder / "1-12.dcm")
    with pytest.raises(BadSeries, match=r"slice 12 of 12 \(z = 88\.0 mm\) holds no whole pixels"):
        read_series(ct_folder)


def test_an_absent_or_empty_folder_says_so(tmp_path):
    with pytest.raises(BadSeries, match="no such folder"):
        census(tmp_path / "nowhere")
    assert refusal(tmp_path) == "no slice with a position among 0 other files"


def test_a_description_holds_no_identity(cohort):
    facts = described(series(cohort, "CT"))
    assert facts["shape"] == [32, 32, 12]
    assert facts["spacing_mm"] == [8.0, 8.0, 16.0]
    assert facts["orientation"] == "axial"
    assert facts["unit"] == "HU"
    assert facts["percentiles"]["0"] < -1000 < facts["percentiles"]["100"]
    assert "PHANTOM" not in str(facts)


@needs_real
def test_a_real_tilted_ct_is_refused_for_tilt_and_gaps():
    reasons = refusal(REAL / "ct_ge_gantry_tilt")
    assert "gantry tilt 18.5 degrees" in reasons
    assert "uneven gaps: 1.08 to 7.00 mm" in reasons


@needs_real
def test_a_real_oblique_mr_reads():
    volume = read_series(REAL / "mr_tcia_pgbm001")
    assert volume.array.shape == (260, 320, 24)
    assert volume.spacing_mm == pytest.approx((0.6875, 0.6875, 6.5), abs=1e-3)
    assert described(REAL / "mr_tcia_pgbm001")["orientation"] == "axial, 10.2 degrees oblique"


@needs_real
def test_real_stray_objects_do_not_stop_a_ct():
    found = census(REAL / "ct_philips_phantom")
    check(found)
    assert (len(found.slices), found.num_stray) == (28, 1)
