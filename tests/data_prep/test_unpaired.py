"""Patients without a usable pair: a refused row with its reason, and the rest go on."""

import json
import shutil

import pytest
import typer

from data_prep import tasks
from data_prep.cli import inspect, prep
from data_prep.phantom_dicom import write_cohort
from data_prep.pipeline import PrepConfig, RefusedCase, prepare
from data_prep.privacy import open_pseudonyms
from data_prep.shards import read_case_table, read_manifest
from data_prep.sources import BadInput, find_cases, find_pairs
from data_prep.split_rules import SplitRule
from tests.data_prep.downloads import add_copy, folder_of, rows_of, write_rows
from tests.data_prep.test_killed import contents, run_killed

CONFIG = PrepConfig(size=32, pixel_mm=8.0, max_slices=5, masks="threshold", ids="hash")
SAME = {"size": 32, "pixel_mm": 8.0, "max_slices": 5, "masks": "threshold"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Six subjects; three of them have no usable pair, each for another reason."""
    cohort = write_cohort(tmp_path_factory.mktemp("u") / "c", num_cases=6, size=48, num_slices=20)
    rows = rows_of(cohort.parent)
    sorted(folder_of(cohort.parent, rows[0]).iterdir())[7].unlink()  # PHANTOM-000, its CT
    elsewhere = add_copy(cohort.parent, rows, 3, "1.7", FrameOfReferenceUID="1.2.3")
    rows[5]["Series Description"] = "AX T2 FLAIR"
    write_rows(cohort.parent, [*rows[:3], elsewhere, *rows[4:]])
    return cohort.parent


@pytest.fixture
def cohort(written, tmp_path):
    return shutil.copytree(written, tmp_path / "c")


REASONS = {
    "PHANTOM-000": "no usable pair (CT: 19 of 20 files are there: download it again; "
    "MR: no CT in its frame of reference)",
    "PHANTOM-001": "no usable pair (CT: no T1 MR in its frame of reference; "
    "MR: no CT in its frame of reference)",
    "PHANTOM-002": "no usable pair (CT: no T1 MR in its frame of reference; "
    "MR: its description does not say T1)",
}


def test_a_subject_without_a_pair_is_a_refused_row_under_its_pseudonym(cohort, tmp_path, capsys):
    data = tmp_path / "d"
    with pytest.raises(typer.Exit) as caught:
        prep("tcia", cohort, data, **SAME)
    assert caught.value.exit_code == 3
    assert "taken 3, refused 3 -> " in capsys.readouterr().out
    names = open_pseudonyms(data, "hash")
    rows = {row["subject"]: row for row in read_case_table(data).to_pylist()}
    for subject, reason in REASONS.items():
        row = rows[names.of(subject)]
        assert (row["status"], row["reason"], row["split"]) == ("refused", reason, None)
    assert sorted(json.loads((data / "splits.json").read_text())) == sorted(
        names.of(f"PHANTOM-00{number}") for number in (3, 4, 5)
    )
    inspect(data)
    assert f"{names.of('PHANTOM-000')}: no usable pair (CT: 19 of 20" in capsys.readouterr().out


def test_strict_stops_at_a_subject_without_a_pair_before_any_other_is_prepared(
    cohort, tmp_path, monkeypatch
):
    true, prepared = tasks.prepare_case, []
    monkeypatch.setattr(tasks, "prepare_case", lambda job: prepared.append(job) or true(job))
    with pytest.raises(RefusedCase, match=r"case p\w{12}: no usable pair .* leave out --strict"):
        prepare(find_pairs(cohort), tmp_path / "d", CONFIG, strict=True)
    assert len(prepared) == 1


def test_a_run_with_unpaired_subjects_killed_and_resumed_ends_in_the_same_bytes(cohort, tmp_path):
    keep = CONFIG.model_copy(update={"ids": "keep"})
    prepare(find_pairs(cohort), tmp_path / "whole", keep)
    arguments = (find_pairs(cohort), tmp_path / "killed", keep)
    for kill in ((3, True), (7, False), (9, True)):
        assert run_killed(arguments, kill)
    prepare(*arguments)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_download_made_whole_turns_the_row_into_a_case(cohort, written, tmp_path):
    data = tmp_path / "d"
    prepare(find_pairs(cohort), data, CONFIG)
    row = rows_of(cohort)[0]
    shutil.copy(sorted(folder_of(written, row).iterdir())[0], folder_of(cohort, row) / "x.dcm")
    assert len(find_pairs(cohort).cases) == 6
    prepare(find_pairs(cohort), data, CONFIG)
    name = open_pseudonyms(data, "hash").of("PHANTOM-000")
    found = {row["subject"]: row["reason"] for row in read_case_table(data).to_pylist()}
    assert "doubled slices: 1" in found[name], "it is looked at again"


def test_splits_by_hand_need_not_name_a_subject_without_a_pair(cohort, tmp_path):
    words = {"PHANTOM-003": "train", "PHANTOM-004": "val", "PHANTOM-005": "test"}
    for number, named in enumerate((words, words | {"PHANTOM-000": "train"})):
        rule = SplitRule("file", by_hand=tuple(named.items()))
        data = tmp_path / f"d{number}"
        prepare(find_pairs(cohort), data, CONFIG.model_copy(update={"split": rule}))
        assert len(json.loads((data / "splits.json").read_text())) == 3
        assert read_manifest(data).num_cases == {"train": 1, "val": 1, "test": 1}


def test_a_download_without_any_pair_is_an_error(cohort):
    write_rows(cohort, rows_of(cohort)[:6])
    with pytest.raises(BadInput, match=r"no pair among 6 series"):
        find_pairs(cohort)


def test_incomplete_synthrad_folders_refuse_their_patients_alone(own_collection, tmp_path):
    whole = own_collection / "Secret-0"
    for name, files in (
        ("Secret^NoCt", {"mr.nii.gz": "mr"}),
        ("Secret^NoMr", {"ct.nii.gz": "ct", "mask.nii.gz": "ct"}),
        ("Secret^TwoMr", {"mr.nii.gz": "mr", "mr.nii": "mr", "ct.nii.gz": "ct"}),
    ):
        (own_collection / name).mkdir()
        for file, source in files.items():
            shutil.copy(whole / f"{source}.nii.gz", own_collection / name / file)
    data, cases = tmp_path / "d", find_cases("synthrad", own_collection)
    assert prepare(cases, data, CONFIG).num_cases == {"train": 2, "val": 1, "test": 1}
    names = open_pseudonyms(data, "hash")
    rows = {row["subject"]: row for row in read_case_table(data).to_pylist()}
    expected = "expected one mr and one ct, at most one mask; add or remove files"
    for name, found in (("NoCt", "no ct"), ("NoMr", "no mr"), ("TwoMr", "two mr")):
        row = rows[names.of(f"Secret^{name}")]
        assert (row["status"], row["split"]) == ("refused", None)
        assert row["reason"] == f"its folder has {found}, {expected}"
        assert (data / "contact" / f"{row['subject']}.png").is_file(), "what is there is drawn"
    assert not any("Secret" in str(row) for row in rows.values())
    with pytest.raises(RefusedCase, match=r"case p\w{12}: its folder has no ct, expected"):
        prepare(cases[:5], tmp_path / "s", CONFIG, strict=True)


def test_the_rules_own_pairing_handed_back_still_refuses_those_without_a_pair(cohort, tmp_path):
    prepare(find_pairs(cohort), tmp_path / "d", CONFIG)
    again = find_pairs(cohort, tmp_path / "d.private" / "pairing.csv")
    faults = {case.subject: case.fault for case in again.cases if case.fault}
    assert set(faults) == set(REASONS)
    assert len(again.cases) == 6
    assert again.num_left_out == 0
