"""Slices to PNG: tiles in named windows, a row or a grid of them with titles, a contact sheet.

Slices come as (y, x) in RAS order and are drawn as radiologists look at them: the patient's right
on the left, anterior on top.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from data_prep.atomic import renamed
from data_prep.volume import Volume

Slice = NDArray[Any]
"""A 2D image (y, x); y grows to anterior, x to the patient's right."""

Tile = NDArray[np.uint8]
"""RGB, (rows, columns, 3), already in viewing orientation."""

Colour = tuple[int, int, int]

HEAD_COLOUR: Colour = (64, 200, 150)
SKULL_COLOUR: Colour = (255, 176, 66)

_PAPER: Colour = (17, 19, 23)
_INK: Colour = (214, 218, 224)
_FAINT: Colour = (140, 146, 156)
_GAP = 6
_TITLE = 24


@dataclass(frozen=True)
class Window:
    """The values drawn darkest and brightest; `diverging` colours the two sides of the middle."""

    low: float
    high: float
    diverging: bool = False


BONE = Window(-600.0, 1400.0)
"""Level 400, width 2000 HU."""
BRAIN = Window(0.0, 80.0)
"""Level 40, width 80 HU."""
FULL_HU = Window(-1000.0, 3000.0)
"""All that is stored."""
ERROR = Window(-500.0, 500.0, diverging=True)
"""HU too low in blue, too high in orange, right in near-black."""


def tile(image: Slice, window: Window) -> Tile:
    """Draw one slice in `window`; values outside it are clipped, NaN is drawn as the darkest."""
    return np.ascontiguousarray(colour_table(window)[_index(image, window)])


def small_png(image: Slice, window: Window) -> bytes:
    """The pixels of `tile` as a PNG of a byte each: greyscale, or with a palette of colours."""
    drawn = Image.fromarray(_index(image, window))
    if window.diverging:
        drawn.putpalette(colour_table(window).tobytes())
    out = io.BytesIO()
    drawn.save(out, format="PNG", optimize=True)
    return out.getvalue()


def colour_table(window: Window) -> Tile:
    """The (256, 3) colours from the window's lowest to its highest value."""
    return _diverging_table() if window.diverging else _grey_table()


