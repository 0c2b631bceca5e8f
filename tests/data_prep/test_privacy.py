"""Nothing in DATA tells who a patient is, whatever files, folders and series are called."""

import shutil
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from filelock import FileLock

from data_prep.cli import prep
from data_prep.phantom_dicom import write_cohort
from data_prep.pipeline import BadPrep, PrepConfig, prepare
from data_prep.privacy import IdError, open_pseudonyms, store_ids
from data_prep.shards import read_case_table
from data_prep.sources import BadCase, find_cases
from data_prep.splits import BadSplit
from tests.data_prep.downloads import signed_download

HASHED = PrepConfig(size=32, pixel_mm=8.0, max_slices=5, masks="threshold", ids="hash")
NAME, NUMBER = "Secret^Name", "MRN12345"


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    """A TCIA download of four that says who they are wherever it can; MRN12345-0 has faults."""
    table = write_cohort(tmp_path_factory.mktemp("tcia") / "c", num_cases=4, size=48, num_slices=20)
    return signed_download(table.parent, name=NAME, number=NUMBER)


def spoil(ct):
    """Two series, doubled and missing slices, one without pixels: all that names a slice."""
    files = sorted(ct.iterdir())
    files[5].unlink()
    shutil.copy(files[8], ct / f"{NAME}-again.dcm")
    dataset = pydicom.dcmread(files[2])
    dataset.SeriesInstanceUID = f"{dataset.SeriesInstanceUID[:-12]}987612345678"
    dataset.save_as(files[2])
    return str(pydicom.dcmread(files[0]).SeriesInstanceUID)


def hits(data: Path, words):
    """Files below `data` that hold one of `words` in their name or among their bytes."""
    return [
        (str(path.relative_to(data)), word)
        for path in sorted(data.rglob("*"))
        for word in words
        if word in path.name or (path.is_file() and word.encode() in path.read_bytes())
    ]


def test_no_file_of_a_data_folder_tells_a_patient(download, tmp_path):
    uid = spoil(download / NAME / f"{NUMBER}-0" / f"CT-{NAME}")
    data = tmp_path / "data"
    prepare(find_cases("tcia", download), data, HASHED)
    refused = [one for one in read_case_table(data).to_pylist() if one["status"] == "refused"]
    assert len(refused) == 1
    assert "2 series" in refused[0]["reason"]
    assert "slices missing: 1, first between slice 5 of 20 (z = " in refused[0]["reason"]
    assert "doubled slices: 1, first between slice 8 of 20 (z = " in refused[0]["reason"]
    words = ("Secret", NAME, NUMBER, uid, uid[-12:], "987612345678")
    assert hits(data, words) == []
    assert [word for word in words if word in str(read_case_table(data).to_pylist())] == []
    assert NUMBER in (tmp_path / "data.private" / "ids.csv").read_text()


def test_a_foreign_message_that_quotes_the_patient_is_cleaned(download, tmp_path, monkeypatch):
    def quote(case):
        raise BadCase(f"CT: {case.ct / 'x.dcm'} of {case.subject} ({case.mr.name}): 1234 of 9 mm")

    monkeypatch.setattr("data_prep.one_case.load_pair", quote)
    with pytest.raises(BadSplit) as caught:
        prepare(find_cases("tcia", download), tmp_path / "data", HASHED)
    assert "CT: (hidden)/x.dcm of (hidden) ((hidden)): 1234 of 9 mm" in str(caught.value)
    assert "Secret" not in str(caught.value)
    assert NUMBER not in str(caught.value)


class Stopped(Exception):
    pass


@pytest.fixture
def stopped(collection, tmp_path):
    """A data folder whose first run was interrupted after one case: no manifest yet."""

    def stop(record):
        raise Stopped

    with pytest.raises(Stopped):
        prepare(find_cases("synthrad", collection), tmp_path / "d", HASHED, on_case=stop)
    assert not (tmp_path / "d" / "manifest.json").exists()
    return tmp_path / "d"


def test_another_key_or_policy_is_refused_before_there_is_a_manifest(stopped, collection):
    cases = find_cases("synthrad", collection)
    with pytest.raises(IdError, match=r"were made with key \w+, this run has `--ids keep`\. Use"):
        prepare(cases, stopped, HASHED.model_copy(update={"ids": "keep"}))
    key = stopped.with_name("d.private") / "key"
    key.write_bytes(b"0" * 64)
    with pytest.raises(IdError, match=r"were made with key (\w+), this run has key (?!\1)\w+\."):
        prepare(cases, stopped, HASHED)


@pytest.mark.parametrize("without_fingerprint", [False, True])
def test_a_key_deleted_before_there_is_a_manifest_is_not_made_anew(
    stopped, collection, without_fingerprint
):
    key = stopped.with_name("d.private") / "key"
    key.unlink()
    if without_fingerprint:
        key.with_name("fingerprint").unlink()
    with pytest.raises(IdError, match=r"key .+, and \S+/d\.private/key is absent\."):
        prepare(find_cases("synthrad", collection), stopped, HASHED)
    assert not key.exists()


def test_kept_ids_stay_kept_before_there_is_a_manifest(tmp_path):
    names = open_pseudonyms(tmp_path / "d", "keep")
    store_ids(tmp_path / "d", names, {"a": "a"})
    with pytest.raises(IdError, match=r"were made with `--ids keep`, and .* is absent"):
        open_pseudonyms(tmp_path / "d", "hash")


def test_ids_that_cannot_be_kept_may_be_hidden_next(collection, tmp_path):
    odd = replace(find_cases("synthrad", collection)[0], subject="Ann/Other")
    with pytest.raises(IdError, match="--ids hash"):
        prepare([odd], tmp_path / "d", HASHED.model_copy(update={"ids": "keep"}))
    assert open_pseudonyms(tmp_path / "d", "hash").of("Ann/Other").startswith("p")


def test_a_refused_foreign_folder_gets_no_private_folder(download, tmp_path):
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "a.txt").write_text("dear")
    with pytest.raises(BadPrep, match="holds something, but no data folder"):
        prep("tcia", download, letters)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "letters"]


def test_pairing_is_not_rewritten_while_another_run_writes(download, tmp_path):
    private = tmp_path / "d.private"
    private.mkdir()
    with FileLock(private / "lock"), pytest.raises(BadPrep, match="another `pct prep`"):
        prep("tcia", download, tmp_path / "d")
    assert not (private / "pairing.csv").exists()
