"""A census of one DICOM series' headers, and what is wrong with it, measured and all at once.

Converters differ in what they pass over in silence: missing slices, two echoes, gantry tilt. So
the headers are counted before any of them is asked.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from data_prep.errors import PctError

GAP_TOLERANCE = 0.02
"""Share of the median gap by which a gap between slices may differ: header rounding passes."""

TILT_TOLERANCE_DEG = 0.5
"""Angle of travel against the slice normal up to which a stack counts as upright."""

COSINE_TOLERANCE = 1e-3
"""Largest difference of direction cosines within one orientation."""

SAME_PLACE_MM = 0.01
"""Slices nearer than this along the normal are two images of one place."""

MIN_SLICES = 4
"""Fewer make a localiser, not a volume (dicom2nifti's own limit)."""

_TAGS = (
    "SeriesInstanceUID", "Modality", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient",
    "ImageOrientationPatient", "EchoTime", "FrameOfReferenceUID", "NumberOfFrames",
)  # fmt: skip


_PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
"""What gives a slice its place, and how many numbers each holds."""


class BadSeries(PctError):
    """A folder that is not one upright, complete series. `reasons` name no folder."""

    def __init__(self, folder: Path, reasons: list[str]) -> None:
        self.folder = folder
        self.reasons = tuple(reasons)
        super().__init__(
            f"{folder}: {'; '.join(reasons)}. Expected one complete, evenly spaced, upright series "
            "of CT or MR. Export it anew; a tilted one can be straightened with dcm2niix and "
            "prepared as NIfTI."
        )


@dataclass(frozen=True)
class SliceHeader:
    """What the census keeps of one slice; positions and cosines in DICOM's LPS."""

    file: Path
    series_uid: str
    frame_uid: str
    modality: str
    shape: tuple[int, int]
    """Rows, columns."""
    pixel_mm: tuple[float, float]
    """Distance of rows, of columns."""
    position_mm: tuple[float, ...]
    cosines: tuple[float, ...]
    """Three along a row, three down a column."""
    echo_ms: float | None


@dataclass(frozen=True)
class SeriesCensus:
    """Headers of the slices below `folder`, sorted along the first one's normal."""

    folder: Path
    slices: tuple[SliceHeader, ...]
    num_stray: int
    """Files passed over: not DICOM, or without a position (reports, DICOMDIR)."""
    num_multiframe: int
    """Enhanced objects with many frames, which are not read."""

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the first slice, LPS."""
        return _normal(self.slices[0])

    @cached_property
    def along_mm(self) -> NDArray[np.float64]:
        """Place of each slice along the normal."""
        return np.array([item.position_mm for item in self.slices]) @ self.normal

    @cached_property
    def gaps_mm(self) -> NDArray[np.float64]:
        """Distance of each slice to the next, along the normal."""
        return np.diff(self.along_mm)

    @property
    def tilt_deg(self) -> float:
        """Angle between the normal and the direction in which the slices travel."""
        travel = np.subtract(self.slices[-1].position_mm, self.slices[0].position_mm)
        length = float(np.linalg.norm(travel))
        if length < SAME_PLACE_MM:
            return 0.0
        return float(np.degrees(np.arccos(np.clip(abs(travel @ self.normal) / length, 0, 1))))


def census(folder: Path) -> SeriesCensus:
    """Read the headers of all files below `folder`, pixels left alone.

    A folder that is absent raises `BadSeries`; one without slices gives an empty census.
    """
    if not folder.is_dir():
        raise BadSeries(folder, ["no such folder"])
    slices: list[SliceHeader] = []
    num_stray = num_multiframe = 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        header = read_header(file, *_TAGS)
        if header is not None and int(header.get("NumberOfFrames") or 1) > 1:
            num_multiframe += 1
        elif header is None or not _has_place(header):
            num_stray += 1
        else:
            slices.append(_slice_header(file, header))
    if slices:
        normal = _normal(slices[0])
        slices.sort(key=lambda item: float(np.dot(item.position_mm, normal)))
    return SeriesCensus(folder, tuple(slices), num_stray, num_multiframe)


def check(series: SeriesCensus) -> None:
    """Raise `BadSeries` with every fault found, measured; slices are named by number and place.

    Names of files and series may tell who the patient is, so no reason holds one. Faults: several
    series, orientations, shapes, pixel sizes or echoes; doubled or missing slices; uneven gaps;
    gantry tilt; too few slices; neither CT nor MR.
    """
    reasons = _kinds(series)
    if series.slices and _num_orientations(series) == 1:
        reasons += _stacking(series)
    if reasons:
        raise BadSeries(series.folder, reasons)


def slice_words(series: SeriesCensus, index: int) -> str:
    """The slice at `index` by number and place: `slice 19 of 48 (z = 57.0 mm)`.

    The place is DICOM's patient coordinate along the axis nearest to the normal.
    """
    axis = int(np.argmax(np.abs(series.normal)))
    place_mm = series.slices[index].position_mm[axis]
    return f"slice {index + 1} of {len(series.slices)} ({'xyz'[axis]} = {place_mm:.1f} mm)"


def read_header(file: Path, *tags: str) -> pydicom.Dataset | None:
    """The named tags of a DICOM file without its pixels; None for a file that is not DICOM."""
    try:
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(tags))
    except (InvalidDicomError, EOFError):
        return None


def _has_place(header: pydicom.Dataset) -> bool:
    """Whether a slice says, in as many numbers as DICOM asks for, where its pixels lie."""
    try:
        lengths = [len(header.get(tag) or ()) for tag in _PLACE]
    except (TypeError, ValueError):  # one value where several belong; words for numbers
        return False
    return lengths == list(_PLACE.values()) and bool(header.get("Rows") and header.get("Columns"))


def _slice_header(file: Path, header: pydicom.Dataset) -> SliceHeader:
    rows_mm, columns_mm = (float(step) for step in header.PixelSpacing)
    echo = header.get("EchoTime")
    return SliceHeader(
        file=file,
        series_uid=str(header.get("SeriesInstanceUID", "")),
        frame_uid=str(header.get("FrameOfReferenceUID", "")),
        modality=str(header.get("Modality", "")),
        shape=(int(header.Rows), int(header.Columns)),
        pixel_mm=(rows_mm, columns_mm),
        position_mm=tuple(float(x) for x in header.ImagePositionPatient),
        cosines=tuple(float(x) for x in header.ImageOrientationPatient),
        echo_ms=None if echo in (None, "") else round(float(echo), 3),
    )


def _normal(item: SliceHeader) -> NDArray[np.float64]:
    return np.cross(item.cosines[:3], item.cosines[3:]).astype(np.float64)


def _num_orientations(series: SeriesCensus) -> int:
    steps = np.round(np.array([item.cosines for item in series.slices]) / COSINE_TOLERANCE)
    distinct: list[NDArray[np.float64]] = []
    for row in steps:
        if not any(np.abs(row - other).max() <= 1 for other in distinct):
            distinct.append(row)
    return len(distinct)


def _kinds(series: SeriesCensus) -> list[str]:
    """Faults of a mixed folder: more than one of what must be one."""
    reasons = []
    if series.num_multiframe:
        reasons.append(f"multi-frame objects, which are not read: {series.num_multiframe}")
    if not series.slices:
        return [*reasons, f"no slice with a position among {series.num_stray} other files"]
    if (num := len({item.series_uid for item in series.slices})) > 1:
        reasons.append(f"{num} series")
    kinds: tuple[tuple[str, set[Any]], ...] = (
        ("shapes (rows, columns)", {item.shape for item in series.slices}),
        ("pixel sizes (mm)", {tuple(round(x, 4) for x in item.pixel_mm) for item in series.slices}),
        ("echo times (ms)", {item.echo_ms for item in series.slices} - {None}),
    )
    reasons += [
        f"{len(found)} {what}: {', '.join(map(str, sorted(found)))}"
        for what, found in kinds
        if len(found) > 1
    ]
    if (num := _num_orientations(series)) > 1:
        reasons.append(f"{num} orientations of slices")
    if odd := {item.modality for item in series.slices} - {"CT", "MR"}:
        reasons.append(f"modality {', '.join(sorted(odd)) or 'unknown'}")
    return reasons


def _stacking(series: SeriesCensus) -> list[str]:
    """Faults of a stack of parallel slices."""
    reasons = []
    if len(series.slices) < MIN_SLICES:
        reasons.append(f"only {len(series.slices)} slices, expected at least {MIN_SLICES}")
    doubled = np.flatnonzero(series.gaps_mm < SAME_PLACE_MM)
    if doubled.size:
        reasons.append(f"doubled slices: {doubled.size}, first {_between(series, doubled[0])}")
    gaps = series.gaps_mm[series.gaps_mm >= SAME_PLACE_MM]
    if gaps.size:
        reasons += _uneven(series, float(np.median(gaps)))
    if series.tilt_deg > TILT_TOLERANCE_DEG:
        reasons.append(f"gantry tilt {series.tilt_deg:.1f} degrees")
    return reasons


def _uneven(series: SeriesCensus, median_mm: float) -> list[str]:
    """Gaps that differ from the median, told apart: whole slices missing, or anything else."""
    gaps = series.gaps_mm
    off = (gaps >= SAME_PLACE_MM) & (np.abs(gaps - median_mm) > GAP_TOLERANCE * median_mm)
    if not off.any():
        return []
    steps = gaps / median_mm
    missing = off & (np.rint(steps) > 1) & (np.abs(steps - np.rint(steps)) < 2 * GAP_TOLERANCE)
    if np.array_equal(missing, off):
        first = int(np.flatnonzero(missing)[0])
        num = int((np.rint(steps[missing]) - 1).sum())
        return [f"slices missing: {num}, first {_between(series, first)} ({gaps[first]:.2f} mm, "
                f"median gap {median_mm:.2f} mm)"]
    worst = int(np.argmax(np.where(off, np.abs(gaps - median_mm), 0)))
    return [f"uneven gaps: {gaps[off].min():.2f} to {gaps[off].max():.2f} mm against a median of "
            f"{median_mm:.2f} mm, worst {_between(series, worst)}"]


def _between(series: SeriesCensus, index: int) -> str:
    return f"between {slice_words(series, index)} and {slice_words(series, index + 1)}"
