"""`pct predict` a second time, or interrupted: what is whole is kept, nothing is half there."""

import shutil
from pathlib import Path

import pytest
import torch
from pydicom.dataset import Dataset

from data_prep.volume import load_nifti, save_nifti
from pct.prediction import many, one
from tests.pct.heads import smooth_mr
from tests.pct.identity import identity, model_that
from tests.pct.predicting import MODEL, listed, predict, statuses, table


@pytest.fixture(autouse=True)
def identity_model(monkeypatch):
    monkeypatch.setattr("pct.model.load_model", lambda folder, device: MODEL)


@pytest.fixture
def again(through, tmp_path) -> Path:
    """A copy of that output."""
    return Path(shutil.copytree(through, tmp_path / "again"))


def test_the_command_says_a_line_a_patient_and_a_last_one(patients, through, again, capsys):
    assert predict(patients, again) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a-folder: pseudo-CT 46x48x24, kept, ")
    assert lines[0].endswith(f" -> {again / 'a-folder.nii.gz'}")
    assert lines[3].startswith(f"d-ct: failed: {patients / 'd-ct'}: a CT and no MR")
    assert lines[4] == f"exp1@6: 3 pseudo-CTs of 4 -> {again} (predictions.csv, qc.html)"
    assert len(lines) == 5


