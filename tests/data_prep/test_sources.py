import numpy as np
import pytest

from data_prep.sources import BadCase, BadInput, Case, find_cases, load_head, load_pair
from data_prep.volume import Volume, save_nifti

NIFTI_AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])


def make_nifti(path, value=7.0, dtype=np.float32):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.full((4, 5, 6), value, dtype)
    array[0, 0, 0] = 1
    save_nifti(Volume(array, NIFTI_AFFINE), path)


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
    for mistake in ("line 2: its ct is absent", "line 3: no subject", "line 3: no ct"):
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
    with pytest.raises(BadInput, match="line 3: the subject of line 2 again, one pair"):
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
