"""On which grid a pseudo-CT is written: the MR's own, axial in the patient, or another volume's."""

from dataclasses import dataclass
from pathlib import Path

from data_prep.dicom_ct import axial_grid_of, series_grid
from data_prep.volume import Grid, load_image, ras_grid
from pct.geometry import axial_grid
from pct.prediction.asked import Kind, Where
from pct.prediction.series import BadSource, files_of_series, sound_series
from pct.prediction.sources import Mr


@dataclass(frozen=True)
class OutGrid:
    """A grid to write on, its axes in the order that the output's kind asks for."""

    grid: Grid
    given: Grid | None = None
    """Where it is a given volume's, for the generator's slices to follow."""
    frame_uid: str | None = None
    """Frame of reference of the CT that it comes from."""


def own_grid(mr: Mr, where: Where, kind: Kind) -> OutGrid:
    """A grid over the MR: axial, or the MR's own, for DICOM its slices in the series' own order."""
    grid = mr.volume.grid
    if where == "axial":
        axial = axial_grid(grid)
        return OutGrid(axial_grid_of(axial) if kind == "dicom" else axial)
    return OutGrid(series_grid(mr.series) if kind == "dicom" and mr.series else grid)


def grid_onto(place: Path, mr: Mr, kind: Kind) -> OutGrid:
    """The grid of a volume's file, or of a DICOM CT series in the MR's frame of reference.

    A CT in another frame lies elsewhere in the patient, so it is a `BadSource`.
    """
    if not place.exists():
        raise BadSource(place, "no such file", "Correct --onto.")
    if place.is_file():
        grid = load_image(place).grid
        return OutGrid(axial_grid_of(ras_grid(grid)) if kind == "dicom" else grid, grid)
    ct = sound_series(place, files_of_series(place, "CT"))
    frames = [{one.frame_uid for one in series.slices} for series in (ct, mr.series or ct)]
    if frames[0] != frames[1] or len(frames[0]) != 1 or frames[0] == {""}:
        raise BadSource(
            place,
            "the CT's frame of reference is not the MR's, so places in one are not those in the "
            "other",
            "Register the MR to the CT first and export it in the CT's frame, or leave --onto out.",
        )
    grid = series_grid(ct)
    laid = grid if kind == "dicom" else ras_grid(grid)
    return OutGrid(laid, laid, frames[0].pop())
