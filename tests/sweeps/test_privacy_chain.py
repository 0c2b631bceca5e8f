"""From a patient's DICOM to a pseudo-CT: of all that is written only that names the patient."""

import pydicom
import pytest

from data_prep.phantom_dicom import write_cohort
from data_prep.pipeline import PrepConfig, prepare
from data_prep.sources import find_cases
from pct.__main__ import main
from sweeps.runner import Where
from sweeps.session import run_sweep
from sweeps.tracking import Place
from tests.data_prep.downloads import signed_download
from tests.sweeps.small_sweep import sweep_of

NAME, NUMBER, STATION = "Secret^Name", "MRN12345", "Hidden General"
WORDS = ("Secret", NUMBER, STATION)


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """A TCIA download of six whose headers, folders and files say who they are."""
    table = write_cohort(tmp_path_factory.mktemp("tcia") / "c", num_cases=6, size=48, num_slices=20)
    signs = {"InstitutionName": STATION, "StationName": STATION}
    return signed_download(table.parent, name=NAME, number=NUMBER, **signs)


def hits(folder):
    """Files below `folder` that hold one of the words in their name or among their bytes."""
    return [
        (str(path.relative_to(folder)), word)
        for path in sorted(folder.rglob("*"))
        for word in WORDS
        if word in path.name or (path.is_file() and word.encode() in path.read_bytes())
    ]


@pytest.fixture(scope="module")
def chain(download, tmp_path_factory):
    """OUT with all that preparing, sweeping, promoting, scoring, predicting and reporting leave."""
    out = tmp_path_factory.mktemp("chain")
    config = PrepConfig(size=32, pixel_mm=8.0, max_slices=3, masks="threshold", ids="hash")
    prepare(find_cases("tcia", download), out / "data", config)
    sweep = sweep_of(out / "sweep", out / "data", {"only": {}}, epochs=1)
    uri = f"sqlite:///{out / 'mlflow.db'}"
    run_sweep(sweep, Place(uri, out / "artifacts"), Where(here=True))
    mr = str(download / NAME / f"{NUMBER}-5" / f"MR-{NAME}")
    champion = ["models:/pct@champion", "--tracking", uri]
    lines = [
        ["promote", str(out / "sweep"), "--force", "--note", "a test", "--tracking", uri],
        ["score", *champion, "--data", str(out / "data"), "--split", "test",
         "--to", str(out / "sweep" / "scores.parquet")],
        ["predict", *champion, "--mr", mr, "--to", str(out / "pct.nii.gz")],
        ["predict", *champion, "--mr", mr, "--to", str(out / "dicom")],
        ["report", str(out / "sweep")],
    ]  # fmt: skip
    assert [main(line) for line in lines] == [0] * len(lines)
    return out


def test_no_output_tells_the_patient_but_the_dicom_pseudo_ct_and_the_private_folder(chain):
    found = hits(chain)
    told = {name.split("/")[0] for name, _ in found}
    assert told == {"data.private", "dicom"}
    assert (chain / "pct.qc.json").exists()
    assert (chain / "dicom.qc.png").exists()


def test_the_dicom_pseudo_ct_is_the_patients_and_says_nothing_of_the_hospitals_machines(chain):
    for path in (chain / "dicom").iterdir():
        dataset = pydicom.dcmread(path)
        assert dataset.PatientName == NAME
        assert dataset.PatientID == f"{NUMBER}-5"
        assert "StationName" not in dataset
    assert {word for name, word in hits(chain) if name.startswith("dicom")} == {"Secret", NUMBER}
