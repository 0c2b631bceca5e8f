"""The head's outline in a DICOM structure set, and the mask that it draws on a CT."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from data_prep.errors import PctError
from data_prep.volume import Grid, Volume

RTSTRUCT = "rtstruct-1"
"""Name and version of masks drawn here; raised when they change."""

HEAD_NAMES = ("head", "headoutline", "external", "skin", "body", "outline")
"""Names of an outline with scalp, the first that occurs is taken; letters alone count, in either
case. None of them: the one structure whose interpreted type is EXTERNAL."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class BadOutline(PctError):
    """A structure set from which no head can be drawn. Names no file and no patient."""


@dataclass(frozen=True)
class Outline:
    """The head's structure in a structure set."""

    number: int
    frame_uid: str
    """Frame of reference that its contours lie in."""


def find_head(file: Path) -> Outline | None:
    """The structure that outlines the head, by `HEAD_NAMES`; None where there is none."""
    tags = ["StructureSetROISequence", "RTROIObservationsSequence"]
    try:
        return _head_of(pydicom.dcmread(file, specific_tags=tags))
    except (InvalidDicomError, EOFError, AttributeError, ValueError):
        return None


def draw_head(file: Path, grid: Grid) -> Volume:
    """The head's contours as a bool mask on `grid`, the RAS grid of the CT they were drawn on.

    A contour belongs to the slice within half a gap of it, a contour inside another cuts a hole
    (exclusive or), a voxel is inside if its centre is. Contours that are open, lie between or
    beyond the slices, or leave out a slice between two others raise `BadOutline` with their
    number: nothing is interpolated.
    """
    contours = _contours(file)
    to_voxel = np.linalg.inv(grid.affine) @ _LPS_TO_RAS
    mask = np.zeros(grid.shape, np.bool_)
    num_off = 0
    for points in contours:
        i, j, k = (to_voxel @ np.c_[points, np.ones(len(points))].T)[:3]
        index = round(float(k.mean()))
        if np.abs(k - index).max() > 0.5 or not 0 <= index < grid.shape[2]:
            num_off += 1
        else:
            mask[..., index] ^= _inside(i, j, grid.shape[:2])
    if num_off:
        raise BadOutline(
            f"{num_off} of {len(contours)} contours of the head lie off the CT's slices. Draw it "
            "on the planning CT, or leave the structure set out in pairing.csv."
        )
    drawn = np.flatnonzero(mask.any(axis=(0, 1)))
    if drawn.size and (num_missing := int(drawn[-1] - drawn[0] + 1 - drawn.size)):
        raise BadOutline(
            f"the head is drawn on {drawn.size} slices of the CT, {num_missing} between them left "
            "out. Interpolate it where it was drawn, or leave the structure set out in pairing.csv."
        )
    return Volume(mask, grid.affine)


def _head_of(dataset: pydicom.Dataset) -> Outline | None:
    structures = {int(item.ROINumber): item for item in dataset.StructureSetROISequence}
    plain = {
        number: re.sub(r"[^a-z]", "", str(item.get("ROIName") or "").lower())
        for number, item in structures.items()
    }
    found = [number for name in HEAD_NAMES for number in plain if plain[number] == name]
    external = [
        int(item.ReferencedROINumber)
        for item in dataset.get("RTROIObservationsSequence") or []
        if item.get("RTROIInterpretedType") == "EXTERNAL"
    ]
    if not found and len(external) == 1 and external[0] in structures:
        found = external
    if not found:
        return None
    frame = structures[found[0]].get("ReferencedFrameOfReferenceUID")
    return Outline(found[0], str(frame or ""))


def _contours(file: Path) -> list[NDArray[np.float64]]:
    """Points (n, 3) of each contour of the head, LPS mm."""
    try:
        dataset = pydicom.dcmread(file)
        head = _head_of(dataset)
        items = [
            contour
            for roi in dataset.ROIContourSequence
            if head is not None and int(roi.ReferencedROINumber) == head.number
            for contour in roi.get("ContourSequence") or []
        ]
        points = [np.array(item.ContourData, np.float64).reshape(-1, 3) for item in items]
    except (InvalidDicomError, EOFError, AttributeError, ValueError, TypeError) as error:
        raise BadOutline(
            "the structure set's contours cannot be read. Export it anew, or leave it out in "
            "pairing.csv."
        ) from error
    kinds = [str(item.get("ContourGeometricType")) for item in items]
    num_open = sum(kind not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR") for kind in kinds)
    if num_open or not points:
        raise BadOutline(
            f"{num_open} of {len(points)} contours of the head are no closed curves. Draw it as "
            "closed contours, or leave the structure set out in pairing.csv."
        )
    return points


def _inside(
    i: NDArray[np.float64], j: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Which pixel centres lie inside a closed curve, by the even-odd rule along each row.

    An edge counts for rows from its lower end, included, to its upper one. Time goes with the
    rows that edges cross, not with pixels times points as in `skimage.draw.polygon`.
    """
    step_i, step_j = np.roll(i, -1) - i, np.roll(j, -1) - j
    first, last = (
        np.clip(np.ceil(one), 0, shape[0]).astype(int)
        for one in (np.minimum(i, i + step_i), np.maximum(i, i + step_i))
    )
    num_rows = last - first
    edge = np.repeat(np.arange(len(i)), num_rows)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(num_rows) - num_rows - first, num_rows)
    crossing = j[edge] + (row - i[edge]) * step_j[edge] / step_i[edge]
    column = np.clip(np.ceil(crossing), 0, shape[1]).astype(int)
    flips = np.zeros((shape[0], shape[1] + 1), np.int64)
    np.add.at(flips, (row, column), 1)
    return np.asarray(np.cumsum(flips[:, :-1], axis=1) % 2 == 1)
