import shutil
from pathlib import Path

import numpy as np
import pytest

from data_prep.phantom_dicom import write_cohort
from data_prep.series import is_t1
from data_prep.sources import BadCase, BadInput, Case, find_cases, find_pairs, load_head, load_pair
from data_prep.volume import Volume, save_nifti
from tests.data_prep.downloads import add_copy, folder_of, rows_of, write_rows

NIFTI_AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tcia") / "cohort"
    return write_cohort(folder, num_cases=2, size=16, num_slices=5).parent


@pytest.fixture
def cohort(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "cohort"))


def reasons(cohort):
    return {c.series_uid: (c.taken, c.reason) for c in find_pairs(cohort).candidates}


def make_nifti(path, value=7.0, dtype=np.float32):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.full((4, 5, 6), value, dtype)
    array[0, 0, 0] = 1
    save_nifti(Volume(array, NIFTI_AFFINE), path)


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


def test_synthrad_folders_are_found_at_both_depths(tmp_path):
    for patient in ("1BA001", "B/1BB002"):
        make_nifti(tmp_path / patient / "mr.nii.gz")
        make_nifti(tmp_path / patient / "ct.nii.gz", value=-12.4)
    make_nifti(tmp_path / "1BA001" / "mask.nii.gz", value=1, dtype=np.uint8)
    first, second = find_cases("synthrad", tmp_path)
    assert (first.subject, second.subject) == ("1BA001", "1BB002")
    assert second.head is None
    assert load_head(second, load_pair(second)[1].grid) is None
    mask = load_head(first, load_pair(first)[1].grid)
    assert mask is not None
    assert mask.array.dtype == np.bool_
    assert mask.array.all()
    mr, ct = load_pair(first)
    assert mr.array.dtype == np.float32
    assert ct.array.dtype == np.int16
    assert ct.array[0, 0, 0] == -12
    assert ct.array[-1, -1, 0] == 1
    assert np.all(np.diag(ct.affine) > 0)


def test_an_incomplete_synthrad_folder_is_a_case_with_what_it_lacks(tmp_path):
    make_nifti(tmp_path / "one" / "mr.nii.gz")
    make_nifti(tmp_path / "two" / "mask.nii.gz")
    for name in ("mr", "ct"):
        make_nifti(tmp_path / "whole" / f"{name}.nii.gz")
    one, two, whole = find_cases("synthrad", tmp_path)
    assert (one.mr, one.ct) == (tmp_path / "one" / "mr.nii.gz", None)
    assert one.fault.startswith("its folder has no ct, expected one mr and one ct")
    assert two.fault.startswith("its folder has no mr and no ct, expected")
    assert whole.fault == ""


def test_a_table_of_nifti_is_relative_to_itself(tmp_path):
    for name in ("a_mr", "a_ct", "a_head", "b_mr", "b_ct"):
        make_nifti(tmp_path / "images" / f"{name}.nii.gz")
    table = tmp_path / "cases.csv"
    table.write_text(
        "subject,mr,ct,head\n"
        "b,images/b_mr.nii.gz,images/b_ct.nii.gz,\n"
        "a,images/a_mr.nii.gz,images/a_ct.nii.gz,images/a_head.nii.gz\n"
    )
    images = tmp_path / "images"
    assert find_cases("nifti", table) == [
        Case("a", "nifti", *(images / f"a_{name}.nii.gz" for name in ("mr", "ct", "head"))),
        Case("b", "nifti", images / "b_mr.nii.gz", images / "b_ct.nii.gz"),
    ]


def test_all_mistakes_in_a_table_are_listed_with_their_lines(tmp_path):
    make_nifti(tmp_path / "mr.nii.gz")
    (tmp_path / "cases.csv").write_text("subject,mr,ct\na,mr.nii.gz,gone.nii.gz\n,mr.nii.gz,\n")
    with pytest.raises(BadInput) as caught:
        find_cases("nifti", tmp_path / "cases.csv")
    for mistake in ("line 2: gone.nii.gz is absent", "line 3: no subject", "line 3: no ct"):
        assert mistake in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient,mr\n", "has the columns patient, mr"),
        ("", "has the columns none"),
        ("subject,mr,ct\n", "has no row below its header"),
    ],
)
def test_a_table_without_its_columns_or_rows_says_so(tmp_path, text, message):
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(BadInput, match=message):
        find_cases("nifti", tmp_path / "cases.csv")


def test_a_subject_twice_is_refused(tmp_path):
    make_nifti(tmp_path / "x.nii.gz")
    row = "a,x.nii.gz,x.nii.gz\n"
    (tmp_path / "cases.csv").write_text("subject,mr,ct\n" + row + row)
    with pytest.raises(BadInput, match="1 subject more than once: a"):
        find_cases("nifti", tmp_path / "cases.csv")


@pytest.mark.parametrize(
    ("source", "message"),
    [("tcia", "TCIA collection"), ("synthrad", "SynthRAD"), ("nifti", "a CSV with the columns")],
)
def test_an_absent_source_says_what_was_expected(tmp_path, source, message):
    with pytest.raises(BadInput, match=f"no such .*{message}"):
        find_cases(source, tmp_path / "nowhere")


def test_empty_folders_say_what_was_expected(tmp_path):
    with pytest.raises(BadInput, match=r"expected metadata\.csv"):
        find_cases("tcia", tmp_path)
    with pytest.raises(BadInput, match="holds no patient"):
        find_cases("synthrad", tmp_path)


def test_voxels_that_are_no_numbers_are_refused(tmp_path):
    make_nifti(tmp_path / "p" / "ct.nii.gz")
    make_nifti(tmp_path / "p" / "mr.nii.gz", value=np.nan)
    with pytest.raises(BadCase, match=r"^MR: 119 of 120 voxels are not finite"):
        load_pair(find_cases("synthrad", tmp_path)[0])


def test_a_broken_nifti_names_the_image_but_no_path(tmp_path):
    make_nifti(tmp_path / "p" / "mr.nii.gz")
    (tmp_path / "p" / "ct.nii.gz").write_bytes(b"no gzip")
    with pytest.raises(BadCase, match=r"^CT: cannot be read as NIfTI") as caught:
        load_pair(find_cases("synthrad", tmp_path)[0])
    assert str(tmp_path) not in str(caught.value)


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
