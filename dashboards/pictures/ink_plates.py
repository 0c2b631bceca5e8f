"""A plate as a figure for a paper: its pictures pixel by pixel, zooms below, the scale once."""

from collections.abc import Sequence
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
GAP_IN, WORDS_IN, BAR_IN, LARGEST_IN = 0.05, 0.17, 0.4, 1.75


def write_plate(plate: Plate, view: View, path: Path) -> None:
    """Write PATH.png and PATH.pdf of the plate in one of its views.

    What all rows are compared with stands to their left, at most as large as they are.
    """
    beside = max(len(row.cells) for row in plate.rows)
    wide = min((WIDTH_IN - GAP_IN * beside) / (beside + 1), LARGEST_IN)
    sizes = _Sizes.of(plate, wide)
    left, right = _stacked(plate.reference), plate.rows
    num_rows = max(len(left), len(right))
    width_in = (wide + GAP_IN) * (beside + 1) - GAP_IN
    height_in = num_rows * sizes.row + BAR_IN
    with drawn(path, height_in=height_in, width_in=width_in) as figure:
        for place, row in enumerate([*left, *right]):
            is_left = place < len(left)
            from_top = (place if is_left else place - len(left)) * sizes.row
            _draw_row(figure, plate, view, row, sizes, from_top, start=0 if is_left else 1)
        if any(cell and cell.kind == "error" for row in right for cell in row.cells):
            _draw_bar(figure, view.error)


class _Sizes:
    """Sizes in inches of a cell's parts, from its width."""

    def __init__(self, wide: float, tall: float, zoom: float) -> None:
        self.wide, self.tall, self.zoom = wide, tall, zoom
        self.row = 2 * WORDS_IN + tall + zoom + GAP_IN

    @classmethod
    def of(cls, plate: Plate, wide: float) -> "_Sizes":
        rows, columns = plate.frame
        tall = wide * (rows.stop - rows.start) / (columns.stop - columns.start)
        return cls(wide, tall, (wide - GAP_IN / 2) / 2 if plate.rois else 0.0)


def _stacked(cells: Sequence[Cell]) -> list[Row]:
    return [Row("", (cell,)) for cell in cells]


def _draw_row(
    figure: Figure, plate: Plate, view: View, row: Row, sizes: _Sizes, from_top: float, *, start: int
) -> None:  # fmt: skip
    """Heading, pictures, zooms and captions, `from_top` inches down, from column `start` on."""
    _words(figure, start * (sizes.wide + GAP_IN), from_top + WORDS_IN * 0.75, row.name, bold=True)
    for column, cell in enumerate(row.cells, start):
        if cell is None:
            continue
        x, y = column * (sizes.wide + GAP_IN), from_top + WORDS_IN
        window = view.window(cell.kind)
        whole = _picture(figure, (x, y, sizes.wide, sizes.tall), cell.image[plate.frame], window)
        for place, box in enumerate(plate.boxes):
            edge = ROI_COLOURS[place % len(ROI_COLOURS)]
            if cell.reference:
                whole.add_patch(_square(plate, box, edge))
            at = (x + (place % 2) * (sizes.zoom + GAP_IN / 2), y + sizes.tall + GAP_IN / 2)
            if place < 2:
                zoom = (*at, sizes.zoom, sizes.zoom)
                _picture(figure, zoom, box.cut(cell.image), window, edge=edge)
        below = y + sizes.tall + sizes.zoom + GAP_IN + WORDS_IN * 0.6
        _words(figure, x, below, cell.caption)


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


def _words(figure: Figure, x: float, from_top: float, text: str, *, bold: bool = False) -> None:
    wide, tall = figure.get_size_inches()
    weight, colour = ("bold", "black") if bold else ("normal", MUTED)
    figure.text(x / wide, 1 - from_top / tall, text, fontsize=6.5, fontweight=weight, color=colour)


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
    _words(figure, 0.02 * wide + 1.5, tall - 0.22, "pCT \N{MINUS SIGN} CT (HU)")
