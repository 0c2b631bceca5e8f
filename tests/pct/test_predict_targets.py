"""Where `pct predict` does not write, and that it says so before any work is done."""

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from data_prep.volume import description_of, load_nifti, save_nifti
from pct.prediction import one
from pct.prediction.sources import is_one_patient
from tests.pct.heads import laid, smooth_mr
from tests.pct.identity import identity, model_that
from tests.pct.mr_series import write_mr
from tests.pct.predicting import MODEL, listed, predict, table


@pytest.fixture(autouse=True)
def identity_model(monkeypatch):
    monkeypatch.setattr("pct.model.load_model", lambda folder, device: MODEL)


@pytest.fixture
def untouched(monkeypatch):
    """A generator that must not run."""

    def never(*args):
        raise AssertionError("predicted")

    monkeypatch.setattr(one, "predict_prepared", never)


@pytest.fixture
def mr(tmp_path) -> Path:
    save_nifti(smooth_mr(), tmp_path / "p1" / "t1.nii.gz")
    return tmp_path / "p1" / "t1.nii.gz"


@pytest.fixture
def series(tmp_path) -> Path:
    return write_mr(tmp_path / "p2", laid(smooth_mr(), "axial"), uid="p2")


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_volume_whose_grid_is_asked_for_is_not_written_over(
    mr, series, tmp_path, capsys, untouched
):
    save_nifti(smooth_mr(), tmp_path / "ct.nii")
    before = content(tmp_path)
    for source, to, onto in (
        (mr, tmp_path / "p1" / ".." / "ct.nii", tmp_path / "ct.nii"),
        (series, tmp_path / "p1", tmp_path / "p1"),
        (series, tmp_path / "p1" / "pct", tmp_path / "p1"),
    ):
        assert predict(source, to, "--onto", onto) == 2
        told = capsys.readouterr().err
        assert "the pseudo-CT would lie in the volume of --onto. Name a place outside it" in told
    assert content(tmp_path) == before


def test_a_nifti_file_that_is_not_ours_is_not_written_over(mr, tmp_path, capsys, untouched):
    other = tmp_path / "planning.nii.gz"
    for write in (lambda: save_nifti(smooth_mr(), other), lambda: other.write_bytes(b"notes")):
        write()
        before = content(tmp_path)
        assert predict(mr, other) == 2
        told = capsys.readouterr().err
        assert f"{other}: a file of something else: it does not say that it is a pseudo-CT" in told
        assert "no planning.qc.json lies beside it. Remove it yourself, or name another" in told
        assert content(tmp_path) == before


@pytest.mark.parametrize("lost", ["json", "description"])
def test_a_pseudo_ct_of_ours_is_written_over_by_its_record_or_its_header(mr, tmp_path, lost):
    to = tmp_path / "pct.nii.gz"
    assert predict(mr, to) == 0
    if lost == "json":
        (tmp_path / "pct.qc.json").unlink()
    else:
        save_nifti(load_nifti(to), to)
    assert predict(mr, to, "--background", "air") == 0
    record = json.loads((tmp_path / "pct.qc.json").read_text())
    assert record["settings"]["background"] == "air"
    assert description_of(to) == "RESEARCH pseudo-CT"


@pytest.mark.parametrize("name", ["mr.nii.gz", "mr.nii"])
def test_a_pseudo_ct_is_not_called_mr_beside_its_mr(mr, series, tmp_path, capsys, untouched, name):
    places = ((mr, mr.parent), (series, series), (series, series / "x"), (series, tmp_path))
    for source, folder in places:
        assert predict(source, folder / name) == 2
        told = capsys.readouterr().err
        assert "beside its MR, it would be taken for the MR the next time. Name it other" in told
    assert not list(tmp_path.rglob("mr.nii*"))


def test_a_pseudo_ct_elsewhere_may_be_called_as_one_likes(mr, series, tmp_path):
    assert predict(mr, tmp_path / "out" / "mr.nii.gz") == 0
    assert predict(series, series / "pct.nii.gz") == 0, "a file among the slices does no harm"
    assert predict(series, tmp_path / "out" / "again.nii.gz") == 0


