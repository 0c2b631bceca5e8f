"""Pictures in rows and columns, as a figure of the page and as PNG and PDF for a paper."""

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from dashboards.markup import scroll
from dashboards.pictures.ink import write_both
from data_prep.picture import Tile

WIDTH_IN, HEIGHT_IN = 6.9, 9.4  # the text of an A4 page, with a caption below
_TITLE_IN, _LABEL_IN, _GAP_IN, _FONT_POINTS = 0.22, 1.05, 0.03, 7.5
_TEXT: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "font.size": _FONT_POINTS,
    "font.family": "DejaVu Sans",
}
_BAR_MM = 50


@dataclass(frozen=True)
class Row:
    """Pictures of one thing, with its name."""

    name: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Sheet:
    """Rows of pictures under the same titles; pictures in a column are of one size."""

    what: str
    """What is shown, for those who cannot see it: "bone window of case p01"."""
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def with_scale(tile: Tile, *, pixel_mm: float, sides: tuple[str, str]) -> Tile:
    """A copy with a bar of 50 mm at the lower right, and what lies to the left and above."""
    picture = Image.fromarray(tile)
    pen = ImageDraw.Draw(picture)
    right, bottom = picture.width - 8, picture.height - 8
    pen.rectangle((right - round(_BAR_MM / pixel_mm), bottom - 2, right, bottom), fill="white")
    left, above = sides
    pen.text((5, picture.height / 2), left, fill="white", font_size=14, anchor="lm")
    pen.text((picture.width / 2, 4), above, fill="white", font_size=14, anchor="mt")
    return np.asarray(picture)


def sheet_html(sheet: Sheet, *, max_width_px: int = 960) -> str:
    """A table of pictures; on a narrow screen it scrolls sideways, its names stay legible."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in sheet.columns)
    rows = "".join(_row_html(sheet, row) for row in sheet.rows)
    table = (
        f'<table class="sheet" style="max-width: {max_width_px}px">'
        f"<thead><tr><th></th>{titles}</tr></thead><tbody>{rows}</tbody></table>"
    )
    return scroll(table, name=sheet.what)


def write_sheet(sheet: Sheet, folder: Path, name: str) -> list[Path]:
    """NAME.png (300 dpi) and NAME.pdf (names as text, fonts embedded), always the same bytes."""
    with rc_context(_TEXT):
        return write_both(_figure(sheet), folder / name)


def _row_html(sheet: Sheet, row: Row) -> str:
    cells = "".join(
        f'<td><img alt="{escape(f"{row.name}, {title}: {sheet.what}")}" src="{_uri(tile)}"></td>'
        for title, tile in zip(sheet.columns, row.tiles, strict=True)
    )
    return f'<tr><th scope="row">{escape(row.name)}</th>{cells}</tr>'


def _figure(sheet: Sheet) -> Figure:
    """Pictures in one scale, as large as the page allows, names on their left."""
    shapes = [tile.shape for tile in sheet.rows[0].tiles]
    gaps_in = _LABEL_IN + _GAP_IN * len(shapes)
    pixels_wide, pixels_high = sum(wide for _, wide, _ in shapes), max(h for h, _, _ in shapes)
    row_in = (HEIGHT_IN - _TITLE_IN) / len(sheet.rows)
    inch = min((WIDTH_IN - gaps_in) / pixels_wide, (row_in - _GAP_IN) / pixels_high)
    row_in = pixels_high * inch + _GAP_IN
    size = (gaps_in + pixels_wide * inch, _TITLE_IN + row_in * len(sheet.rows))
    figure = Figure(figsize=size)
    for number, row in enumerate(sheet.rows):
        middle_in = size[1] - _TITLE_IN - (number + 0.5) * row_in
        figure.text(0.0, middle_in / size[1], _wrapped(row.name), va="center", ha="left")
        left_in = _LABEL_IN
        for title, tile in zip(sheet.columns, row.tiles, strict=True):
            high_in, wide_in = tile.shape[0] * inch, tile.shape[1] * inch
            corner = (left_in / size[0], (middle_in - high_in / 2) / size[1])
            axes = figure.add_axes((*corner, wide_in / size[0], high_in / size[1]))
            axes.imshow(tile, interpolation="none", aspect="auto")
            axes.set_axis_off()
            if number == 0:
                centre = (left_in + wide_in / 2) / size[0]
                figure.text(centre, 1 - 0.5 * _TITLE_IN / size[1], title, va="center", ha="center")
            left_in += wide_in + _GAP_IN
    return figure


def _wrapped(name: str) -> str:
    """A run's two names below each other, and a long one broken, to fit beside the pictures."""
    pieces = name.replace(" = ", "\n= ").split("\n")
    return "\n".join(piece[at : at + 16] for piece in pieces for at in range(0, len(piece), 16))


def _uri(tile: Tile) -> str:
    """The tile as lossless WebP, grey where it has no colour."""
    grey = (tile == tile[..., :1]).all()
    image = Image.fromarray(tile[..., 0] if grey else tile)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", lossless=True, quality=60, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
