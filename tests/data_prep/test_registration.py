"""Registration objects are a check: what they move is told and flags the case, never applied."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.one_case import prepare_case
from data_prep.phantom_dicom import write_cohort
from data_prep.records import Job, PrepConfig
from data_prep.registration import BadRegistration, between, is_still, read_moves, words
from data_prep.sources import find_pairs
from tests.data_prep.downloads import (
    add_copy,
    add_object,
    frame_of,
    registration,
    rows_of,
    save,
    shifted,
    write_rows,
)

OWN, OTHER = "1.2.3.1", "1.2.3.2"
TURN = Rotation.from_euler("z", 2.1, degrees=True).as_matrix()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tcia") / "cohort"
    return write_cohort(folder, num_cases=2, size=16, num_slices=5).parent


@pytest.fixture
def cohort(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "cohort"))


def moves_of(tmp_path, own_frame, *moves):
    save(registration(own_frame, moves), tmp_path / "reg.dcm")
    return read_moves(tmp_path / "reg.dcm")


def told(pairing):
    return {one.series_uid: one.reason for one in pairing.candidates}


def test_the_identity_and_a_known_shift_are_measured(tmp_path):
    still, moved = moves_of(tmp_path, OWN, (OWN, np.eye(4)), (OTHER, shifted(3, 0, -4)))
    assert is_still(still.matrix)
    assert not is_still(moved.matrix)
    assert (moved.frame_uid, moved.target_uid) == (OTHER, OWN)
    assert words(moved.matrix) == "5.0 mm, 0.0 degrees"


@pytest.mark.parametrize(
    ("matrix", "still"),
    [
        (shifted(0.009), True),
        (shifted(0.011), False),
        (shifted(turn=Rotation.from_euler("x", 0.009, degrees=True).as_matrix()), True),
        (shifted(turn=Rotation.from_euler("x", 0.011, degrees=True).as_matrix()), False),
    ],
)
def test_rounding_is_no_move(matrix, still):
    assert is_still(matrix) is still


def test_matrices_of_one_item_multiply_in_their_order(tmp_path):
    turn, shift = shifted(turn=TURN), shifted(10)
    (move,) = moves_of(tmp_path, OWN, (OTHER, turn, shift))
    np.testing.assert_allclose(move.matrix, turn @ shift, atol=1e-6)


def test_two_frames_are_linked_by_way_of_the_object_s_own(tmp_path):
    moves = moves_of(tmp_path, "1.9", (OWN, shifted(1)), (OTHER, shifted(4, 4)))
    np.testing.assert_allclose(between(moves, OTHER, OWN), shifted(3, 4), atol=1e-9)
    np.testing.assert_allclose(between(moves, OTHER, "1.9"), shifted(4, 4), atol=1e-9)
    assert between(moves, OTHER, "1.8") is None


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.diag([2.0, 1, 1, 1]), r"not rigid \(it changes volumes by a factor of 2\.000"),
        (np.diag([-1.0, 1, 1, 1]), r"not rigid \(.* factor of -1\.000"),
        (shifted(turn=[[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]), "not rigid"),
        (np.eye(4)[:3], "holds 12 numbers, expected 16"),
        (np.r_[np.eye(4)[:3], np.ones((1, 4))], "not rigid"),
    ],
)
def test_what_is_no_rigid_matrix_is_refused(tmp_path, matrix, message):
    with pytest.raises(BadRegistration, match=message):
        moves_of(tmp_path, OWN, (OTHER, matrix))


def test_a_deformation_or_another_file_is_refused(tmp_path):
    dataset = registration(OWN, [])
    del dataset.RegistrationSequence
    save(dataset, tmp_path / "deformed.dcm")
    (tmp_path / "text.dcm").write_text("no DICOM")
    for name in ("deformed.dcm", "text.dcm"):
        with pytest.raises(BadRegistration, match="no readable list of matrices"):
            read_moves(tmp_path / name)


def test_a_registration_that_moves_nothing_leaves_the_pair_as_it_is(cohort):
    rows = rows_of(cohort)
    frame = frame_of(cohort, rows[0])
    reg = add_object(cohort, rows[0], "1.5", "REG", registration(frame, [(frame, np.eye(4))]))
    write_rows(cohort, [*rows, reg])
    pairing = find_pairs(cohort)
    assert [case.remark for case in pairing.cases] == ["", ""]
    assert told(pairing)["1.5"] == "read as a check of 1 frame"


def test_a_registration_that_moves_the_pair_s_frame_is_a_remark(cohort):
    rows = rows_of(cohort)
    moved = registration(OTHER, [(frame_of(cohort, rows[0]), shifted(5))])
    write_rows(cohort, [*rows, add_object(cohort, rows[0], "1.5", "REG", moved)])
    pairing = find_pairs(cohort)
    remark = "a registration object moves their frame by 5.0 mm, 0.0 degrees"
    assert [case.remark for case in pairing.cases] == [remark, ""]
    for row in rows[:2]:
        assert told(pairing)[row["Series UID"]].endswith(f"in one frame of reference; {remark}")


def test_a_registration_that_cannot_be_read_is_a_remark(cohort):
    rows = rows_of(cohort)
    scaled = registration(OTHER, [(OWN, np.diag([2.0, 1, 1, 1]))])
    write_rows(cohort, [*rows, add_object(cohort, rows[0], "1.5", "REG", scaled)])
    pairing = find_pairs(cohort)
    assert "is no check: a matrix is not rigid" in pairing.cases[0].remark
    assert told(pairing)["1.5"].startswith("is no check: a matrix is not rigid")


def test_a_follow_up_on_another_frame_is_left_out_with_its_distance(cohort):
    rows = rows_of(cohort)
    frame = frame_of(cohort, rows[0])
    later = add_copy(cohort, rows, 1, "1.6", FrameOfReferenceUID=OTHER)
    alone = add_copy(cohort, rows, 1, "1.7", FrameOfReferenceUID="1.2.3.9")
    link = registration(frame, [(frame, np.eye(4)), (OTHER, shifted(12.3, turn=TURN))])
    reg = add_object(cohort, rows[0], "1.5", "REG", link)
    write_rows(cohort, [*rows, later, alone, reg])
    pairing = find_pairs(cohort)
    assert told(pairing)["1.6"] == (
        "another frame of reference; a registration object moves it by 12.3 mm, 2.1 degrees: "
        "resample it first"
    )
    assert told(pairing)["1.7"] == "no CT in its frame of reference"
    assert pairing.cases[0].remark == ""


def test_a_remark_flags_its_case_alone(tmp_path):
    cohort = write_cohort(tmp_path / "c", num_cases=2, size=48, num_slices=20).parent
    rows = rows_of(cohort)
    moved = registration(OTHER, [(frame_of(cohort, rows[0]), shifted(5))])
    write_rows(cohort, [*rows, add_object(cohort, rows[0], "1.5", "REG", moved)])
    config = PrepConfig(size=32, pixel_mm=8.0, masks="threshold", ids="keep")
    first, second = (
        prepare_case(Job(case, case.subject, "key", [], tmp_path / "d", tmp_path / "w", config))
        for case in find_pairs(cohort).cases
    )
    assert first.status == "flagged"
    assert "moves their frame by 5.0 mm, 0.0 degrees" in first.reason
    assert "registration" not in second.reason