def _index(image: Slice, window: Window) -> NDArray[np.uint8]:
    """Places in the colour table, in viewing orientation."""
    share = (np.asarray(image, np.float32) - window.low) / (window.high - window.low)
    index = np.nan_to_num(np.clip(share, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    return np.ascontiguousarray(index[::-1, ::-1])


def hu_tile(ct_hu: Slice, *, window: Window = BONE) -> Tile:
    """A CT or pseudo-CT slice in HU."""
    return tile(ct_hu, window)


def mr_tile(mr: Slice, *, window: tuple[float, float]) -> Tile:
    """An MR slice; `window` holds the values that become black and white."""
    return tile(mr, Window(*window))


def error_tile(error_hu: Slice, *, limit_hu: float = 500.0) -> Tile:
    """A difference pCT - CT in HU, saturated at +-`limit_hu`."""
    return tile(error_hu, Window(-limit_hu, limit_hu, diverging=True))


def outline(drawn: Tile, mask: Slice, colour: Colour) -> Tile:
    """A copy of the tile with the mask's inner edge in `colour`; `mask` is (y, x) as the slice."""
    inside = np.asarray(mask, bool)[::-1, ::-1]
    edge = inside & ~ndimage.binary_erosion(inside, border_value=1)
    out = drawn.copy()
    out[edge] = colour
    return out


def draw_grid(
    rows: Sequence[Sequence[Tile]],
    *,
    titles: Sequence[str] = (),
    path: Path,
    labels: Sequence[Sequence[str]] = (),
    tile_px: int = 256,
) -> None:
    """Write `grid_png` to a file."""
    with renamed(path) as temporary:
        temporary.write_bytes(grid_png(rows, titles=titles, labels=labels, tile_px=tile_px))


def grid_png(
    rows: Sequence[Sequence[Tile]],
    *,
    titles: Sequence[str] = (),
    labels: Sequence[Sequence[str]] = (),
    tile_px: int = 256,
) -> bytes:
    """Rows of tiles as a PNG: a title over each column, a label in each tile that has one.

    Every tile is scaled to a height of `tile_px`, its aspect kept. Rows may differ in length.
    """
    scaled = [[_scaled(one, tile_px) for one in row] for row in rows]
    width = max(sum(one.width + _GAP for one in row) for row in scaled) + _GAP
    top = _TITLE if any(titles) else _GAP
    sheet = Image.new("RGB", (width, top + len(rows) * (tile_px + _GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(scaled):
        left, upper = _GAP, top + number * (tile_px + _GAP)
        for column, one in enumerate(row):
            sheet.paste(one, (left, upper))
            if number == 0 and column < len(titles):
                pen.text((left + 2, 4), titles[column], fill=_INK, font=_font(14))
            if number < len(labels) and column < len(labels[number]):
                place = (left + 6, upper + 5)
                pen.text(place, labels[number][column], fill=_FAINT, font=_font(13))
            left += one.width + _GAP
    out = io.BytesIO()
    sheet.save(out, format="PNG", optimize=False, compress_level=3)
    return out.getvalue()


def contact_sheet(
    mr: Slice, ct_hu: Slice, head: Slice, skull: Slice, *, title: str, path: Path
) -> None:
    """Write a case on one page: MR, CT in a bone window, CT with head and skull outlined.

    All four are (n, y, x) on one grid; up to six slices are spread over those that hold head.
    """
    chosen = spread(np.flatnonzero(head.any(axis=(1, 2))), 6)
    of_mr = _own_window(mr)
    window = (of_mr.low, of_mr.high)
    drawn = [
        outline(outline(hu_tile(ct_hu[z]), head[z], HEAD_COLOUR), skull[z], SKULL_COLOUR)
        for z in chosen
    ]
    rows = [[mr_tile(mr[z], window=window) for z in chosen], [hu_tile(ct_hu[z]) for z in chosen]]
    titles = [title] + [""] * max(0, len(chosen) - 1)
    labels = (["MR"], ["CT, bone window"], ["CT with head and skull"])
    draw_grid([*rows, drawn], titles=titles, labels=labels, path=path)


def planes_sheet(images: Mapping[str, Volume], *, title: str, path: Path) -> None:
    """Write the middle axial, coronal and sagittal plane of each image, each on its own grid.

    For cases that have no masks or fit no grid: voxels may be of any size, constant or not finite.
    `images` are RAS by their names, "CT" in HU in a bone window, others in their own percentiles.
    """
    rows = [[_in_mm(one, window) for one in _planes(image)] for name, image in images.items()
            for window in [BONE if name == "CT" else _own_window(image.array)]]  # fmt: skip
    draw_grid(rows, titles=[title], labels=[[name] for name in images], path=path)


def _planes(image: Volume) -> list[tuple[Slice, float]]:
    """The middle planes as (y, x), (z, x) and (z, y), each with a pixel's height to its width."""
    array, (i, j, k) = image.array, (n // 2 for n in image.array.shape)
    dx, dy, dz = image.spacing_mm
    return [(array[:, :, k].T, dy / dx), (array[:, j].T, dz / dx), (array[i].T, dz / dy)]


def _in_mm(plane: tuple[Slice, float], window: Window) -> Tile:
    """A tile with square pixels; a ratio past 20 comes of a broken header."""
    image, ratio = plane[0], float(np.clip(plane[1], 0.05, 20.0))
    drawn = Image.fromarray(tile(image, window))
    width, height = drawn.width * max(1.0, 1 / ratio), drawn.height * max(1.0, ratio)
    return np.asarray(drawn.resize((round(width), round(height)), Image.Resampling.BILINEAR))


def _own_window(array: NDArray[Any]) -> Window:
    finite = array[np.isfinite(array)]
    low, high = np.percentile(finite, (1.0, 99.5)) if finite.size else (0.0, 1.0)
    return Window(float(low), max(float(high), float(low) + 1e-6))


def spread(items: NDArray[Any], count: int) -> list[int]:
    """Up to `count` of `items`, evenly spaced and away from both ends."""
    if len(items) <= count:
        return [int(item) for item in items]
    places = (np.arange(count) + 0.5) / count * len(items)
    return [int(items[int(place)]) for place in places]


def _scaled(one: Tile, height: int) -> Image.Image:
    image = Image.fromarray(one)
    width = max(1, round(one.shape[1] * height / one.shape[0]))
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _grey_table() -> Tile:
    ramp = np.arange(256, dtype=np.uint8)
    return np.stack([ramp, ramp, ramp], axis=1)


def _diverging_table() -> Tile:
    places = [0.0, 0.25, 0.5, 0.75, 1.0]
    cold, warm = [(158, 214, 255), (42, 112, 190)], [(200, 88, 30), (255, 214, 140)]
    colours = np.array([*cold, (22, 22, 24), *warm])
    ramp = np.linspace(0.0, 1.0, 256)
    return np.stack([np.interp(ramp, places, colours[:, c]) for c in range(3)], 1).astype(np.uint8)


def _font(points: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(points)
