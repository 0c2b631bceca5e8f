"""`pct predict` with a folder of patients: one failure stops no other."""

import json
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import MediaStorageDirectoryStorage

from data_prep.volume import load_nifti, save_nifti
from pct.prediction import one
from pct.prediction.series import BadSource
from pct.prediction.sources import find_patients, is_one_patient
from tests.pct.heads import identity_errors, laid, smooth_mr
from tests.pct.mr_series import ID, NAME, write_mr
from tests.pct.predicting import MODEL, listed, predict, statuses, table


@pytest.fixture(autouse=True)
def identity_model(monkeypatch):
    monkeypatch.setattr("pct.model.load_model", lambda folder, device: MODEL)


def test_each_patient_becomes_what_its_mr_is_and_one_failure_stops_no_other(through):
    names = ["a-folder", "b-series", "c & <i>"]
    files = {f"{name}.qc.{end}" for name in names for end in ("json", "png")}
    outputs = {"a-folder.nii.gz", "b-series", "c & <i>.nii.gz"}
    assert listed(through) == files | outputs | {"predictions.csv", "qc.html"}
    rows = table(through)
    assert list(rows) == [*names, "d-ct"]
    assert [row["status"] for row in rows.values()] == ["done", "done", "done", "failed"]
    assert {row["output"] for row in rows.values()} == {*outputs, ""}
    assert rows["d-ct"]["reason"].startswith("a CT and no MR. A pseudo-CT is made from an MR")
    for row in list(rows.values())[:3]:
        record = json.loads((through / f"{row['name']}.qc.json").read_text())
        assert int(row["warnings"]) == record["warnings"]
        assert float(row["seconds"]) > 0
    for name in ("a-folder", "c & <i>"):
        error, mirrored = identity_errors(load_nifti(through / f"{name}.nii.gz"), smooth_mr())
        assert error < 75
        assert min(mirrored) > 3 * error
    page = (through / "qc.html").read_text()
    assert "c &amp; &lt;i&gt;" in page
    assert "<i>" not in page
    assert "a CT and no MR" in page


def test_nothing_that_is_written_or_said_names_the_patient(patients, tmp_path, capfd):
    for file in (patients / "b-series" / "study" / "mr").iterdir():
        assert NAME.encode() in file.read_bytes()
        break
    broken = Path(shutil.copytree(patients, tmp_path / "mrs"))
    one_mr = broken / "b-series" / "study"
    write_mr(one_mr / "again", laid(smooth_mr(), "axial"), uid="c", SeriesDescription=f"T2 {ID}")
    shutil.copytree(one_mr / "mr", broken / "e-cut")
    (broken / "e-cut" / "slice-010.dcm").unlink()
    shutil.copytree(one_mr / "mr", broken / "f-good")
    assert predict(broken, tmp_path / "out") == 3
    assert statuses(tmp_path / "out") == ["done", "failed", "done", "failed", "failed", "done"]
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file())
    told = "".join(capfd.readouterr())
    assert "#4 T2, 46 x 48 pixels" in told
    for secret in (*NAME.split("^"), ID, "19500607", "20190321"):
        assert secret.encode() not in written, secret
        assert secret not in told, secret
    for secret in ("Private", str(broken), "slice-0"):
        assert secret.encode() not in written, secret
    rows = table(tmp_path / "out")
    assert rows["b-series"]["reason"].startswith("2 MR series. Choose by --series TEXT, a part of")
    assert rows["e-cut"]["reason"].startswith("slices missing: 1, first between slice ")
    assert predict(broken, tmp_path / "out", "--series", "T2") == 3
    assert statuses(tmp_path / "out") == ["kept", "done", "kept", "failed", "failed", "failed"]
    told = capfd.readouterr().out
    assert "f-good: failed: " in told
    assert "one MR series, none of them with 'T2' in its description" in told


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("3 GB"), "not enough memory (3 GB)"),
        (torch.OutOfMemoryError("CUDA"), "not enough memory (CUDA)"),
        (PermissionError(13, "Permission denied", "mr.nii.gz"), "Permission denied"),
        (OSError("no magic in /secret/mr.nii.gz"), "cannot be read or written (OSError)"),
    ],
)
def test_what_one_patient_lacks_the_next_may_have(patients, tmp_path, monkeypatch, error, reason):
    read_mr = one.read_mr

    def fails(source):
        if source.place.name == "a-folder":
            raise error
        return read_mr(source)

    monkeypatch.setattr(one, "read_mr", fails)
    assert predict(patients, tmp_path / "out") == 3
    assert statuses(tmp_path / "out") == ["failed", "done", "done", "failed"]
    assert table(tmp_path / "out")["a-folder"]["reason"] == reason


