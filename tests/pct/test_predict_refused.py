"""What `pct predict` refuses of one patient, and in which words."""

import shutil
from pathlib import Path

import pydicom
import pytest

from data_prep.volume import save_nifti
from tests.pct.heads import smooth_mr
from tests.pct.predicting import MODEL, predict, write_ct, write_series


@pytest.fixture(autouse=True)
def identity_model(monkeypatch):
    monkeypatch.setattr("pct.model.load_model", lambda folder, device: MODEL)


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> dict[str, Path]:
    return write_series(tmp_path_factory.mktemp("series"))


def damaged(series: Path, to: Path, how: str) -> Path:
    files = sorted(Path(shutil.copytree(series, to)).iterdir())
    if how == "gap":
        files[10].unlink()
    if how == "cut":
        files[10].write_bytes(files[10].read_bytes()[:-500])
    if how == "tilt":
        for number, file in enumerate(files):
            dataset = pydicom.dcmread(file)
            dataset.ImagePositionPatient[1] += 2.0 * number
            dataset.save_as(file)
    return to


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("gap", "slices missing: 1, first between slice 10 of 23"),
        ("cut", "slice 11 of 24 (z = -12.0 mm): pixels cut short, 3916 of 4416 bytes"),
        ("tilt", "gantry tilt 14.0 degrees"),
    ],
)
def test_a_faulty_series_is_refused_with_its_numbers(series, tmp_path, capsys, how, message):
    mr = damaged(series["axial"], tmp_path / "mr", how)
    assert predict(mr, tmp_path / "pct") == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mr"]


def test_a_ct_is_no_mr(tmp_path, capsys):
    ct = write_ct(tmp_path)
    nameless = pydicom.dcmread(next(ct.iterdir()))
    del nameless.SeriesInstanceUID, nameless.Modality, nameless.ImagePositionPatient
    nameless.save_as(ct / "DICOMDIR")
    assert predict(ct, tmp_path / "pct") == 2
    told = capsys.readouterr().err
    assert "a CT and no MR. A pseudo-CT is made from an MR: name the folder of its series." in told


def test_a_folder_without_any_image_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert predict(tmp_path / "empty", tmp_path / "pct") == 2
    assert "nothing in it that could be an MR. Expected DICOM files" in capsys.readouterr().err


def test_nifti_cannot_become_dicom(tmp_path, capsys):
    save_nifti(smooth_mr(), tmp_path / "mr.nii")
    assert predict(tmp_path / "mr.nii", tmp_path / "pct") == 2
    told = capsys.readouterr().err
    assert "NIfTI has no patient, study or frame of reference for a DICOM series. Give the" in told
    assert f"write NIfTI: --to {tmp_path / 'pct'}.nii.gz." in told


@pytest.mark.parametrize(
    ("to", "words", "message"),
    [
        ("pct.nii", ("--as", "dicom"), "expected a folder, by --as dicom"),
        ("pct", ("--as", "nifti"), "expected a name that ends in .nii or .nii.gz, by --as nifti"),
        ("pct.dcm", (), "expected a name that ends in .nii or .nii.gz, or a folder"),
        ("pct", ("--onto", "ct.nii", "--grid", "mr"), "says the grid already: leave out --grid mr"),
        ("pct", ("--onto", "ct.nii"), "ct.nii: no such file. Correct --onto."),
    ],
)
def test_what_contradicts_itself_is_refused(series, tmp_path, capsys, to, words, message):
    assert predict(series["axial"], tmp_path / to, *words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_mr_is_never_written_over(series, tmp_path, capsys):
    mr = Path(shutil.copytree(series["axial"], tmp_path / "mr"))
    save_nifti(smooth_mr(), tmp_path / "one.nii")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for source, to in (
        (mr, mr), (mr, mr / "pct"), (tmp_path / "one.nii", tmp_path / "mr" / ".." / "one.nii"),
    ):  # fmt: skip
        assert predict(source, to) == 2
        assert "the pseudo-CT would lie in its own MR. Name a place" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_of_something_else_is_left_alone_before_any_work(series, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("years of work")
    assert predict(series["axial"], tmp_path / "out") == 2
    assert "a folder of something else (thesis.docx). Name another" in capsys.readouterr().err
    (tmp_path / "dir.nii").mkdir()
    assert predict(series["axial"], tmp_path / "dir.nii") == 2
    assert {path.name for path in tmp_path.rglob("*")} == {"out", "thesis.docx", "dir.nii"}
    assert predict(series["axial"], tmp_path / "pct") == 0
    capsys.readouterr()
    assert predict(series["oblique"], tmp_path / "pct") == 2
    assert f"{tmp_path / 'pct'}: holds something else" in capsys.readouterr().err
    assert predict(series["axial"], tmp_path / "pct") == 0
