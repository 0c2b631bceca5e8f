import json
import os
import shutil
import stat
from dataclasses import replace

import numpy as np
import pytest
import typer
from filelock import FileLock

from data_prep.cli import inspect, phantom, prep
from data_prep.parquet import ShardError
from data_prep.pipeline import BadPrep, PrepConfig, RefusedCase, prepare
from data_prep.privacy import IdError
from data_prep.shards import list_cases, read_case_table, read_manifest, read_slices, read_volumes
from data_prep.sources import find_cases
from data_prep.splits import BadSplit
from data_prep.tasks import Tasks
from data_prep.volume import load_nifti, save_nifti

CONFIG = PrepConfig(size=32, pixel_mm=8.0, max_slices=5, masks="threshold", ids="keep")


def state(folder):
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_ino)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".parquet", ".png", ".json")
    }


def contents(folder):
    return {name: found[0] for name, found in state(folder).items()}


def flip(path):
    volume = load_nifti(path)
    save_nifti(volume.with_array(np.ascontiguousarray(volume.array[::-1])), path)


def test_a_collection_becomes_a_data_folder(made):
    manifest = read_manifest(made)
    assert manifest.num_cases == {"train": 2, "val": 1, "test": 1}
    assert manifest.mask_backends == ("threshold-2",)
    assert manifest.grid.slice_mm == 8.0
    train = read_slices(made, "train")
    assert len(train) == 10
    assert train.valid[:].mean(axis=(1, 2)).min() >= 0.05
    volumes = read_volumes(made, list_cases(made, "test")[0])
    assert volumes.mr_head_window[1] > volumes.mr_head_window[0] >= 0
    assert not any(made.with_name("data.private").glob("work/*.parquet"))


def test_a_second_run_has_nothing_to_do_and_changes_no_byte(data, collection):
    before = state(data)
    heard = []
    prepare(find_cases("synthrad", collection), data, CONFIG, on_case=heard.append)
    assert contents(data) == {name: found[0] for name, found in before.items()}
    assert len(heard) == 4
    unchanged = [name for name, found in state(data).items() if found[1] == before[name][1]]
    assert {name.parts[0] for name in unchanged} >= {"slices", "volumes", "contact"}


def test_a_damaged_shard_is_restored_and_the_rest_left_alone(data, collection, monkeypatch):
    before = contents(data)
    victim = sorted((data / "slices").iterdir())[0]
    victim.write_bytes(b"PAR1 nothing")
    with pytest.raises(ShardError, match="sha256 differs"):
        [read_slices(data, split) for split in ("train", "val")]
    prepare(find_cases("synthrad", collection), data, CONFIG)
    assert contents(data) == before


def test_an_interrupted_run_goes_on_to_the_same_bytes(made, collection, tmp_path):
    class Stop(Exception):
        pass

    def stop_at_third(record):
        seen.append(record)
        if len(seen) == 3:
            raise Stop

    seen = []
    cases = find_cases("synthrad", collection)
    with pytest.raises(Stop):
        prepare(cases, tmp_path / "d", CONFIG, on_case=stop_at_third)
    with pytest.raises(ShardError, match="no finished data folder"):
        read_manifest(tmp_path / "d")
    prepare(cases, tmp_path / "d", CONFIG)
    assert contents(tmp_path / "d") == contents(made)


def test_a_changed_setting_makes_every_case_anew_but_moves_no_patient(data, collection):
    splits = (data / "splits.json").read_bytes()
    digest = read_manifest(data).digest
    smaller = CONFIG.model_copy(update={"max_slices": 4})
    manifest = prepare(find_cases("synthrad", collection), data, smaller)
    assert manifest.num_slices["train"] == 8
    assert manifest.digest != digest
    assert (data / "splits.json").read_bytes() == splits


def test_strict_ends_the_sentence_of_a_reason_once(own_collection, tmp_path):
    victim = own_collection / "Secret-0" / "mr.nii.gz"
    victim.write_bytes(b"no image")
    with pytest.raises(RefusedCase, match=r"Convert it anew\. Mend it, or leave out --strict"):
        prepare(find_cases("synthrad", own_collection), tmp_path / "d", CONFIG, strict=True)