def test_a_failure_without_a_file_or_an_error_number_is_told_in_words(
    patients, tmp_path, monkeypatch, capsys
):
    def fails(source):
        raise OSError("no magic")

    monkeypatch.setattr(one, "read_mr", fails)
    assert predict(patients, tmp_path / "out") == 2
    assert f"a-folder: failed: {tmp_path / 'out' / 'a-folder.nii.gz'}: no magic\n" in (
        capsys.readouterr().out
    )


def test_what_nobody_thought_of_stops_no_other_and_quotes_no_header(
    patients, tmp_path, monkeypatch, capsys
):
    read_mr = one.read_mr

    def fails(source):
        if source.place.name == "b-series":
            raise ValueError(f"not a number: {NAME}")
        return read_mr(source)

    monkeypatch.setattr(one, "read_mr", fails)
    assert predict(patients, tmp_path / "out") == 3
    assert statuses(tmp_path / "out") == ["done", "failed", "done", "failed"]
    told = table(tmp_path / "out")["b-series"]["reason"]
    assert re.fullmatch(r"ValueError in test_predict_many\.py, line \d+: .* a fault of pct", told)
    assert NAME not in told + "".join(capsys.readouterr())


@pytest.mark.parametrize("place", ["i", "e", "mr", "."])
def test_a_reason_loses_the_path_alone_however_short_it_is(tmp_path, monkeypatch, place):
    mrs = tmp_path / "mrs" / place
    for name in ("a", "an"):
        save_nifti(smooth_mr(), mrs / f"{name}.nii.gz")
    (mrs / "a.nii.gz").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path / "mrs")
    assert predict(Path(place), tmp_path / "out") == 3
    told = table(tmp_path / "out")["a"]["reason"]
    assert told.startswith("the MR: cannot be read as NIfTI (")
    assert told.endswith("). Convert it anew.")
    assert "a.nii.gz" not in told


def test_one_odd_header_fails_its_patient_alone(patients, tmp_path, capfd):
    broken = Path(shutil.copytree(patients, tmp_path / "mrs"))
    spoilt = {"frames": "NumberOfFrames", "rows": "Rows", "who": "PatientName"}
    for name, tag in spoilt.items():
        mr = Path(shutil.copytree(broken / "b-series" / "study" / "mr", broken / f"e-{name}"))
        dataset = pydicom.dcmread(mr / "slice-000.dcm")
        dataset.NumberOfFrames = 1
        dataset.save_as(mr / "slice-000.dcm")
        data = (mr / "slice-000.dcm").read_bytes()
        at = data.index(struct.pack("<HH", dataset[tag].tag.group, dataset[tag].tag.element))
        new = b"IS\x02\x00ab" if name == "frames" else b"Qx"
        (mr / "slice-000.dcm").write_bytes(data[: at + 4] + new + data[at + 4 + len(new) :])
    assert predict(broken, tmp_path / "out") == 3
    assert statuses(tmp_path / "out") == ["done", "done", "done", *4 * ["failed"]]
    reasons = {name: row["reason"] for name, row in table(tmp_path / "out").items()}
    assert reasons["e-frames"] == reasons["e-rows"] == "headers with words for numbers: 1"
    assert reasons["e-who"] == "PatientName cannot be read"
    told = "".join(capfd.readouterr())
    for secret in (NAME, NAME.split("^")[0], ID, "Traceback", "UserWarning"):
        assert secret not in told


def test_dicom_for_all_fails_those_that_have_no_patient(patients, tmp_path, capsys):
    assert predict(patients, tmp_path / "out", "--as", "dicom") == 3
    assert statuses(tmp_path / "out") == ["failed", "done", "failed", "failed"]
    assert "NIfTI has no patient" in table(tmp_path / "out")["a-folder"]["reason"]
    for name in ("a-folder", "b-series"):
        shutil.copytree(patients / "d-ct", tmp_path / "cts" / name)
    assert predict(tmp_path / "cts", tmp_path / "none") == 2, "all failed"
    assert "exp1@6: 0 pseudo-CTs of 2" in capsys.readouterr().out
    assert listed(tmp_path / "none") == {"predictions.csv", "qc.html"}


@pytest.mark.parametrize(
    ("to", "words", "message"),
    [
        ("pct.nii.gz", (), "holds 4 patients. Name a folder."),
        ("mrs/out", (), "lies in the folder of MRs, where pseudo-CTs would be taken for patients"),
        ("mrs", (), "lies in the folder of MRs"),
        ("out", ("--onto", "ct.nii"), "--onto ct.nii is for one patient: "),
        ("mrs/d-ct/ct", (), "holds DICOM files itself. Name another folder with --to."),
    ],
)
def test_a_folder_of_patients_refuses_what_is_for_one(
    patients, tmp_path, capsys, to, words, message
):
    mrs = Path(shutil.copytree(patients, tmp_path / "mrs"))
    before = sorted(tmp_path.rglob("*"))
    assert predict(mrs, tmp_path / to, *words) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_two_patients_of_one_name_are_refused(tmp_path, capsys):
    for place in ("mrs/a/mr.nii.gz", "mrs/a.nii.gz", "mrs/b.nii.gz"):
        save_nifti(smooth_mr(), tmp_path / place)
    assert predict(tmp_path / "mrs", tmp_path / "out") == 2
    assert "named a. Expected one a patient. Rename" in capsys.readouterr().err


