"""`pct predict` with DICOM: what comes out, and where it lies."""

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from data_prep.dicom import read_series
from data_prep.parquet import sha256_of
from data_prep.volume import load_nifti, save_nifti, to_ras
from pct.prediction.series import BadSource, files_of_series
from tests.pct.heads import identity_errors, laid, smooth_mr
from tests.pct.mr_series import ID, NAME, write_mr
from tests.pct.predicting import (
    MODEL,
    ORIENTATIONS,
    headers,
    predict,
    write_ct,
    write_series,
)  # fmt: skip
from tests.readers import by_sitk


@pytest.fixture(autouse=True)
def identity_model(monkeypatch):
    monkeypatch.setattr("pct.model.load_model", lambda folder, device: MODEL)


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> dict[str, Path]:
    return write_series(tmp_path_factory.mktemp("series"))


@pytest.mark.parametrize("how", ORIENTATIONS)
def test_a_series_shows_the_patient_in_the_mrs_place(series, tmp_path, how):
    """By default in axial slices, by --grid mr in those of the MR."""
    assert predict(series[how], tmp_path / "axial") == 0
    assert predict(series[how], tmp_path / "own", "--grid", "mr") == 0
    mr, axial, own = (headers(one) for one in (series[how], tmp_path / "axial", tmp_path / "own"))
    for folder, ct in ((tmp_path / "axial", axial[0]), (tmp_path / "own", own[0])):
        error, mirrored = identity_errors(by_sitk(folder), laid(smooth_mr(), how))
        assert error < 75, "of a range of 4000 HU"
        assert min(mirrored) > 3 * error
        for kept in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
            assert ct[kept].value == mr[0][kept].value, kept
        assert ct.SeriesInstanceUID != mr[0].SeriesInstanceUID
        assert ct.Modality == "CT"
    for header in axial:
        np.testing.assert_allclose(header.ImageOrientationPatient, [1, 0, 0, 0, 1, 0], atol=1e-9)
    for header, like in zip(own, mr, strict=True):
        for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows"):
            np.testing.assert_allclose(header[tag].value, like[tag].value, atol=1e-3)


def test_nifti_of_a_series_lies_where_the_mr_lies(series, tmp_path):
    for how in ORIENTATIONS:
        assert predict(series[how], tmp_path / f"{how}.nii.gz", "--as", "nifti") == 0
        pct = load_nifti(tmp_path / f"{how}.nii.gz")
        np.testing.assert_allclose(pct.affine, read_series(series[how]).affine, atol=1e-4)
        error, mirrored = identity_errors(pct, laid(smooth_mr(), how))
        assert error < 75
        assert min(mirrored) > 3 * error
    assert predict(series["sagittal"], tmp_path / "axial.nii", "--grid", "axial") == 0
    axial = load_nifti(tmp_path / "axial.nii").affine[:3, :3]
    np.testing.assert_allclose(axial, np.diag(np.diag(axial)))


def test_nifti_and_dicom_on_one_grid_are_equal(series, tmp_path):
    assert predict(series["oblique"], tmp_path / "pct") == 0
    assert predict(series["oblique"], tmp_path / "pct.nii", "--grid", "axial") == 0
    one, other = to_ras(by_sitk(tmp_path / "pct")), load_nifti(tmp_path / "pct.nii")
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-3)


def test_the_record_says_what_was_made_and_nothing_about_the_patient(series, tmp_path, capfd):
    assert predict(series["axial"], tmp_path / "pct") == 0
    told = capfd.readouterr()
    record = json.loads((tmp_path / "pct.qc.json").read_text())
    first = headers(tmp_path / "pct")[0]
    assert record["format"] == 1
    assert record["model"]["name"] == "exp1@6"
    assert len(record["model"]["digest"]) == 16
    assert record["mr"]["shape"] == [46, 48, 24]
    assert record["mr"]["spacing_mm"] == [5, 5, 8]
    files = {file.name: sha256_of(file) for file in (tmp_path / "pct").iterdir()}
    assert record["output"] == {
        "kind": "dicom", "grid": "axial", "shape": [46, 48, 24], "spacing_mm": [5, 5, 8],
        "series_uid": first.SeriesInstanceUID, "sha256": files,
    }  # fmt: skip
    counts = record["hu_histogram"]["counts"]
    assert list(counts) == ["air", "soft", "bone", "outside"]
    assert sum(map(sum, counts.values())) == 46 * 48 * 24
    hu = by_sitk(tmp_path / "pct").array
    assert sum(counts["bone"]) + sum(counts["outside"][20:]) >= (hu > 255).sum() > 0
    assert sum(counts["soft"][20:]) == 0, "soft tissue ends at 250 HU"
    assert record["warnings"] == sum(check["ok"] is False for check in record["checks"])
    warnings = f"{record['warnings'] or 'no'} warning"
    assert f"exp1@6: pseudo-CT 46x48x24, -1000 to 3000 HU, {warnings}" in told.out
    written = (tmp_path / "pct.qc.json").read_bytes() + (tmp_path / "pct.qc.png").read_bytes()
    assert (tmp_path / "pct.qc.png").read_bytes().startswith(b"\x89PNG")
    for secret in (*NAME.split("^"), ID, "Private", "1950", "20190321", str(series["axial"])):
        assert secret.encode() not in written, secret
        assert secret not in told.out.replace(str(tmp_path), ""), secret
        assert secret not in told.err, secret


