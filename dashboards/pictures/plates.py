"""Plates: rows of slices to be seen together, with the regions to zoom into. No drawing here."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dashboards.load import Sweep, Trial
from dashboards.pictures.choose import Branch, branches
from dashboards.pictures.looks import Look, read_pct
from dashboards.pictures.roi import Box, Roi, box_of
from data_prep.picture import BONE, BRAIN, ERROR, Slice, Window

Kind = Literal["mr", "hu", "error"]

MR = Window(-1.0, 1.0)
MARGIN_MM = 20.0
MOST_NAMES, MOST_IN_A_ROW = 3, 3


@dataclass(frozen=True)
class View:
    """One way to look at a plate: a window (level/width) for each kind of picture in it."""

    name: str
    hu: Window
    error: Window

    def window(self, kind: Kind) -> Window:
        """The window of that kind of picture; the MR has but one."""
        return {"mr": MR, "hu": self.hu, "error": self.error}[kind]


IN_BONE = View("Bone 400/2000 HU", BONE, ERROR)
IN_BRAIN = View("Brain 40/80 HU", BRAIN, ERROR)
WITHIN_200 = View("±200 HU", BONE, Window(-200.0, 200.0, diverging=True))
WITHIN_1000 = View("±1000 HU", BONE, Window(-1000.0, 1000.0, diverging=True))


@dataclass(frozen=True)
class Cell:
    """One picture and the words below it; `reference` marks the CT that regions are drawn on."""

    image: Slice
    kind: Kind
    caption: str
    reference: bool = False


@dataclass(frozen=True)
class Row:
    """Pictures beside each other; None leaves a place empty."""

    name: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Plate:
    """All that is seen of one case together; images are whole slices (y, x) in RAS order."""

    look: Look
    reference: tuple[Cell, ...]
    """What all rows are compared with: it stands beside them."""
    rows: tuple[Row, ...]
    rois: tuple[Roi, ...]
    views: tuple[View, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The regions in pixels of the whole slice."""
        return tuple(box_of(roi, self.look) for roi in self.rois)

    @property
    def frame(self) -> tuple[slice, slice]:
        """The part of the slice (y, x) that is drawn: the head, 20 mm around it, all regions."""
        margin, boxes = round(MARGIN_MM / self.look.pixel_mm), self.boxes
        of_rows, of_columns = (_span(self.look.head, axis, margin) for axis in (1, 0))
        return (
            _reaching(of_rows, [(box.y, box.y + box.size) for box in boxes]),
            _reaching(of_columns, [(box.x, box.x + box.size) for box in boxes]),
        )


def evolution_plate(
    sweep: Sweep, runs: Sequence[Trial], look: Look, rois: tuple[Roi, ...]
) -> Plate | None:
    """Beside MR and CT a row a run: its pseudo-CT early, at the fork, after it, last, its error.

    Epochs that runs share stand once, in the row of the first. None where none was kept.
    """
    found = branches(sweep, runs)
    if not found:
        return None
    folded = _folded([(branch, _moments(sweep, branch, look)) for branch in found])
    drawn = [(_name(sweep, branch, found), cells) for branch, cells in folded]
    used = [any(cells[place] for _, cells in drawn) for place in range(len(drawn[0][1]))]
    rows = tuple(Row(name, tuple(compress(cells, used))) for name, cells in drawn)
    reference = (Cell(look.mr, "mr", "MR"), _ct(look))
    return Plate(look, reference, rows, rois, (IN_BONE, IN_BRAIN))


def comparison_plate(
    sweep: Sweep, pair: tuple[Trial, Trial], look: Look, rois: tuple[Roi, ...]
) -> Plate | None:
    """The CT, both runs' pseudo-CT by their best checkpoints, and what each differs from the CT by.

    None where one of them kept no slice of its best checkpoint.
    """
    images = [(sweep.names_of(run), read_pct(sweep.folder, run.trial, look, epoch=None))
              for run in pair]  # fmt: skip
    seen = [(name, image) for name, image in images if image is not None]
    if len(seen) < 2:
        return None
    cells = [Cell(image, "hu", name) for name, image in seen]
    cells += [Cell(error_of(image, look), "error", f"{name} \N{MINUS SIGN} CT")
              for name, image in seen]  # fmt: skip
    row = Row("best checkpoints", tuple(cells))
    return Plate(look, (_ct(look),), (row,), rois, (IN_BONE, IN_BRAIN))


