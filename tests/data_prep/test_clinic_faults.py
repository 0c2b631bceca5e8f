"""What clinics' downloads hold, through the whole preparation: faults refuse their case alone."""

import shutil

import pydicom
import pytest

from data_prep.phantom_dicom import write_cohort
from data_prep.pipeline import PrepConfig, RefusedCase, prepare
from data_prep.shards import read_case_table
from data_prep.sources import BadInput, find_pairs
from tests.data_prep.downloads import add_copy, folder_of, rows_of, write_rows

CONFIG = PrepConfig(size=32, pixel_mm=8.0, max_slices=5, masks="threshold", ids="keep")


def lose_a_slice(files):
    files[8].unlink()


def double_a_slice(files):
    shutil.copy(files[8], files[8].with_name("again.dcm"))


def cut_a_file(files):
    files[8].write_bytes(files[8].read_bytes()[:-500])


def keep_a_slab(files):
    for file in [*files[:6], *files[13:]]:
        file.unlink()


FAULTS = {
    "PHANTOM-000": ("CT", lose_a_slice, "CT: slices missing: 1, first between slice 8 of 19"),
    "PHANTOM-001": ("CT", double_a_slice, "CT: doubled slices: 1, first between slice 9 of 21"),
    "PHANTOM-002": ("MR", cut_a_file, "MR: slice 9 of 20 (z = "),
    "PHANTOM-003": ("MR", keep_a_slab, "% of the head lies in the MR's field of view, expected 80"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("clinic") / "c"
    return write_cohort(root, num_cases=7, size=48, num_slices=20).parent


@pytest.fixture
def cohort(written, tmp_path):
    return shutil.copytree(written, tmp_path / "c")


def spoil(cohort):
    rows = rows_of(cohort)
    for row in rows:
        modality, change, _ = FAULTS.get(row["Subject ID"], ("", None, ""))
        if row["Modality"] == modality:
            change(sorted(folder_of(cohort, row).iterdir()))
            row["Number of Images"] = str(len(list(folder_of(cohort, row).iterdir())))
    write_rows(cohort, rows)


def test_broken_series_refuse_their_cases_by_id_and_leave_no_shard(cohort, tmp_path):
    spoil(cohort)
    data = tmp_path / "data"
    prepare(find_pairs(cohort), data, CONFIG)
    rows = {row["subject"]: row for row in read_case_table(data).to_pylist()}
    for subject, (_, _, reason) in FAULTS.items():
        assert rows[subject]["status"] == "refused"
        assert reason in rows[subject]["reason"]
        assert rows[subject]["split"] is None
        assert [path for path in data.rglob(f"*{subject}*") if path.suffix == ".parquet"] == []
    assert rows["PHANTOM-003"]["head_in_mr"] < 0.8
    assert {row["status"] for name, row in rows.items() if name not in FAULTS} <= {
        "taken",
        "flagged",
    }
    with pytest.raises(RefusedCase, match="case PHANTOM-000: CT: slices missing: 1"):
        prepare(find_pairs(cohort), tmp_path / "strict", CONFIG, strict=True)


def test_among_two_t1_the_whole_one_is_taken_and_a_follow_up_is_not(cohort):
    rows = rows_of(cohort)
    slab = add_copy(cohort, rows, 1, "1.61") | {"Series Description": "T1 AX SLAB"}
    keep_a_slab(sorted(folder_of(cohort, slab).iterdir()))
    slab["Number of Images"] = "7"
    later = add_copy(cohort, rows, 1, "1.62", FrameOfReferenceUID="1.2.3", StudyDate="20210101")
    write_rows(cohort, [slab, later, *rows])
    pairing = find_pairs(cohort)
    assert pairing.cases[0].mr == folder_of(cohort, rows[1]).resolve()
    told = {one.series_uid: one.reason for one in pairing.candidates}
    assert told["1.61"] == "another pair of this subject has more images"
    assert told["1.62"] == "no CT in its frame of reference"


def test_another_patient_s_mr_under_a_subject_s_name_is_no_pair(cohort):
    rows = rows_of(cohort)
    rows[1]["File Location"], rows[3]["File Location"] = (
        rows[3]["File Location"],
        rows[1]["File Location"],
    )
    write_rows(cohort, rows[:4])
    with pytest.raises(BadInput, match=r"no pair among 4 series .*2 x no CT in its frame of refer"):
        find_pairs(cohort)


def test_a_location_in_a_corrected_pairing_is_not_looked_at(cohort, tmp_path):
    rows = rows_of(cohort)
    (tmp_path / "other").mkdir()
    pydicom.dcmread(next(folder_of(cohort, rows[0]).iterdir())).save_as(tmp_path / "other" / "1")
    table = tmp_path / "pairing.csv"
    uids = [row["Series UID"] for row in rows[:2]]
    lines = [f"{uid},True,{tmp_path / 'other'}" for uid in uids]
    table.write_text("\n".join(["series_uid,taken,File Location", *lines]))
    case = find_pairs(cohort, table).cases[0]
    assert cohort.resolve() in case.ct.parents
