"""A prediction at a glance: MR and pseudo-CT in three directions, its HU, and what to beware of."""

import io
from collections.abc import Sequence
from textwrap import wrap

from PIL import Image, ImageDraw

from data_prep.intensity import AIR_HU, percentiles
from data_prep.picture import BONE, HEAD_COLOUR, Tile, Window, hu_tile, mr_tile, outline
from data_prep.volume import Volume, to_ras
from data_prep.words import counted
from pct.prediction.check import Check, notes, warnings
from pct.prediction.histogram import panel
from pct.prediction.ink import FAINT, FAINT_HEAD, FINE, GAP, INK, LINE, MARK, PAPER, WARNING, font
from pct.prediction.measures import head_on
from pct.prediction.planes import Plane, cut_out, planes_through
from pct.prediction.volume import Prepared

SOFT = Window(-160.0, 240.0)
"""Level 40, width 400 HU."""
PIXEL_MM = 0.8


def qc_picture(prepared: Prepared, pct: Volume, checks: Sequence[Check], *, model: str) -> bytes:
    """A PNG of an MR and its pseudo-CT on any grid, with the warnings among `checks` in words.

    Its headline says what it is and which `model`, by name, made it. Rows: the MR, the pCT in a
    bone and in a soft window, all with the outline of the MR's head. Columns: three
    axial heights, coronal and sagittal through the head's centre, all at one scale in mm, the
    patient's right on the left. It holds no text from any header.
    """
    pct = to_ras(pct)
    planes = planes_through(prepared.head, pixel_mm=PIXEL_MM)
    rows = _rows(prepared, pct, planes)
    body = _sheet(rows, planes)
    head = _warnings(checks, model, body.width)
    foot = panel(pct, head_on(prepared.head, pct.grid), checks, width=body.width)
    whole = _stacked([head, body, foot])
    out = io.BytesIO()
    whole.save(out, format="PNG", optimize=False, compress_level=6)
    return out.getvalue()


def _rows(prepared: Prepared, pct: Volume, planes: Sequence[Plane]) -> dict[str, list[Tile]]:
    low, high = percentiles(prepared.mr.array[prepared.head.array], (1.0, 99.0))
    window = (low, max(high, low + 1e-6))
    mr, bone, soft = [], [], []
    for plane in planes:
        drawn = mr_tile(cut_out(prepared.mr, plane, fill=prepared.darkest), window=window)
        head = cut_out(prepared.head, plane)
        mr.append(outline(drawn, head, HEAD_COLOUR))
        hu = cut_out(pct, plane, fill=AIR_HU)
        bone.append(outline(hu_tile(hu, window=BONE), head, FAINT_HEAD))
        soft.append(outline(hu_tile(hu, window=SOFT), head, FAINT_HEAD))
    return {
        "MR with the head's outline": mr,
        f"pseudo-CT, {BONE.low:.0f} to {BONE.high:.0f} HU, with the outline of the MR's head": bone,
        f"pseudo-CT, {SOFT.low:.0f} to {SOFT.high:.0f} HU": soft,
    }


def _sheet(rows: dict[str, list[Tile]], planes: Sequence[Plane]) -> Image.Image:
    """Tiles of one scale, each with its letters, rows under their names."""
    first = next(iter(rows.values()))
    tall = max(tile.shape[0] for tile in first)
    width = sum(tile.shape[1] + GAP for tile in first) + GAP
    sheet = Image.new("RGB", (width, len(rows) * (tall + LINE + GAP)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (name, tiles) in enumerate(rows.items()):
        top = number * (tall + LINE + GAP)
        pen.text((GAP, top), name, fill=INK, font=font(14))
        left = GAP
        for tile, plane in zip(tiles, planes, strict=True):
            box = (left, top + LINE + (tall - tile.shape[0]) // 2)
            sheet.paste(Image.fromarray(tile), box)
            _letters(pen, plane, box, (tile.shape[1], tile.shape[0]))
            left += tile.shape[1] + GAP
    return sheet


def _letters(
    pen: ImageDraw.ImageDraw, plane: Plane, box: tuple[int, int], size: tuple[int, int]
) -> None:
    (x, y), (wide, tall) = box, size
    left, right, top, bottom = plane.sides
    for letter, place, anchor in (
        (left, (x + 4, y + tall / 2), "lm"),
        (right, (x + wide - 4, y + tall / 2), "rm"),
        (top, (x + wide / 2, y + 3), "mt"),
        (bottom, (x + wide / 2, y + tall - 3), "mb"),
    ):
        pen.text(
            place, letter, fill=MARK, font=font(13), anchor=anchor,
            stroke_width=2, stroke_fill=PAPER,
        )  # fmt: skip


def _warnings(checks: Sequence[Check], model: str, width: int) -> Image.Image:
    bad = warnings(checks)
    found = counted(len(bad), "warning") if bad else "no warning"
    among = f"{found} in {counted(len(checks), 'check')}"
    lines = [(f"research pseudo-CT by {model}: {among}", WARNING if bad else FINE)]
    lines += [(text, WARNING) for text in _wrapped(bad, width)]
    lines += [(text, FAINT) for text in _wrapped(notes(checks), width)]
    image = Image.new("RGB", (width, len(lines) * LINE + 2 * GAP), PAPER)
    pen = ImageDraw.Draw(image)
    for number, (text, colour) in enumerate(lines):
        place = (GAP, GAP + number * LINE)
        pen.text(place, text, fill=colour, font=font(17 if number == 0 else 14))
    return image


def _wrapped(sentences: Sequence[str], width: int) -> list[str]:
    """Lines that fit, those after a sentence's first set in."""
    letters = max(20, int((width - 2 * GAP) / 7.5))
    return [
        line
        for sentence in sentences
        for line in wrap(sentence, letters, initial_indent="- ", subsequent_indent="   ")
    ]


def _stacked(parts: Sequence[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), PAPER)
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    return whole
