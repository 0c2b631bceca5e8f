"""Plates as HTML: every picture once a window, zooms below, windows switched without a script."""

import base64
from collections.abc import Sequence
from html import escape
from itertools import count

import numpy as np

from dashboards.markup import note, scroll, subheading
from dashboards.pictures.plates import Cell, Plate, View
from dashboards.pictures.roi import Box
from data_prep.picture import Slice, Window, small_png

MOST_VIEWS = 2
"""As many as the style sheet can switch between."""


def switched(plates: Sequence[Plate], *, name: str) -> str:
    """The plates, which share their views, below a switch between these; "" without plates.

    `name` is the switch's own on the page.
    """
    if not plates:
        return ""
    views = plates[0].views
    assert len(views) <= MOST_VIEWS
    assert all(plate.views == views for plate in plates)
    inputs = "".join(
        f'<input type="radio" class="view{place}" name="{name}" id="{name}-{place}"'
        f"{' checked' if place == 0 else ''}>"
        f'<label for="{name}-{place}">{escape(view.name)}</label>'
        for place, view in enumerate(views)
    )
    bars = colour_bars(views)
    drawn = "".join(plate_html(plate) for plate in plates)
    return f'<div class="pictures">{inputs}<div class="views">{bars}{drawn}</div></div>'


def plate_html(plate: Plate) -> str:
    """One plate: what all is compared with, beside it a grid with a heading before each row.

    A heading that equals the one before is not repeated.
    """
    columns = max(len(row.cells) for row in plate.rows)
    rows, before = [], ""
    for row in plate.rows:
        heading = f"<h4>{escape(row.name)}</h4>" if row.name != before else ""
        cells = [_cell(plate, row.name, cell) if cell else "<div></div>" for cell in row.cells]
        rows.append(heading + "".join(cells) + "<div></div>" * (columns - len(cells)))
        before = row.name
    case, share = f"Case {plate.look.case}", f"--columns:{columns};--share:{columns}fr"
    reference = "".join(_cell(plate, "reference", cell) for cell in plate.reference)
    return (
        f'{subheading(case)}<div class="plate" style="{share}">'
        f'<div class="reference">{reference}</div>'
        + scroll(f'<div class="rows">{"".join(rows)}</div>', name=case)
        + f"</div>{_where(plate)}"
    )


def colour_bars(views: Sequence[View]) -> str:
    """The scale of errors, drawn once for all plates, for each view whose scale differs."""
    return "".join(
        f'<div class="bar{shown}"><span>{_hu(window.low)}</span>'
        f'<img alt="colours from {_hu(window.low)} to {_hu(window.high)} HU" '
        f'src="{_source(np.linspace(window.high, window.low, 256)[None], window)}">'
        f"<span>{_hu(window.high)} HU</span><span>pCT \N{MINUS SIGN} CT</span></div>"
        for window, shown in _each([view.error for view in views])
    )


def _cell(plate: Plate, row: str, cell: Cell) -> str:
    text = escape(f"case {plate.look.case}, {row}, {cell.caption}")
    windows = _each([view.window(cell.kind) for view in plate.views])
    frame, boxes = plate.frame, plate.boxes
    image = cell.image[frame]
    whole = "".join(
        f'<img class="whole{shown}" alt="{text}" width="{image.shape[1]}" '
        f'height="{image.shape[0]}" src="{_source(image, window)}">'
        for window, shown in windows
    )
    marks = "".join(_mark(plate, box, place) for box, place in zip(boxes, count()))
    zooms = "".join(
        f'<img class="zoom roi{place % 2}{shown}" alt="{text}, zoom {place + 1}" '
        f'width="{box.size}" height="{box.size}" src="{_source(box.cut(cell.image), window)}">'
        for box, place in zip(boxes, count())
        for window, shown in windows
    )
    tile = f'<div class="tile">{whole}{marks if cell.reference else ""}</div>'
    below = f'<div class="zooms">{zooms}</div>' if zooms else ""
    return f"<figure>{tile}{below}<figcaption>{escape(cell.caption)}</figcaption></figure>"


def _mark(plate: Plate, box: Box, place: int) -> str:
    """The region's square over a picture, in per cent of what is drawn, in viewing orientation."""
    rows, columns = plate.frame
    height, width = rows.stop - rows.start, columns.stop - columns.start
    top, left = rows.stop - (box.y + box.size), columns.stop - (box.x + box.size)
    return (
        f'<i class="roi{place % 2}" style="top:{top / height:.2%};left:{left / width:.2%};'
        f'height:{box.size / height:.2%};width:{box.size / width:.2%}"></i>'
    )


def _where(plate: Plate) -> str:
    """Slice, pixel and regions, these as `--roi` takes them."""
    look = plate.look
    regions = " and ".join(
        f"{look.case}:{roi.x_mm:.1f},{roi.y_mm:.1f},{roi.size_mm:g}" for roi in plate.rois
    )
    zooms = f", zooms at {regions} in mm" if regions else ""
    return note(f"Slice {look.z}, pixels of {look.pixel_mm:.3g} mm{zooms}.")


def _each(windows: Sequence[Window]) -> list[tuple[Window, str]]:
    """The windows with the class that shows them: one alone where all views have the same."""
    if len(set(windows)) == 1:
        return [(windows[0], "")]
    return [(window, f" in{place}") for place, window in enumerate(windows)]


def _source(image: Slice, window: Window) -> str:
    return f"data:image/png;base64,{base64.b64encode(small_png(image, window)).decode()}"


def _hu(value: float) -> str:
    return f"{value:+.0f}".replace("-", "\N{MINUS SIGN}")
