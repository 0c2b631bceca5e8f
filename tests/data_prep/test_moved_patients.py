"""splits.json is the truth: whoever moves a patient there finds the folder moved."""

import json

import pytest

from data_prep.pipeline import prepare
from data_prep.shards import list_cases, read_manifest, read_slices, read_volumes
from data_prep.sources import find_cases
from data_prep.splits import BadSplit


def move(data, patient, split):
    path = data / "splits.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), patient: split}))


def test_a_patient_moved_from_train_to_test_leaves_no_slices_and_has_volumes(
    data, collection, config
):
    patient = list_cases(data, "train")[0]
    move(data, patient, "test")
    manifest = prepare(find_cases("synthrad", collection), data, config)
    assert manifest.num_cases == {"train": 1, "val": 1, "test": 2}
    assert patient in list_cases(data, "test")
    assert patient not in read_slices(data, "train").subject
    assert not (data / "slices" / f"{patient}.parquet").exists()
    assert read_volumes(data, patient).split == "test"


def test_a_patient_moved_to_and_fro_is_as_before(data, collection, config):
    patient = list_cases(data, "train")[0]
    digest = read_manifest(data).digest
    for split in ("val", "train"):
        move(data, patient, split)
        manifest = prepare(find_cases("synthrad", collection), data, config)
    assert manifest.digest == digest
    assert not (data / "volumes" / f"{patient}.parquet").exists()


def test_a_split_that_is_none_is_refused(data, collection, config):
    move(data, list_cases(data, "train")[0], "tset")
    with pytest.raises(BadSplit, match=r"splits\.json: Secret-\d: 'tset'\. Expected one of train"):
        prepare(find_cases("synthrad", collection), data, config)