def test_a_second_run_keeps_what_is_whole_and_predicts_nothing(patients, again, monkeypatch):
    def never(*args):
        raise AssertionError("predicted again")

    before = {path: path.stat().st_mtime_ns for path in again.rglob("*") if "qc.json" in path.name}
    with monkeypatch.context() as patch:
        patch.setattr(one, "predict_prepared", never)
        assert predict(patients, again) == 3
    assert statuses(again) == ["kept", "kept", "kept", "failed"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "a CT and no MR" in (again / "qc.html").read_text()


@pytest.mark.parametrize(
    "loss",
    [
        "a-folder.nii.gz",
        "a-folder.qc.json",
        "a-folder.qc.png",
        "b-series",
        "a-folder torn",
        "a-folder poor",
    ],
)
def test_a_second_run_makes_anew_what_is_not_whole(patients, again, through, loss):
    name = loss.split(".")[0].split()[0]
    if " " in loss:
        text = {"torn": '{"format": 1, "mod', "poor": '{"format": 1, "model": {}}'}[loss.split()[1]]
        (again / "a-folder.qc.json").write_text(text)
    elif (again / loss).is_dir():
        shutil.rmtree(again / loss)
    else:
        (again / loss).unlink()
    assert predict(patients, again) == 3
    assert {row["name"] for row in table(again).values() if row["status"] == "done"} == {name}
    for path in (path for path in through.rglob("*") if path.name.startswith(name)):
        assert (again / path.relative_to(through)).exists()


def test_a_second_run_by_another_way_or_model_is_no_second_run(patients, again, monkeypatch):
    paler = model_that(lambda mr: 0.5 * mr, grid=MODEL.grid)
    monkeypatch.setattr("pct.model.load_model", lambda folder, device: paler)
    assert predict(patients, again, "--background", "air") == 3
    assert statuses(again) == ["done", "failed", "done", "failed"]
    told = table(again)["b-series"]["reason"]
    assert "holds something else" in told, "a series is not written over"
    shutil.rmtree(again / "b-series")
    assert predict(patients, again, "--background", "air", "--as", "nifti") == 3
    assert statuses(again) == ["kept", "done", "kept", "failed"]
    other = model_that(identity, grid=MODEL.grid)
    torch.nn.init.ones_(next(other.generator.parameters()))
    monkeypatch.setattr("pct.model.load_model", lambda folder, device: other)
    assert predict(patients, again, "--background", "air", "--as", "nifti") == 3
    assert statuses(again) == ["done", "done", "done", "failed"]


@pytest.mark.parametrize(
    "loss", ["a-folder.nii.gz", "a-folder.qc.png", "b-series/ct-0007.dcm", "b-series/ct-0024.dcm"]
)
def test_a_second_run_makes_anew_what_was_cut_short(patients, again, through, loss):
    name = loss.split("/")[0].split(".")[0]
    whole = (again / loss).read_bytes()
    (again / loss).write_bytes(whole[:-100])
    assert predict(patients, again) == 3
    if name == "a-folder":
        assert {row["name"] for row in table(again).values() if row["status"] == "done"} == {name}
        assert (again / loss).read_bytes() == whole
    else:
        assert statuses(again) == ["kept", "failed", "kept", "failed"]
        told = table(again)[name]["reason"]
        assert told.endswith(f"of an earlier run and perhaps of another MR: {name}.")


def test_a_second_run_overlooks_what_other_programs_leave_in_a_series(patients, again):
    (again / "b-series" / ".DS_Store").write_text("x")
    (again / "b-series" / "Thumbs.db").write_text("x")
    assert predict(patients, again) == 3
    assert statuses(again) == ["kept", "kept", "kept", "failed"]
    shutil.copy(again / "b-series" / "ct-0001.dcm", again / "b-series" / "copy.dcm")
    assert predict(patients, again) == 3
    assert statuses(again) == ["kept", "failed", "kept", "failed"]


def test_what_is_left_of_an_mr_that_fails_now_is_told(patients, again, tmp_path, capsys):
    mrs = Path(shutil.copytree(patients, tmp_path / "mrs"))
    shutil.copy(mrs / "a-folder" / "ct.nii.gz", mrs / "a-folder" / "mr.mha")
    (mrs / "c & <i>.nii.gz").write_bytes(b"no image")
    assert predict(mrs, again) == 3
    assert statuses(again) == ["failed", "kept", "failed", "failed"]
    left = "Still there, of an earlier run and perhaps of another MR: "
    rows = table(again)
    assert rows["a-folder"]["reason"].endswith(f"Remove the others. {left}a-folder.nii.gz.")
    assert rows["c & <i>"]["reason"].endswith(f"Convert it anew. {left}c & <i>.nii.gz.")
    assert left not in rows["d-ct"]["reason"]
    assert (again / "qc.html").read_text().count(f"{left}a-folder.nii.gz.") == 2
    assert f"{left}a-folder.nii.gz." in capsys.readouterr().out


def test_an_interrupted_second_run_leaves_no_page_of_the_first(patients, again, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    assert (again / "qc.html").exists()
    monkeypatch.setattr(many, "predict_one", interrupted)
    assert predict(patients, again) == 130
    assert not (again / "qc.html").exists()


def test_a_changed_mr_is_predicted_anew(patients, again, tmp_path):
    mrs = Path(shutil.copytree(patients, tmp_path / "mrs"))
    changed = smooth_mr().with_array(smooth_mr().array[::-1])
    save_nifti(changed, mrs / "a-folder" / "mr.nii.gz")
    save_nifti(changed, mrs / "c & <i>.nii")
    (mrs / "c & <i>.nii.gz").unlink()
    before = load_nifti(again / "a-folder.nii.gz").array
    assert predict(mrs, again) == 3
    assert statuses(again) == ["done", "kept", "done", "failed"]
    assert (load_nifti(again / "a-folder.nii.gz").array != before).mean() > 0.05


def test_an_interrupted_run_goes_on_where_it_was(patients, tmp_path, monkeypatch, capsys):
    predict_prepared, calls = one.predict_prepared, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict_prepared(*args)

    monkeypatch.setattr(one, "predict_prepared", interrupted)
    assert predict(patients, tmp_path / "out") == 130
    assert statuses(tmp_path / "out") == ["done"]
    made = {"a-folder.nii.gz", "a-folder.qc.json", "a-folder.qc.png", "predictions.csv"}
    assert listed(tmp_path / "out") == made
    assert predict(patients, tmp_path / "out") == 3
    assert statuses(tmp_path / "out") == ["kept", "done", "done", "failed"]
    assert len(calls) == 4


@pytest.mark.parametrize("where", ["look_over", "qc_picture", "save_nifti", "as_json"])
def test_a_failure_on_the_way_leaves_the_old_or_nothing(patients, tmp_path, monkeypatch, where):
    def fails(*args, **options):
        raise OSError(28, "No space left on device", "disk")

    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*")}

    mr, to = patients / "a-folder", tmp_path / "out" / "pct.nii.gz"
    with monkeypatch.context() as patch:
        patch.setattr(one, where, fails)
        assert predict(mr, to) == 2
    left = content()
    assert set(left) <= ({"pct.nii.gz"} if where == "as_json" else set())
    assert predict(mr, to) == 0
    before = content()
    with monkeypatch.context() as patch:
        patch.setattr(one, where, fails)
        assert predict(mr, to, "--background", "air") == 2
    after = content()
    if where in ("save_nifti", "as_json"):
        assert "pct.qc.json" not in after, "a record of another pseudo-CT"
    else:
        assert after == before


def test_a_series_that_fails_on_the_way_is_not_there(patients, tmp_path, monkeypatch):
    save_as = Dataset.save_as

    def fails(dataset, path, **options):
        if path.name.startswith("ct-0010"):
            raise OSError(28, "No space left on device", "disk")
        save_as(dataset, path, **options)

    (tmp_path / "out").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "save_as", fails)
        assert predict(patients / "b-series", tmp_path / "out" / "pct") == 2
    assert listed(tmp_path / "out") == set()
    assert predict(patients / "b-series", tmp_path / "out" / "pct") == 0
    assert listed(tmp_path / "out") == {"pct", "pct.qc.json", "pct.qc.png"}


def test_the_table_grows_with_each_patient(patients, tmp_path, monkeypatch):
    seen, predict_one = [], many.predict_one

    def looks(*args, **options):
        seen.append(statuses(tmp_path) if (tmp_path / "predictions.csv").exists() else [])
        return predict_one(*args, **options)

    monkeypatch.setattr(many, "predict_one", looks)
    assert predict(patients, tmp_path) == 3
    assert seen == [[], ["done"], ["done", "done"]]
