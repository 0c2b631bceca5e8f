"""The HU of a head drawn as a histogram, and its tissues against what training had."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from data_prep.picture import Colour
from data_prep.volume import Volume
from pct.prediction.check import Check
from pct.prediction.ink import FAINT, FINE, GAP, INK, LINE, PAPER, WARNING, font

FIRST_HU, LAST_HU, BIN_HU = -1000, 2000, 20
TICKS_HU = (-1000, -400, 250, 1000, 2000)
"""-400 and 250 part air, soft tissue and bone."""

_BARS = 150
HEIGHT = LINE + _BARS + LINE + GAP
"""Of the panel, in pixels."""
_TISSUES = {"share_air": "air", "share_soft": "soft tissue", "share_bone": "bone"}
_BAR: Colour = (96, 124, 160)
_RANGE: Colour = (52, 58, 68)


def histogram(pct_hu: NDArray[np.int16], head: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Voxels of the head in bins of 20 HU from -1000 to 2000; those beyond are in the end bins."""
    clipped = np.clip(pct_hu[head], FIRST_HU, LAST_HU - 1).astype(np.int32) - FIRST_HU
    num = (LAST_HU - FIRST_HU) // BIN_HU
    return np.bincount(clipped // BIN_HU, minlength=num).astype(np.int64)


def panel(pct: Volume, head: Volume, checks: Sequence[Check], *, width: int) -> Image.Image:
    """Histogram on the left, tissue shares with training's range on the right where it is known."""
    image = Image.new("RGB", (width, HEIGHT), PAPER)
    pen = ImageDraw.Draw(image)
    known = [check for check in checks if check.name in _TISSUES]
    right = int(width * (0.56 if known else 1.0))
    pen.text((GAP, 0), "HU in the head, heights by the square root", fill=INK, font=font(14))
    _bars(pen, histogram(pct.array, head.array), (GAP, LINE, right - 4 * GAP, LINE + _BARS))
    if known:
        title = "tissues of the head; the grey band is training's range with its tolerance"
        pen.text((right, 0), title, fill=INK, font=font(14))
        _shares(pen, known, left=right, right=width - GAP)
    return image


def _bars(
    pen: ImageDraw.ImageDraw, counts: NDArray[np.int64], box: tuple[int, int, int, int]
) -> None:
    left, top, right, bottom = box
    heights = np.sqrt(counts / max(1, counts.max())) * (bottom - top - 2)
    step = (right - left) / counts.size
    for number, height in enumerate(heights):
        x = left + number * step
        pen.rectangle((x, bottom - height, x + step - 1, bottom), fill=_BAR)
    for hu in TICKS_HU:
        x = left + (hu - FIRST_HU) / BIN_HU * step
        pen.line((x, top, x, bottom + 4), fill=FAINT)
        anchor = {FIRST_HU: "lt", LAST_HU: "rt"}.get(hu, "mt")
        pen.text((x, bottom + 6), f"{hu}", fill=FAINT, font=font(13), anchor=anchor)


def _shares(pen: ImageDraw.ImageDraw, checks: Sequence[Check], *, left: int, right: int) -> None:
    """A line each, all from 0 to 100 %."""
    start, step = left + 90, _BARS / len(checks)
    scale = max(1, right - start - 190)
    for number, check in enumerate(checks):
        value, low, high = check.value or 0.0, check.low or 0.0, check.high or 0.0
        middle = LINE + (number + 0.5) * step
        pen.text((left, middle), _TISSUES[check.name], fill=INK, font=font(14), anchor="lm")
        band = (start + low * scale, middle - 14, start + high * scale, middle + 14)
        pen.rectangle(band, fill=_RANGE)
        pen.line((start, middle, start + value * scale, middle), fill=_BAR, width=6)
        colour = WARNING if check.ok is False else FINE
        at = start + value * scale
        pen.line((at, middle - 16, at, middle + 16), fill=colour, width=3)
        words = f"{value:.1%} ({low:.1%} to {high:.1%})"
        pen.text((right, middle), words, fill=colour, font=font(14), anchor="rm")
