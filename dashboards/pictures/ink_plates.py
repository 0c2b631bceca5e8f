"""A plate as a figure for a paper: its pictures pixel by pixel, zooms below, the scale once."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dashboards.pictures.ink import MUTED, WIDTH_IN, bare, drawn
from dashboards.pictures.plates import Cell, Plate, Row, View
from dashboards.pictures.roi import Box
from data_prep.picture import Slice, Window, colour_table, tile

ROI_COLOURS = ("#E69F00", "#56B4E9")
GAP_IN, BAR_IN, LARGEST_IN = 0.05, 0.4, 1.75
POINTS, LINE_IN, LETTER_IN = 6.5, 0.115, 0.054
"""Of the words: their size, and the room that a line and a letter take."""


def write_plate(plate: Plate, view: View, path: Path) -> None:
    """Write PATH.png and PATH.pdf of the plate in one of its views.

    What all rows are compared with stands to their left, at most as large as they are.
    """
    beside = max(len(row.cells) for row in plate.rows)
    wide = min((WIDTH_IN - GAP_IN * beside) / (beside + 1), LARGEST_IN)
    sizes = _sizes(plate, wide)
    left, right = _stacked(plate.reference), plate.rows
    num_rows = max(len(left), len(right))
    width_in = (wide + GAP_IN) * (beside + 1) - GAP_IN
    height_in = num_rows * sizes.row + BAR_IN
    with drawn(path, height_in=height_in, width_in=width_in) as figure:
        page = _Page(figure, plate, view, sizes)
        for start, stacked in enumerate((left, right)):
            for place, row in enumerate(stacked):
                _draw_row(page, row, from_top=place * sizes.row, start=start)
        if any(cell and cell.kind == "error" for row in right for cell in row.cells):
            _draw_bar(figure, view.error)


@dataclass(frozen=True)
class _Sizes:
    """In inches: a cell's width, its picture's height, a zoom's side, the room for words."""

    wide: float
    tall: float
    zoom: float
    zooms: float
    """The height of all rows of zooms."""
    heading: float
    caption: float

    @property
    def row(self) -> float:
        return self.heading + self.tall + self.zooms + 2 * GAP_IN + self.caption


@dataclass(frozen=True)
class _Page:
    """What is drawn, where, how."""

    figure: Figure
    plate: Plate
    view: View
    sizes: _Sizes


def _sizes(plate: Plate, wide: float) -> _Sizes:
    rows, columns = plate.frame
    tall = wide * (rows.stop - rows.start) / (columns.stop - columns.start)
    captions = [cell.caption for row in plate.rows for cell in row.cells if cell]
    lines = max(len(_lines(caption, wide)) for caption in captions)
    zoom, zoom_rows = (wide - GAP_IN / 2) / 2, -(-len(plate.rois) // 2)
    return _Sizes(
        wide, tall, zoom, zooms=zoom_rows * (zoom + GAP_IN / 2), heading=1.4 * LINE_IN,
        caption=(lines + 0.5) * LINE_IN,
    )  # fmt: skip


def _lines(words: str, wide: float) -> list[str]:
    return textwrap.wrap(words, max(8, int(wide / LETTER_IN))) or [""]


def _stacked(cells: Sequence[Cell]) -> list[Row]:
    return [Row("", (cell,)) for cell in cells]


def _draw_row(page: _Page, row: Row, *, from_top: float, start: int) -> None:
    """Heading and cells, `from_top` inches down, from column `start` on."""
    sizes = page.sizes
    room = int(sizes.wide * len(row.cells) / LETTER_IN)
    name = textwrap.shorten(row.name, max(30, room), placeholder="...")
    _words(page.figure, start * (sizes.wide + GAP_IN), from_top, [name], colour="black")
    for column, cell in enumerate(row.cells, start):
        if cell:
            left = column * (sizes.wide + GAP_IN)
            _draw_cell(page, cell, left=left, from_top=from_top + sizes.heading)


def _draw_cell(page: _Page, cell: Cell, *, left: float, from_top: float) -> None:
    """The picture, its zooms in two columns, the caption."""
    figure, plate, sizes = page.figure, page.plate, page.sizes
    window = page.view.window(cell.kind)
    place = (left, from_top, sizes.wide, sizes.tall)
    whole = _picture(figure, place, cell.image[plate.frame], window)
    below = from_top + sizes.tall + GAP_IN / 2
    for number, box in enumerate(plate.boxes):
        edge = ROI_COLOURS[number % 2]
        if cell.reference:
            whole.add_patch(_square(plate, box, edge))
        down, right = divmod(number, 2)
        step = sizes.zoom + GAP_IN / 2
        place = (left + right * step, below + down * step, sizes.zoom, sizes.zoom)
        _picture(figure, place, box.cut(cell.image), window, edge=edge)
    words_from = from_top + sizes.tall + sizes.zooms + GAP_IN
    _words(figure, left, words_from, _lines(cell.caption, sizes.wide))


def _picture(
    figure: Figure, place: tuple[float, float, float, float], image: Slice, window: Window, *,
    edge: str = "",
) -> Axes:  # fmt: skip
    """An image at (x, y from the top, width, height) in inches."""
    whole_wide, whole_tall = figure.get_size_inches()
    x, y, wide, tall = place
    bounds = (x / whole_wide, 1 - (y + tall) / whole_tall, wide / whole_wide, tall / whole_tall)
    axes = figure.add_axes(bounds)
    axes.imshow(tile(image, window), interpolation="none", aspect="auto")
    bare(axes)
    if edge:
        frame = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=edge)
        axes.add_patch(frame).set_linewidth(1.0)
    return axes


def _square(plate: Plate, box: Box, edge: str) -> Rectangle:
    """The region on what is drawn of the slice, in viewing orientation."""
    rows, columns = plate.frame
    corner = (columns.stop - box.x - box.size - 0.5, rows.stop - box.y - box.size - 0.5)
    return Rectangle(corner, box.size, box.size, fill=False, edgecolor=edge, linewidth=0.8)


def _words(
    figure: Figure, x: float, from_top: float, lines: Sequence[str], *, colour: str = MUTED
) -> None:
    """Lines of words below each other, the top of the first `from_top` inches down."""
    wide, tall = figure.get_size_inches()
    for place, line in enumerate(lines, 1):
        y = 1 - (from_top + place * LINE_IN) / tall
        figure.text(x / wide, y, line, fontsize=POINTS, color=colour)


def _draw_bar(figure: Figure, window: Window) -> None:
    wide, tall = figure.get_size_inches()
    axes = figure.add_axes((0.02, 0.22 / tall, 1.4 / wide, 0.07 / tall))
    axes.imshow(colour_table(window)[None], aspect="auto", interpolation="none",
                extent=(window.low, window.high, 0, 1))  # fmt: skip
    axes.set_yticks([])
    axes.set_xticks(np.linspace(window.low, window.high, 3))
    axes.tick_params(labelsize=6, length=2, width=0.5)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    _words(figure, 0.02 * wide + 1.5, tall - 0.22 - LINE_IN, ["pCT \N{MINUS SIGN} CT (HU)"])