def test_a_folder_called_like_a_file_is_refused_be_it_full_or_empty(
    mr, series, tmp_path, capsys, untouched
):
    (tmp_path / "x.nii.gz" / "y").mkdir(parents=True)
    (tmp_path / "z.nii").mkdir()
    (tmp_path / "pct").write_text("mine")
    for source, to, words in (
        (mr, "x.nii.gz", "a folder, expected a NIfTI file, by its name. Name another place"),
        (mr, "z.nii", "a folder, expected a NIfTI file, by its name. Name another place"),
        (series, "pct", "a file, expected a folder for a DICOM series. Name another place"),
    ):
        assert predict(source, tmp_path / to) == 2
        assert f"{tmp_path / to}: {words}" in capsys.readouterr().err
    assert listed(tmp_path / "x.nii.gz") == {"y"}


def test_a_folder_that_a_file_manager_looked_into_is_empty_to_us(series, tmp_path):
    (tmp_path / "pct").mkdir()
    (tmp_path / "pct" / ".DS_Store").write_bytes(b"icons")
    assert predict(series, tmp_path / "pct") == 0
    assert len(listed(tmp_path / "pct")) == 24


def test_a_series_that_cannot_be_written_is_refused_before_the_generator_runs(
    series, tmp_path, capsys, monkeypatch
):
    assert predict(series, tmp_path / "pct") == 0
    assert predict(series, tmp_path / "half") == 0
    (tmp_path / "half" / "ct-0003.dcm").unlink()
    before = content(tmp_path)
    monkeypatch.setattr(one, "predict_prepared", None)
    assert predict(series, tmp_path / "half") == 2
    assert "half: incomplete: 23 of 24 slices" in capsys.readouterr().err
    other = model_that(identity, grid=MODEL.grid)
    torch.nn.init.ones_(next(other.generator.parameters()))
    monkeypatch.setattr("pct.model.load_model", lambda folder, device: other)
    assert predict(series, tmp_path / "pct") == 2
    assert "header differs in DerivationDescription)" in capsys.readouterr().err
    assert content(tmp_path) == before


def test_an_mr_that_nothing_can_be_filed_with_is_refused_before_the_generator_runs(
    series, tmp_path, capsys, untouched
):
    for file in sorted(series.iterdir())[:4]:
        dataset = pydicom.dcmread(file)
        dataset.PatientID = "ANOTHER"
        dataset.save_as(file)
    assert predict(series, tmp_path / "pct") == 2
    told = capsys.readouterr().err
    assert "2 values of PatientID among its slices, expected one patient's" in told
    assert "ANOTHER" not in told
    assert listed(tmp_path) == {"p2"}


def test_patients_whose_names_no_series_can_have_are_refused_one_by_one(
    series, tmp_path, untouched
):
    mrs = tmp_path / "mrs"
    names = ("scan.nii", "predictions.csv", "QC.html", "a.qc.json")
    for name in names:
        shutil.copytree(series, mrs / name)
    assert predict(mrs, tmp_path / "out") == 2
    reasons = {name: row["reason"] for name, row in table(tmp_path / "out").items()}
    assert set(reasons) == set(names)
    assert reasons.pop("scan.nii") == (
        "named like a NIfTI file, expected a name for a folder. Rename it, or write NIfTI with "
        "--as nifti."
    )
    assert set(reasons.values()) == {
        "named like a file that is written beside the pseudo-CTs. Rename it."
    }
    assert listed(tmp_path / "out") == {"predictions.csv", "qc.html"}


def test_patients_with_such_names_can_be_written_as_nifti(series, tmp_path):
    for name in ("scan.nii", "predictions.csv"):
        shutil.copytree(series, tmp_path / "mrs" / name)
    assert predict(tmp_path / "mrs", tmp_path / "out", "--as", "nifti") == 0
    for name in ("scan.nii", "predictions.csv"):
        record = json.loads((tmp_path / "out" / f"{name}.qc.json").read_text())
        assert record["output"]["kind"] == "nifti"
        assert load_nifti(tmp_path / "out" / f"{name}.nii.gz").array.dtype == np.int16


def test_many_are_not_written_to_a_file(series, tmp_path, capsys, untouched):
    for name in ("a", "b"):
        shutil.copytree(series, tmp_path / "mrs" / name)
    (tmp_path / "out").write_text("mine")
    assert predict(tmp_path / "mrs", tmp_path / "out") == 2
    assert "out: a file, expected a folder for many. Name another" in capsys.readouterr().err


def test_a_series_with_a_subfolder_of_the_same_patient_is_one_patient(tmp_path):
    mr = write_mr(tmp_path / "mr", laid(smooth_mr(), "axial"))
    write_mr(mr / "more", laid(smooth_mr(), "axial"), uid="more")
    assert is_one_patient(mr)
    (tmp_path / "mr" / "empty").mkdir()
    assert is_one_patient(mr)
