"""Pictures for the pages in this folder, as small as they can be."""

import io
from pathlib import Path

from PIL import Image

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge in pixels."""


def save(png: bytes, path: Path, *, part: Box | None = None) -> None:
    """With a palette of its own colours, so that a trial's colour stays what it is."""
    with Image.open(io.BytesIO(png)) as picture:
        small = picture.crop(part).convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