def test_the_only_patient_of_a_folder_may_be_written_as_a_file(tmp_path):
    save_nifti(smooth_mr(), tmp_path / "mrs" / "a" / "mr.nii.gz")
    assert predict(tmp_path / "mrs", tmp_path / "pct.nii.gz") == 0
    assert predict(tmp_path / "mrs", tmp_path / "out") == 0
    one_file, other = (load_nifti(tmp_path / at) for at in ("pct.nii.gz", "out/a.nii.gz"))
    np.testing.assert_array_equal(one_file.array, other.array)


def test_a_folder_is_one_patients_or_a_folder_of_patients_by_what_it_holds(patients, tmp_path):
    mr, ct = patients / "b-series" / "study" / "mr", patients / "d-ct" / "ct"
    shutil.copytree(mr, tmp_path / "deep" / "patient" / "study" / "mr")
    assert is_one_patient(tmp_path / "deep")
    for name in ("P1", "P2"):
        shutil.copytree(mr, tmp_path / "root" / "TCIA" / name / "mr")
    assert not is_one_patient(tmp_path / "root"), "the same series twice is no study"
    assert [patient.name for patient in find_patients(tmp_path / "root")] == ["P1", "P2"]
    shutil.copytree(mr, tmp_path / "two" / "mr")
    shutil.copytree(ct, tmp_path / "two" / "ct")
    assert not is_one_patient(tmp_path / "two"), "two studies"
    save_nifti(smooth_mr(), tmp_path / "synthrad" / "1BA001" / "mr.nii.gz")
    assert not is_one_patient(tmp_path / "synthrad")
    assert [patient.name for patient in find_patients(tmp_path / "synthrad")] == ["1BA001"]
    assert is_one_patient(tmp_path / "synthrad" / "1BA001")


def cohort_of(root: Path, *ids: str) -> Path:
    """Patients of these ids, P0 and on, whose study an anonymiser has given one UID."""
    for number, patient in enumerate(ids):
        write_mr(root / f"P{number}" / "mr", laid(smooth_mr(), "axial"), uid=f"{number}",
                 StudyInstanceUID="1.2.3", PatientID=patient)  # fmt: skip
    return root


def test_several_ids_are_several_patients_whatever_study_they_name(tmp_path):
    mrs = cohort_of(tmp_path / "mrs", "A", "B")
    assert not is_one_patient(mrs)
    assert [patient.name for patient in find_patients(mrs)] == ["P0", "P1"]
    assert is_one_patient(cohort_of(tmp_path / "one", "A", "A")), "two series of one study"
    nameless = cohort_of(tmp_path / "nameless", "", "")
    assert is_one_patient(nameless), "no id and one name"
    for file in (nameless / "P1" / "mr").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.PatientName = "Other^Name"
        dataset.save_as(file)
    assert not is_one_patient(nameless)


def test_a_dicomdir_makes_no_patient_of_a_cohort(tmp_path):
    mrs = cohort_of(tmp_path / "mrs", "A", "B")
    contents = pydicom.dcmread(next((mrs / "P0" / "mr").iterdir()))
    contents.file_meta.MediaStorageSOPClassUID = contents.SOPClassUID = MediaStorageDirectoryStorage
    for name in ("DICOMDIR", "contents.dcm"):
        contents.save_as(mrs / name)
    assert not is_one_patient(mrs)
    assert [patient.name for patient in find_patients(mrs)] == ["P0", "P1"]


def test_a_stray_slice_beside_the_patients_is_refused_and_a_stray_report_passed_over(tmp_path):
    mrs = cohort_of(tmp_path / "mrs", "A", "B")
    stray = Path(shutil.copy(next((mrs / "P0" / "mr").iterdir()), mrs / "stray.dcm"))
    assert not is_one_patient(mrs)
    with pytest.raises(BadSource, match="DICOM files of an MR lie beside the patients' folders"):
        find_patients(mrs)
    report = pydicom.dcmread(stray)
    report.Modality = "SR"
    report.save_as(stray)
    assert not is_one_patient(mrs)
    assert [patient.name for patient in find_patients(mrs)] == ["P0", "P1"]
    save_nifti(smooth_mr(), tmp_path / "nifti" / "P0" / "mr.nii.gz")
    shutil.copy(stray, tmp_path / "nifti")
    assert not is_one_patient(tmp_path / "nifti"), "a stray report beside NIfTI patients"