def test_a_mirrored_case_is_refused_with_a_picture_and_the_rest_go_on(data, own_collection):
    victim = list_cases(data, "train")[0]
    flip(own_collection / victim / "mr.nii.gz")
    manifest = prepare(find_cases("synthrad", own_collection), data, CONFIG)
    assert manifest.num_cases == {"train": 1, "val": 1, "test": 1}
    row = next(one for one in read_case_table(data).to_pylist() if one["status"] == "refused")
    assert row["subject"] == victim
    assert row["split"] is None
    assert row["num_slices"] == 0
    assert "mirrored: flipped left-right" in row["reason"]
    assert (data / "contact" / f"{victim}.png").is_file()
    assert not (data / "slices" / f"{victim}.parquet").exists()


def test_strict_stops_at_the_first_refused_case(own_collection, tmp_path):
    flip(own_collection / "Secret-0" / "mr.nii.gz")
    with pytest.raises(RefusedCase, match=r"case Secret-0: .*mirrored.* leave out --strict"):
        prepare(find_cases("synthrad", own_collection), tmp_path / "d", CONFIG, strict=True)


def test_an_unreadable_file_refuses_its_case_alone(data, own_collection):
    victim = list_cases(data, "train")[0]
    (own_collection / victim / "ct.nii.gz").write_bytes(b"not an image")
    prepare(find_cases("synthrad", own_collection), data, CONFIG)
    reasons = {one["subject"]: one["reason"] for one in read_case_table(data).to_pylist()}
    assert [subject for subject, reason in reasons.items() if reason] == [victim]
    assert reasons[victim].startswith("CT: cannot be read as NIfTI")
    assert str(own_collection) not in reasons[victim]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (None, "its CT equals that of case Secret-3 and its MR equals that of case Secret-3: one"),
        ("ct", "its MR equals that of case Secret-3: one patient under two ids; keep one"),
        ("mr", "its CT equals that of case Secret-3: one patient under two ids; keep one"),
    ],
)
def test_one_patient_under_two_ids_is_refused(data, own_collection, other, message):
    shutil.copytree(own_collection / "Secret-3", own_collection / "A-Twin")
    if other is not None:
        path = own_collection / "A-Twin" / f"{other}.nii.gz"
        volume = load_nifti(path)
        volume.array[0, 0, 0] += 1
        save_nifti(volume, path)
    prepare(find_cases("synthrad", own_collection), data, CONFIG)
    row = read_case_table(data).to_pylist()[0]
    assert row["subject"] == "A-Twin"
    assert row["reason"].startswith(message)
    assert not (data / "slices" / "A-Twin.parquet").exists()


def test_a_head_larger_than_the_grid_is_refused_unless_allowed(collection, tmp_path):
    cases = find_cases("synthrad", collection)[:3]
    small = CONFIG.model_copy(update={"pixel_mm": 4.0})
    with pytest.raises(BadSplit, match=r"0 usable of 3 cases.*grid holds [0-9.]+% of the head"):
        prepare(cases, tmp_path / "d", small)
    manifest = prepare(cases, tmp_path / "d", small.model_copy(update={"allow_cut": True}))
    assert manifest.num_cases["train"] == 1


def test_a_patient_who_left_leaves_no_files(data, collection):
    gone = list_cases(data, "train")[0]
    cases = [case for case in find_cases("synthrad", collection) if case.subject != gone]
    splits = (data / "splits.json").read_bytes()
    manifest = prepare(cases, data, CONFIG)
    assert not [path for path in data.rglob("*") if path.stem == gone]
    assert not [name for name in manifest.files if gone in name]
    assert (data / "splits.json").read_bytes() == splits


