"""A corrected pairing.csv is taken back, and all its mistakes come at once."""

import csv
import shutil
from pathlib import Path

import pytest

from data_prep.by_hand import was_edited
from data_prep.cli import prep
from data_prep.phantom_dicom import write_cohort
from data_prep.pipeline import BadPrep, PrepConfig, prepare
from data_prep.sources import BadInput, find_pairs
from tests.data_prep.downloads import (
    add_copy,
    add_object,
    folder_of,
    frame_of,
    rows_of,
    structures,
    write_rows,
)

CONFIG = PrepConfig(size=32, pixel_mm=8.0, max_slices=5, masks="threshold", ids="keep")
COLUMNS = ("subject", "series_uid", "modality", "description", "taken", "reason")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two subjects; the first has a second MR without "T1" in its name, and one elsewhere."""
    root = write_cohort(tmp_path_factory.mktemp("t") / "c", num_cases=2, size=16, num_slices=5)
    rows = rows_of(root.parent)
    contrast = add_copy(root.parent, rows, 1, "1.61") | {"Series Description": "AX +C"}
    elsewhere = add_copy(root.parent, rows, 1, "1.62", FrameOfReferenceUID="1.2.3")
    partial = dict(contrast, **{"Series UID": "1.63", "Number of Images": "9"})
    plan = structures(frame_of(root.parent, rows[0]), [], name="Tumour")
    plan = add_object(root.parent, rows[0], "1.64", "RTSTRUCT", plan)
    report = dict(rows[0], **{"Series UID": "1.65", "Modality": "SR"})
    write_rows(root.parent, [*rows, contrast, elsewhere, partial, plan, report, rows[0]])
    return root.parent


@pytest.fixture
def cohort(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "cohort"))


@pytest.fixture
def uids(cohort):
    """Of CT and MR of the first subject, then of the second."""
    return [row["Series UID"] for row in rows_of(cohort)[:4]]


def corrected(cohort, **taken):
    """The rule's pairing.csv with some series' `taken` replaced; keys are UIDs, _ for a dot."""
    wanted = {uid.removeprefix("u").replace("_", "."): word for uid, word in taken.items()}
    path = cohort / "mine.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for one in find_pairs(cohort).candidates:
            row = {name: getattr(one, name) for name in COLUMNS}
            writer.writerow(row | {"taken": wanted.get(one.series_uid, one.taken)})
    return path


def key(uid):
    return "u" + uid.replace(".", "_")


def told(pairing):
    return {c.series_uid: (c.taken, c.reason) for c in pairing.candidates if c.reason[:3] != "lis"}


def test_a_file_that_was_not_edited_changes_nothing(cohort):
    rule = find_pairs(cohort)
    again = find_pairs(cohort, corrected(cohort))
    assert again.cases == rule.cases
    assert again.candidates == rule.candidates


def test_another_mr_may_be_taken_whatever_its_description(cohort, uids):
    path = corrected(cohort, **{key(uids[1]): "no", "u1_61": "yes"})
    pairing = find_pairs(cohort, path)
    assert pairing.cases[0].mr == folder_of(cohort, rows_of(cohort)[4]).resolve()
    found = told(pairing)
    assert found["1.61"] == (True, "taken by hand")
    assert found[uids[1]] == (False, "left out by hand")
    assert found[uids[0]] == (True, "CT and T1 MR in one frame of reference")
    assert len(pairing.candidates) == len(rows_of(cohort))


def test_a_subject_with_nothing_taken_is_no_case(cohort, uids):
    pairing = find_pairs(cohort, corrected(cohort, **{key(uid): "False" for uid in uids[:2]}))
    assert [case.subject for case in pairing.cases] == ["PHANTOM-001"]
    assert pairing.num_left_out == 1
    assert told(pairing)[uids[0]] == (False, "left out by hand")


def test_a_subject_that_the_file_leaves_out_is_paired_by_the_rule(cohort, uids):
    path = cohort / "short.csv"
    path.write_text(f"series_uid,taken\n{uids[0]},1\n1.61,1\n")
    pairing = find_pairs(cohort, path)
    assert [case.subject for case in pairing.cases] == ["PHANTOM-000", "PHANTOM-001"]
    assert told(pairing)["1.61"] == (True, "taken by hand")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"u1_61": "True"}, "lines 2, 3, 4: 2 MR of one subject, expected 1"),
        ({"CT": "False"}, "lines 3: 0 CT of one subject, expected 1"),
        ({"MR": "no", "u1_62": "yes"}, "CT and MR are in different frames of reference; resample"),
        ({"MR": "no", "u1_63": "yes"}, "line 6: 5 of 9 files are there: download it again"),
        ({"u1_61": "maybe"}, "line 4: taken is 'maybe', expected True or False"),
        ({"u1_65": "True"}, "modality SR cannot be taken"),
    ],
)
def test_what_is_no_pair_is_refused_with_its_lines(cohort, uids, changes, message):
    named = {"CT": key(uids[0]), "MR": key(uids[1])}
    path = corrected(cohort, **{named.get(name, name): word for name, word in changes.items()})
    with pytest.raises(BadInput, match=r"mine\.csv: 1 mistake: .*Correct the file") as caught:
        find_pairs(cohort, path)
    assert message in str(caught.value)


def test_all_mistakes_come_at_once(cohort, uids):
    path = cohort / "wrong.csv"
    path.write_text(f"series_uid,taken\n{uids[0]},1\n9.9,1\n{uids[3]},perhaps\n")
    with pytest.raises(BadInput) as caught:
        find_pairs(cohort, path)
    for message in (
        "line 3: the download lists no such series",
        "line 4: taken is 'perhaps'",
        "lines 2: 0 MR of one subject",
    ):
        assert message in str(caught.value)


def test_a_structure_set_without_a_head_cannot_be_taken(cohort):
    with pytest.raises(BadInput, match="taken by hand, but outlines no head"):
        find_pairs(cohort, corrected(cohort, u1_64="True"))


@pytest.mark.parametrize("text", [None, "", "subject,taken\n"])
def test_a_file_that_is_absent_or_has_no_columns_says_so(cohort, text):
    path = cohort / "mine.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput, match=r"mine\.csv: (no such|has no column .*series_uid).*pairing"):
        find_pairs(cohort, path)


def test_pairing_has_no_use_where_cases_are_pairs(tmp_path):
    with pytest.raises(BadInput, match="--pairing has no use with nifti"):
        prep("nifti", tmp_path, tmp_path / "data", pairing=tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("old", "new", "edited"),
    [("", "", False), (",True,", ",False,", True), (",True,", ",yes,", True), (",", ";", True)],
)
def test_an_edited_pairing_is_told_from_the_rule_s(cohort, old, new, edited):
    path = corrected(cohort)
    path.write_text(path.read_text().replace(old, new) if old else path.read_text())
    assert was_edited(path) is edited


def test_a_pairing_corrected_by_hand_is_not_drawn_up_anew(tmp_path, capsys):
    cohort = write_cohort(tmp_path / "c", num_cases=4, size=48, num_slices=20).parent
    data, private = tmp_path / "data", tmp_path / "data.private"
    dropped = {key(row["Series UID"]): "False" for row in rows_of(cohort)[:2]}
    ours = {"size": 32, "pixel_mm": 8.0, "masks": "threshold", "ids": "keep"}
    prep("tcia", cohort, data, **ours, pairing=corrected(cohort, **dropped))
    assert "1 subject left out by --pairing" in capsys.readouterr().out
    first = (private / "pairing.csv").read_bytes()
    assert first.count(b"left out by hand") == 2

    with pytest.raises(BadPrep, match=r"pairing\.csv: was corrected by hand, .*--pairing"):
        prepare(find_pairs(cohort), data, CONFIG)
    manifest = (data / "manifest.json").read_bytes()
    prep("tcia", cohort, data, **ours, pairing=private / "pairing.csv")
    assert (private / "pairing.csv").read_bytes() == first
    assert (data / "manifest.json").read_bytes() == manifest
