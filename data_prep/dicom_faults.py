"""What is wrong with a DICOM series, by its census: measured, and all at once.

Converters differ in what they pass over in silence: missing slices, two echoes, gantry tilt.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from data_prep.dicom_census import SAME_PLACE_MM, BadSeries, SeriesCensus, slice_words
from data_prep.words import counted

GAP_TOLERANCE = 0.02
"""Share of the median gap by which a gap between slices may differ: header rounding passes."""

TILT_TOLERANCE_DEG = 0.5
"""Angle of travel against the slice normal up to which a stack counts as upright."""

COSINE_TOLERANCE = 1e-3
"""Largest difference of direction cosines within one orientation."""

MIN_SLICES = 4
"""Fewer make a localiser, not a volume (dicom2nifti's own limit)."""

APART = 1.5
"""Slices this many times their thickness apart leave out as much as half of what they show."""


def check(series: SeriesCensus) -> None:
    """Raise `BadSeries` with every fault found, measured; slices are named by number and place.

    Names of files and series may tell who the patient is, so no reason holds one. Faults: several
    series, orientations, shapes, pixel sizes or echoes; doubled or missing slices; uneven gaps;
    gantry tilt; too few slices; files cut short; headers with words for numbers; pixels that
    nothing here can decode; neither CT nor MR.
    """
    reasons = _kinds(series)
    if series.slices and _num_orientations(series) == 1:
        reasons += _stacking(series)
    if reasons:
        raise BadSeries(series.folder, reasons)


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
    if series.num_cut:
        reasons.append(f"files cut short before their pixels: {series.num_cut}")
    if series.num_unread:
        reasons.append(f"headers with words for numbers: {series.num_unread}")
    if not series.slices:
        lacks = f": no {', no '.join(series.lacking)} in their headers" if series.lacking else ""
        return [*reasons, f"no slice with a position among {series.num_stray} other files{lacks}"]
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
    if num := sum(item.modality not in ("CT", "MR") for item in series.slices):
        reasons.append(f"{num} of {len(series.slices)} slices of a modality other than CT and MR")
    return reasons + _unscaled(series) + _undecodable(series)


def _unscaled(series: SeriesCensus) -> list[str]:
    """Slices whose stored values cannot become HU, or MR units."""
    without = [item for item in series.slices if item.modality == "CT" and None in item.rescale]
    known = [[one for one in item.rescale if one is not None] for item in series.slices]
    broken = [found for found in known if not np.isfinite(found).all() or found[:1] == [0.0]]
    return [
        f"{len(slices)} of {len(series.slices)} slices with {what}"
        for slices, what in (
            (without, "no RescaleSlope or RescaleIntercept, so without HU"),
            (broken, "a rescale that is 0 or no number"),
        )
        if slices
    ]


def _undecodable(series: SeriesCensus) -> list[str]:
    """Ways in which pixels are stored that no installed package reads."""
    reasons = []
    for syntax in sorted({UID(item.syntax) for item in series.slices}):
        try:
            decoder = get_decoder(syntax)
        except NotImplementedError:
            reasons.append(f"pixels stored as {syntax.name}, which is not read: decompress them")
            continue
        if not decoder.is_available:
            needs = " or ".join(sorted(decoder.missing_dependencies))
            reasons.append(f"pixels stored as {syntax.name}; to read it, {needs}")
    return reasons


def _stacking(series: SeriesCensus) -> list[str]:
    """Faults of a stack of parallel slices."""
    reasons = []
    if len(series.slices) < MIN_SLICES:
        found = counted(len(series.slices), "slice")
        reasons.append(f"only {found}, expected at least {MIN_SLICES}")
    doubled = np.flatnonzero(series.gaps_mm < SAME_PLACE_MM)
    if doubled.size:
        reasons.append(f"doubled slices: {doubled.size}, first {_between(series, doubled[0])}")
    gaps = series.gaps_mm[series.gaps_mm >= SAME_PLACE_MM]
    if gaps.size:
        median_mm = float(np.median(gaps))
        reasons += _uneven(series, median_mm) or _thinned(series, median_mm)
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
        return [
            f"slices missing: {num}, first {_between(series, first)} ({gaps[first]:.2f} mm, "
            f"median gap {median_mm:.2f} mm)"
        ]
    worst = int(np.argmax(np.where(off, np.abs(gaps - median_mm), 0)))
    return [
        f"uneven gaps: {gaps[off].min():.2f} to {gaps[off].max():.2f} mm against a median of "
        f"{median_mm:.2f} mm, worst {_between(series, worst)}"
    ]


def _thinned(series: SeriesCensus, gap_mm: float) -> list[str]:
    """Every second slice missing, or two of three: even gaps, but the numbers jump evenly too.

    MR slices that touch, or leave the usual gap, may be numbered so where a scan was parted into
    two series (two echoes); a CT is not.
    """
    numbers = [item.number for item in series.slices if item.number is not None]
    steps = set(np.abs(np.diff(numbers)).tolist())
    thickness_mm = series.slices[0].thickness_mm
    if len(numbers) != len(series.slices) or len(steps) != 1 or min(steps) < 2:
        return []
    if series.slices[0].modality == "MR" and thickness_mm and gap_mm <= APART * thickness_mm:
        return []
    known = f"a thickness of {thickness_mm:.2f} mm" if thickness_mm else "an unknown thickness"
    return [
        f"1 of every {min(steps)} slices is there: instance numbers step by {min(steps)}, gaps "
        f"are {gap_mm:.2f} mm at {known}"
    ]


def _between(series: SeriesCensus, index: int) -> str:
    return f"between {slice_words(series, index)} and {slice_words(series, index + 1)}"
