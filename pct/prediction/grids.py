"""On which grid a pseudo-CT is written: the MR's own, axial in the patient, or another volume's."""

from dataclasses import dataclass
from pathlib import Path

from data_prep.dicom_census import SeriesCensus
from data_prep.dicom_ct import axial_grid_of, series_grid
from data_prep.volume import Grid, load_image, ras_grid
from pct.geometry import axial_grid
from pct.prediction.asked import Kind, Where
from pct.prediction.check import Check
from pct.prediction.series import BadSource, files_of_series, sound_series
from pct.prediction.sources import Mr

UNKNOWN_FRAME = Check(
    "frame", None, "", None, None, False,
    "the frame of reference of the CT that it is laid onto could not be compared with a NIfTI "
    "MR's: see that they show the patient in one place",
)  # fmt: skip
"""Of a NIfTI MR laid onto a DICOM CT."""


@dataclass(frozen=True)
class OutGrid:
    """A grid to write on, its axes in the order that the output's kind asks for."""

    grid: Grid
    given: Grid | None = None
    """Where it is a given volume's, for the generator's slices to follow."""
    frame_uid: str | None = None
    """Frame of reference of the CT that it comes from."""
    checks: tuple[Check, ...] = ()
    """What a person should know of how it was chosen."""


def own_grid(mr: Mr, where: Where, kind: Kind) -> OutGrid:
    """A grid over the MR: axial, or the MR's own, for DICOM its slices in the series' own order."""
    grid = mr.volume.grid
    if where == "axial":
        axial = axial_grid(grid)
        return OutGrid(axial_grid_of(axial) if kind == "dicom" else axial)
    return OutGrid(series_grid(mr.series) if kind == "dicom" and mr.series else grid)


def grid_onto(place: Path, mr: Mr, kind: Kind) -> OutGrid:
    """The grid of a volume's file, or of a DICOM CT series in the MR's frame of reference.

    A CT in another frame lies elsewhere in the patient, so it is a `BadSource`. A NIfTI MR names
    no frame: a check that does not hold says so.
    """
    if not place.exists():
        raise BadSource(place, "no such file", "Correct --onto.")
    if place.is_file():
        grid = load_image(place).grid
        return OutGrid(axial_grid_of(ras_grid(grid)) if kind == "dicom" else grid, grid)
    ct = sound_series(place, files_of_series(place, "CT"))
    grid = series_grid(ct)
    laid = grid if kind == "dicom" else ras_grid(grid)
    if mr.series is None:
        return OutGrid(laid, laid, checks=(UNKNOWN_FRAME,))
    return OutGrid(laid, laid, _shared_frame(place, ct, mr.series))


def _shared_frame(place: Path, ct: SeriesCensus, mr: SeriesCensus) -> str:
    frames = [{one.frame_uid for one in series.slices} for series in (ct, mr)]
    if frames[0] != frames[1] or len(frames[0]) != 1 or frames[0] == {""}:
        raise BadSource(
            place,
            "the CT's frame of reference is not the MR's, so places in one are not those in the "
            "other",
            "Register the MR to the CT first and export it in the CT's frame, or leave --onto out.",
        )
    return frames[0].pop()
