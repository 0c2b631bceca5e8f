"""Pairs in a TCIA download, and why each of its series was taken or not."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from data_prep.phantom_dicom import write_cohort
from data_prep.series import is_t1
from data_prep.sources import BadCase, BadInput, Case, find_cases, find_pairs, load_pair
from tests.data_prep.downloads import add_copy, folder_of, rows_of, write_rows


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tcia") / "cohort"
    return write_cohort(folder, num_cases=2, size=16, num_slices=5).parent


@pytest.fixture
def cohort(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "cohort"))


def reasons(cohort):
    return {c.series_uid: (c.taken, c.reason) for c in find_pairs(cohort).candidates}


def test_a_tcia_download_gives_a_pair_a_subject(cohort):
    cases = find_cases("tcia", cohort)
    assert [case.subject for case in cases] == ["PHANTOM-000", "PHANTOM-001"]
    assert all(case.kind == "dicom" for case in cases)
    mr, ct = load_pair(cases[0])
    assert (mr.array.dtype, ct.array.dtype) == (np.float32, np.int16)
    assert mr.array.shape == ct.array.shape == (16, 16, 5)


def test_a_download_may_lie_one_folder_down(cohort):
    inner = cohort / "manifest-1"
    inner.mkdir()
    shutil.move(cohort / "PHANTOM", inner / "PHANTOM")
    shutil.move(cohort / "metadata.csv", inner / "metadata.csv")
    assert len(find_cases("tcia", cohort)) == 2


def test_other_spellings_of_the_columns_are_known(cohort):
    spelt = {"Series UID": "SeriesInstanceUID", "Subject ID": "PatientID",
             "Series Description": "SeriesDescription"}  # fmt: skip
    rows = [{spelt.get(k, k): v for k, v in row.items()} for row in rows_of(cohort)]
    write_rows(cohort, rows)
    assert len(find_cases("tcia", cohort)) == 2


def test_a_missing_column_is_named(cohort):
    rows = [{k: v for k, v in row.items() if k != "Modality"} for row in rows_of(cohort)]
    write_rows(cohort, rows)
    with pytest.raises(BadInput, match=r"no column for modality; it has Series UID.*Expected"):
        find_pairs(cohort)


def test_every_series_has_a_reason(cohort):
    rows = rows_of(cohort)
    flair = add_copy(cohort, rows, 1, "1.9.1") | {"Series Description": "AX T2 FLAIR"}
    elsewhere = add_copy(cohort, rows, 1, "1.9.2", FrameOfReferenceUID="1.2.3")
    fewer = add_copy(cohort, rows, 1, "1.9.3") | {"Number of Images": "4"}
    next(folder_of(cohort, fewer).iterdir()).unlink()
    partial = dict(fewer, **{"Series UID": "1.9.6", "Number of Images": "5"})
    absent = dict(rows[1], **{"Series UID": "1.9.4", "File Location": ".\\PHANTOM\\gone"})
    plan = dict(rows[1], **{"Series UID": "1.9.5", "Modality": "SEG"})
    write_rows(cohort, [flair, elsewhere, fewer, partial, absent, plan, *rows, rows[0]])
    found = {c.series_uid: (c.taken, c.reason) for c in find_pairs(cohort).candidates}
    assert found["1.9.1"] == (False, "its description does not say T1")
    assert found["1.9.2"] == (False, "no CT in its frame of reference")
    assert found["1.9.3"] == (False, "another pair of this subject has more images")
    assert found["1.9.4"] == (False, "its folder is absent")
    assert found["1.9.6"] == (False, "4 of 5 files are there: download it again")
    assert found["1.9.5"] == (False, "neither CT nor MR")
    assert [c.reason for c in find_pairs(cohort).candidates].count("listed before") == 1
    assert find_pairs(cohort).cases[0].mr == folder_of(cohort, rows[1]).resolve()


def test_among_equal_pairs_the_choice_does_not_hang_on_the_order_of_rows(cohort):
    rows = rows_of(cohort)
    rows.append(add_copy(cohort, rows, 1, "1.1"))
    write_rows(cohort, rows)
    first = find_pairs(cohort).cases
    write_rows(cohort, rows[::-1])
    assert find_pairs(cohort).cases == first
    assert first[0].mr == folder_of(cohort, rows[-1]).resolve()


def test_a_subject_without_a_pair_says_why_and_has_no_images(cohort):
    rows = rows_of(cohort)
    write_rows(cohort, rows[:3])
    whole, lacking = find_cases("tcia", cohort)
    assert whole.fault == ""
    why = "no usable pair (CT: no T1 MR in its frame of reference; no MR listed)"
    assert lacking == Case("PHANTOM-001", "dicom", fault=why)
    with pytest.raises(BadCase, match=r"^no usable pair \(CT: no T1"):
        load_pair(lacking)
    assert reasons(cohort)[rows[2]["Series UID"]] == (False, "no T1 MR in its frame of reference")


def test_no_pair_at_all_says_what_was_there(cohort):
    write_rows(cohort, [row for row in rows_of(cohort) if row["Modality"] == "CT"])
    with pytest.raises(BadInput, match=r"among 2 series \(2 x no T1 MR in its frame.*FrameOf"):
        find_cases("tcia", cohort)


@pytest.mark.parametrize("location", [r"..\..\other", "/etc", ".\\PHANTOM\\..\\..\\other"])
def test_a_location_outside_the_collection_is_refused(cohort, location):
    rows = rows_of(cohort)
    rows[1]["File Location"] = location
    write_rows(cohort, rows)
    with pytest.raises(BadInput, match=r"metadata\.csv, line 3: .* leads outside"):
        find_pairs(cohort)


def test_a_link_that_leads_outside_is_refused(cohort, tmp_path):
    (tmp_path / "other").mkdir()
    (cohort / "link").symlink_to(tmp_path / "other")
    rows = rows_of(cohort)
    rows[0]["File Location"] = ".\\link"
    write_rows(cohort, rows)
    with pytest.raises(BadInput, match=r"line 2: .* leads outside"):
        find_pairs(cohort)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("T1 AX 3D SPGR", True),
        ("AX_T1_POST", True),
        ("t1_mpr_sag_isotropic", True),
        ("Sag MPRAGE", True),
        ("AX T2 FSE", False),
        ("T2 FLAIR", False),
        ("T1 LOCALIZER", False),
        ("3-plane scout", False),
        ("CT1", False),
        ("", False),
    ],
)
def test_t1_is_told_by_the_description(description, expected):
    assert is_t1(description) is expected


def test_a_refused_series_names_its_fault_but_no_path(cohort):
    case = find_cases("tcia", cohort)[0]
    sorted(case.ct.iterdir())[2].unlink()
    with pytest.raises(BadCase, match=r"^CT: slices missing: 1") as caught:
        load_pair(case)
    assert str(case.ct) not in str(caught.value)
    assert case.subject not in str(caught.value)


def test_a_count_that_is_none_names_its_line(cohort):
    rows = rows_of(cohort)
    rows[1]["Number of Images"] = "five"
    write_rows(cohort, rows)
    with pytest.raises(BadInput, match=r"line 3: Number of Images is 'five', expected a whole"):
        find_pairs(cohort)


def test_a_licence_beside_the_slices_does_not_stand_for_one(cohort):
    rows = rows_of(cohort)
    folder = folder_of(cohort, rows[0])
    sorted(folder.iterdir())[-1].unlink()
    (folder / "LICENSE").write_text("CC BY 4.0")
    pairing = find_pairs(cohort)
    assert [bool(case.fault) for case in pairing.cases] == [True, False]
    told = {one.series_uid: one.reason for one in pairing.candidates}
    assert told[rows[0]["Series UID"]] == "4 of 5 files are there: download it again"
    assert told[rows[1]["Series UID"]] == "no CT in its frame of reference"


def test_facts_of_the_mr_come_from_its_coded_tags(cohort):
    about = find_pairs(cohort).cases[0].about
    assert (about.field_t, about.sequence) == (1.5, "3D GR SP TR8.2 TE3.4")


def test_a_subject_whose_series_are_another_s_is_refused_and_not_lost(cohort):
    rows = rows_of(cohort)
    write_rows(cohort, [*rows, *({**row, "Subject ID": "Q-OTHER"} for row in rows[:2])])
    pairing = find_pairs(cohort)
    why = "no usable pair (its series are listed under another subject)"
    assert [case.fault for case in pairing.cases] == ["", "", why]
    assert pairing.cases[2].subject == "Q-OTHER"
    assert pairing.num_left_out == 0