def test_names_stay_in_the_private_folder_and_the_key_must_stay_the_same(collection, tmp_path):
    hashed = CONFIG.model_copy(update={"ids": "hash"})
    cases, data = find_cases("synthrad", collection)[1:], tmp_path / "data"
    prepare(cases, data, hashed)
    for path in data.rglob("*"):
        assert "Secret" not in path.name
        assert not path.is_file() or b"Secret" not in path.read_bytes()
    private = tmp_path / "data.private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert stat.S_IMODE((private / "key").stat().st_mode) == 0o600
    assert "Secret-3" in (private / "ids.csv").read_text()

    key = private / "key"
    key.write_bytes(b"0" * 64)
    with pytest.raises(IdError, match=r"its ids were made with key \w+, this run has key \w+"):
        prepare(cases, data, hashed)
    key.unlink()
    with pytest.raises(IdError, match=r"is absent\. Use the same `--ids`, put DATA.private back"):
        prepare(cases, data, hashed)
    with pytest.raises(IdError, match="this run has `--ids keep`"):
        prepare(cases, data, CONFIG)


def test_a_kept_id_must_do_as_a_file_name(collection, tmp_path):
    case = replace(find_cases("synthrad", collection)[0], subject="../../x")
    with pytest.raises(IdError, match=r"'\.\./\.\./x' cannot name a file.*--ids hash"):
        prepare([case], tmp_path / "d", CONFIG)


def test_settings_that_contradict_each_other_are_refused():
    crop_of_all = {"arm": "crop", "pixel_mm": "fov"}
    for wrong in ({"pixel_mm": "native"}, {"crop_at": "random"}, crop_of_all):
        with pytest.raises(ValueError, match="does not go with arm"):
            PrepConfig(**wrong)


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(BadPrep, match="holds something, but no data folder"):
        prepare([], tmp_path / "letters", CONFIG)
    assert os.listdir(tmp_path) == ["letters"]


def test_two_runs_at_once_are_refused(data, collection):
    with FileLock(data.with_name("data.private") / "lock"), pytest.raises(BadPrep, match="another"):
        prepare(find_cases("synthrad", collection), data, CONFIG)


def test_the_command_says_what_it_took_and_inspect_what_is_there(data, collection, capsys):
    prep(
        "synthrad", collection, data, size=32, pixel_mm=8.0, max_slices=5, ids="keep",
        masks="threshold",
    )  # fmt: skip
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"taken 4 -> {data} ({count(data)} slices; train 2, val 1, test 1)"
    inspect(data)
    assert "cases          train 2, val 1, test 1" in capsys.readouterr().out
    inspect(data, as_program=True)
    facts = json.loads(capsys.readouterr().out)
    assert facts["status"] == {"taken": 4, "flagged": 0, "refused": 0}
    assert facts["digest"] == read_manifest(data).digest


def test_a_command_with_a_wrong_value_names_the_option(collection, tmp_path):
    with pytest.raises(BadPrep, match=r"--size 1: Input should be greater than or equal to 32"):
        prep("synthrad", collection, tmp_path / "d", size=1)


def test_a_tcia_download_leaves_its_pairing_in_the_private_folder(tmp_path, capsys):
    phantom(tmp_path / "dicom", cases=3, size=64, slices=24)
    assert "next: pct prep tcia" in capsys.readouterr().out
    data = tmp_path / "data"
    prep("tcia", tmp_path / "dicom", data, size=32, pixel_mm=8.0, ids="keep", masks="threshold")
    assert read_manifest(data).num_cases == {"train": 1, "val": 1, "test": 1}
    pairing = (tmp_path / "data.private" / "pairing.csv").read_text().splitlines()
    assert pairing[0] == "subject,series_uid,modality,description,taken,reason"
    assert sum(",True," in row for row in pairing) == 6


def test_a_refused_case_makes_exit_code_three(data, own_collection, capsys):
    flip(own_collection / list_cases(data, "train")[0] / "mr.nii.gz")
    with pytest.raises(typer.Exit) as caught:
        prep(
            "synthrad", own_collection, data, size=32, pixel_mm=8.0, max_slices=5, ids="keep",
            masks="threshold",
        )  # fmt: skip
    assert caught.value.exit_code == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("refused  Secret-")
    assert lines[1].startswith("taken 3, refused 1 -> ")


@pytest.mark.ray
def test_ray_tasks_make_the_same_bytes(made, collection, tmp_path):
    prepare(find_cases("synthrad", collection), tmp_path / "d", CONFIG, tasks=Tasks(2))
    assert contents(tmp_path / "d") == contents(made)


def count(data):
    return sum(read_manifest(data).num_slices.values())