def test_objects_beside_the_mr_do_not_matter(series, tmp_path):
    mixed = Path(shutil.copytree(series["axial"], tmp_path / "patient" / "mr")).parent
    ct = write_ct(tmp_path)
    study = headers(series["axial"])[0].StudyInstanceUID
    for file in ct.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.StudyInstanceUID, dataset.PatientID = study, ID
        (mixed / "ct").mkdir(exist_ok=True)
        dataset.save_as(mixed / "ct" / file.name)
    (mixed / "notes.txt").write_text("for the ward")
    assert predict(mixed, tmp_path / "pct") == 0
    alone = tmp_path / "alone"
    assert predict(series["axial"], alone) == 0
    uids = [headers(folder)[0].SeriesInstanceUID for folder in (tmp_path / "pct", alone)]
    assert uids[0] == uids[1]


def test_of_several_series_one_is_chosen_by_its_description(series, tmp_path, capsys):
    shutil.copytree(series["axial"], tmp_path / "both" / "t1")
    description = f"T2 FLAIR {NAME.split('^')[0].upper()}"
    flair = laid(smooth_mr(), "sagittal")
    study = headers(series["axial"])[0].StudyInstanceUID
    write_mr(tmp_path / "both" / "t2", flair, uid="flair", SeriesDescription=description,
             SeriesNumber=7, StudyInstanceUID=study)  # fmt: skip
    both = tmp_path / "both"
    assert predict(both, tmp_path / "pct") == 2
    told = capsys.readouterr().err
    first = "#4 T1, 46 x 48 pixels of 5 x 5 mm, 24 files"
    second = "#7 T2 FLAIR, 48 x 24 pixels of 5 x 8 mm, 46 files"
    assert f"{both}: 2 MR series ({first}; {second}). Choose by --series '#NUMBER', or by a" in told
    assert predict(both, tmp_path / "pct", "--series", "T") == 2
    assert "2 MR series, 2 of them with 'T' in its description" in capsys.readouterr().err
    assert predict(both, tmp_path / "pct", "--series", "PD") == 2
    assert "none of them with 'PD'" in capsys.readouterr().err
    assert predict(both, tmp_path / "pct", "--series", "flair", "--grid", "mr") == 0
    assert headers(tmp_path / "pct")[0].Rows == 24
    assert predict(both, tmp_path / "four.nii", "--series", "#4") == 0
    assert predict(both, tmp_path / "private.nii", "--series", "dr priv") == 0, "never shown"


def test_a_number_chooses_that_very_series(series, tmp_path):
    flair = laid(smooth_mr(), "axial")
    for number in (4, 40):
        write_mr(tmp_path / "mr" / str(number), flair, uid=str(number), SeriesNumber=number)
    (four,) = {file.parent.name for file in files_of_series(tmp_path / "mr", "MR", "#4")}
    assert four == "4"
    with pytest.raises(BadSource, match="2 of them with 'T1' in its description"):
        files_of_series(tmp_path / "mr", "MR", "T1")


def test_series_that_are_told_alike_are_told_apart_by_their_folders(tmp_path):
    head = laid(smooth_mr(), "axial")
    for name in ("one", "two"):
        write_mr(tmp_path / "mr" / name, head, uid=name)
    with pytest.raises(BadSource) as caught:
        files_of_series(tmp_path / "mr", "MR")
    told = str(caught.value)
    assert "24 files in one; #4 T1" in told
    assert "24 files in two)" in told
    assert "Some have one number and description: give the folder of one alone with --mr" in told
    assert "in one" not in caught.value.reason


