"""Colours and letters of the picture of a prediction: those of the house's contact sheets."""

from PIL import ImageFont

from data_prep.picture import HEAD_COLOUR, Colour

PAPER: Colour = (17, 19, 23)
INK: Colour = (222, 226, 232)
FAINT: Colour = (150, 156, 166)
WARNING: Colour = (255, 184, 77)
FINE = HEAD_COLOUR
FAINT_HEAD: Colour = (32, 100, 75)
"""Of the head's outline where it must not hide the skin."""
MARK: Colour = (245, 222, 130)
"""Of the letters of direction."""

GAP = 8
LINE = 21
"""Pixels from line to line."""


def font(points: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own, so that a picture is the same on every machine."""
    return ImageFont.load_default(points)
