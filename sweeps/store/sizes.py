"""Sizes as people write them: 1 GB is a thousand MB."""

import re

from data_prep.errors import PctError

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


class BadSize(PctError):
    """A size that cannot be read."""


def spell_size(num_bytes: int) -> str:
    """Three digits at most.

    >>> [spell_size(n) for n in (0, 999, 5_000_000, 123_456_789, 2_340_000_000)]
    ['0 B', '999 B', '5.0 MB', '123 MB', '2.3 GB']
    """
    for unit in ("T", "G", "M", "k"):
        value = num_bytes / UNITS[unit.lower()]
        if value >= 1:
            return f"{value:.0f} {unit}B" if value >= 99.5 else f"{value:.1f} {unit}B"
    return f"{num_bytes} B"


def read_size(text: str) -> int:
    """Bytes.

    >>> read_size("20GB"), read_size("1.5 tb"), read_size("700")
    (20000000000, 1500000000000, 700)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    if not found:
        raise BadSize(f"{text!r} is no size. Write it as 500MB, 20GB or 1.5TB.")
    return round(float(found[1]) * UNITS[found[2]])
