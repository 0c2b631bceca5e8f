"""DICOM registration objects: which frame of reference they move, and how far. Never applied."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from scipy.spatial.transform import Rotation

from data_prep.errors import PctError

STILL_MM = 0.01
STILL_DEG = 0.01
"""A move below both is none: what rounding in the header leaves."""

RIGID = 1e-3
"""How far a matrix' columns may be from unit length and right angles to pass as a rotation."""

Matrix = NDArray[np.float64]
"""4x4, from one frame of reference to another, LPS mm."""


class BadRegistration(PctError):
    """A registration object that holds no rigid matrix. A phrase: names no file, no patient."""


@dataclass(frozen=True)
class Move:
    """What a registration object does to one frame of reference."""

    frame_uid: str
    target_uid: str
    """The object's own frame."""
    matrix: Matrix


def read_moves(file: Path) -> tuple[Move, ...]:
    """The frames that a spatial registration object moves, each into the object's own.

    Several matrices of one item are multiplied in their order. Anything but rigid moves of named
    frames (a deformation, a scaling, a matrix that is not 4x4 and finite) raises
    `BadRegistration`. Source: DICOM PS3.3 C.20.2.1.1.
    """
    try:
        dataset = pydicom.dcmread(file)
        target = str(dataset.get("FrameOfReferenceUID") or "")
        return tuple(_move(item, target) for item in dataset.RegistrationSequence)
    except (InvalidDicomError, EOFError, AttributeError, ValueError, TypeError) as error:
        raise BadRegistration("it holds no readable list of matrices") from error


def between(moves: tuple[Move, ...], source_uid: str, target_uid: str) -> Matrix | None:
    """From one frame to another by way of one object; None where it does not link them.

    The object's own frame stays where it is unless it is listed.
    """
    known = {move.target_uid: np.eye(4) for move in moves}
    known |= {move.frame_uid: move.matrix for move in moves}
    if source_uid not in known or target_uid not in known:
        return None
    return np.asarray(np.linalg.inv(known[target_uid]) @ known[source_uid])


def is_still(matrix: Matrix) -> bool:
    """Whether a rigid matrix moves nothing, but for rounding."""
    shift_mm, angle_deg = _size(matrix)
    return shift_mm <= STILL_MM and angle_deg <= STILL_DEG


def words(matrix: Matrix) -> str:
    """How far a rigid matrix moves its frame's origin, and by what angle it turns it.

    >>> words(np.array([[0, -1, 0, 3], [1, 0, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]))
    '5.0 mm, 90.0 degrees'
    """
    shift_mm, angle_deg = _size(matrix)
    return f"{shift_mm:.1f} mm, {angle_deg:.1f} degrees"


def _size(matrix: Matrix) -> tuple[float, float]:
    turn = Rotation.from_matrix(matrix[:3, :3])
    return float(np.linalg.norm(matrix[:3, 3])), float(np.degrees(turn.magnitude()))


def _move(item: pydicom.Dataset, target_uid: str) -> Move:
    frame_uid = str(item.get("FrameOfReferenceUID") or "")
    if not frame_uid:
        raise BadRegistration("an item names no frame of reference")
    total = np.eye(4)
    for registration in item.MatrixRegistrationSequence:
        for one in registration.MatrixSequence:
            total = total @ _rigid(np.array(one.FrameOfReferenceTransformationMatrix, np.float64))
    return Move(frame_uid, target_uid, total)


def _rigid(values: NDArray[np.float64]) -> Matrix:
    if values.shape != (16,) or not np.isfinite(values).all():
        raise BadRegistration(f"a matrix holds {values.size} numbers, expected 16 finite ones")
    matrix = values.reshape(4, 4)
    turn = matrix[:3, :3]
    is_turn = np.abs(turn.T @ turn - np.eye(3)).max() <= RIGID and np.linalg.det(turn) > 0
    if not is_turn or not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise BadRegistration(
            f"a matrix is not rigid (it changes volumes by a factor of {np.linalg.det(turn):.3f})"
        )
    return matrix