@pytest.mark.parametrize(
    ("description", "shown"),
    [
        ("t1_mprage_sag_iso", "#4 t1 mprage sag iso, "),
        ("Li Xu 12-03-1950 T2", "#4 T2, "),
        ("20190321 4711 FLAIR Ng", "#4 FLAIR, "),
        ("", "#4 46 x"),
    ],
)
def test_of_a_description_only_known_words_are_told(tmp_path, description, shown):
    head = laid(smooth_mr(), "axial")
    write_mr(tmp_path / "a", head, uid="a", SeriesDescription=description)
    write_mr(tmp_path / "b", head, uid="b", SeriesNumber=5, PixelSpacing=None)
    with pytest.raises(BadSource) as caught:
        files_of_series(tmp_path, "MR")
    told = str(caught.value)
    assert f"({shown}" in told
    assert "#5 T1, 24 files)" in told
    for word in ("Li", "Xu", "1950", "20190321", "4711", "Ng", "12"):
        assert word not in told.split("(")[1].split(")")[0].split(), word


def ct_in_frame(tmp_path: Path, frame_uid: str) -> Path:
    ct = write_ct(tmp_path)
    for file in ct.iterdir():
        dataset = pydicom.dcmread(file)
        dataset.FrameOfReferenceUID = frame_uid
        dataset.save_as(file)
    return ct


def test_onto_a_ct_of_the_same_frame_lies_voxel_on_voxel_with_it(series, tmp_path):
    mr = headers(series["axial"])[0]
    ct = ct_in_frame(tmp_path, mr.FrameOfReferenceUID)
    assert predict(series["axial"], tmp_path / "pct", "--onto", ct) == 0
    planning, pct = by_sitk(ct), by_sitk(tmp_path / "pct")
    assert pct.array.shape == planning.array.shape == (32, 32, 12)
    np.testing.assert_allclose(pct.affine, planning.affine, atol=1e-3)
    assert {h.FrameOfReferenceUID for h in headers(tmp_path / "pct")} == {mr.FrameOfReferenceUID}
    assert json.loads((tmp_path / "pct.qc.json").read_text())["output"]["grid"] == "onto"
    save_nifti(read_series(ct), tmp_path / "ct.nii")
    assert predict(series["axial"], tmp_path / "same", "--onto", tmp_path / "ct.nii") == 0
    np.testing.assert_array_equal(by_sitk(tmp_path / "same").array, pct.array)
    assert predict(series["axial"], tmp_path / "pct.nii", "--onto", ct) == 0
    np.testing.assert_array_equal(load_nifti(tmp_path / "pct.nii").array, to_ras(pct).array)


def test_a_nifti_mr_onto_a_dicom_ct_warns_that_frames_cannot_be_compared(tmp_path, capsys):
    save_nifti(smooth_mr(), tmp_path / "mr.nii")
    ct = write_ct(tmp_path)
    words = "could not be compared with a NIfTI MR's"
    assert predict(tmp_path / "mr.nii", tmp_path / "pct.nii", "--onto", ct) == 0
    assert words in capsys.readouterr().out
    checks = json.loads((tmp_path / "pct.qc.json").read_text())["checks"]
    (found,) = [check for check in checks if check["name"] == "frame"]
    assert (found["value"], found["ok"]) == (None, False)
    assert words in found["words"]
    assert load_nifti(tmp_path / "pct.nii").array.shape == (32, 32, 12)
    assert predict(tmp_path / "mr.nii", tmp_path / "own.nii", "--onto", tmp_path / "mr.nii") == 0
    assert words not in capsys.readouterr().out


def test_onto_a_ct_of_another_frame_is_refused(series, tmp_path, capsys):
    ct = ct_in_frame(tmp_path, "1.2.3")
    assert predict(series["axial"], tmp_path / "pct", "--onto", ct) == 2
    told = capsys.readouterr().err
    assert "the CT's frame of reference is not the MR's" in told
    assert "Register the MR to the CT first" in told
    assert predict(series["axial"], tmp_path / "pct", "--onto", series["axial"]) == 2
    assert "no DICOM CT series. Name a folder with one" in capsys.readouterr().err
    assert not (tmp_path / "pct").exists()