def error_plate(sweep: Sweep, runs: Sequence[Trial], look: Look) -> Plate | None:
    """The CT and each run's error by its best checkpoint, with its mean and MAE in the head.

    None where no run kept one.
    """
    cells = []
    for run in runs:
        image = read_pct(sweep.folder, run.trial, look, epoch=None)
        if image is not None:
            error = error_of(image, look)
            cells.append(Cell(error, "error", f"{sweep.names_of(run)}: {in_head(error, look)}"))
    if not cells:
        return None
    num_rows = ceil(len(cells) / MOST_IN_A_ROW)
    wide = ceil(len(cells) / num_rows)  # four stand two by two
    rows = [cells[start : start + wide] for start in range(0, len(cells), wide)]
    drawn = tuple(Row("best checkpoints", tuple(row)) for row in rows)
    return Plate(look, (_ct(look),), drawn, (), (WITHIN_200, WITHIN_1000))


def error_of(pct_hu: Slice, look: Look) -> Slice:
    """Pseudo-CT minus CT in HU, wide enough for any difference of two CTs."""
    return pct_hu.astype(np.int32) - look.ct_hu.astype(np.int32)


def in_head(error_hu: Slice, look: Look) -> str:
    """Mean error and mean absolute error over the slice's head pixels, in words."""
    inside = error_hu[look.head]
    if not inside.size:
        return "no head in this slice"
    return f"mean {_signed(inside.mean())} HU, MAE {np.abs(inside).mean():.0f} HU"


def _moments(sweep: Sweep, branch: Branch, look: Look) -> list[Cell | None]:
    """A cell a moment, then the error of the last one."""
    cells: list[Cell | None] = []
    for epoch in branch.moments:
        if epoch is None:
            cells.append(None)
            continue
        image = read_pct(sweep.folder, branch.runs[0].trial, look, epoch=epoch)
        shared = ", shared" if len(branch.runs) > 1 else ""
        cells.append(None if image is None else Cell(image, "hu", f"epoch {epoch}{shared}"))
    last = cells[-1]
    error = last and Cell(error_of(last.image, look), "error", f"error, {last.caption}")
    return [*cells, error]


def _folded(
    rows: Sequence[tuple[Branch, list[Cell | None]]],
) -> list[tuple[Branch, list[Cell | None]]]:
    """Trunks laid into the row of the first run that goes on from them, where it has room."""
    kept: list[tuple[Branch, list[Cell | None]]] = []
    for branch, cells in reversed(rows):
        below, own = kept[-1] if kept else (None, [])
        goes_on = below is not None and branch.runs[0] == below.runs[0]
        if below and goes_on and not any(a and b for a, b in zip(cells, own, strict=True)):
            kept[-1] = below, [a or b for a, b in zip(cells, own, strict=True)]
        else:
            kept.append((branch, cells))
    return kept[::-1]


def _name(sweep: Sweep, branch: Branch, found: Sequence[Branch]) -> str:
    names = [sweep.names_of(run) for run in branch.runs]
    if len(names) > 1:
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        return f"{', '.join(names[:MOST_NAMES])}{more}: their trunk, trained once"
    parted = any(branch.runs[0] in other.runs[1:] for other in found)
    return f"{names[0]}, from its fork on" if parted else names[0]


def _span(mask: NDArray[np.bool_], over: int, margin: int) -> slice:
    """From the first line with a True to the last and `margin` further; all where there is none."""
    pixels = mask.shape[1 - over]
    places = [int(place) for place in np.flatnonzero(mask.any(axis=over))] or [0, pixels - 1]
    return slice(max(0, places[0] - margin), min(pixels, places[-1] + 1 + margin))


def _reaching(span: slice, others: Sequence[tuple[int, int]]) -> slice:
    """The span, made to reach over others, given by start and stop."""
    starts, stops = zip((span.start, span.stop), *others, strict=True)
    return slice(min(starts), max(stops))


def _ct(look: Look) -> Cell:
    return Cell(look.ct_hu, "hu", "CT", reference=True)


def _signed(value: float) -> str:
    return f"{value:+.0f}".replace("-", "\N{MINUS SIGN}")
