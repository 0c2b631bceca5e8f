"""Intensities: Hounsfield units and raw MR to [-1, 1] and back, by operators only.

Numpy arrays and torch tensors both pass through, so data preparation, training and prediction
share one arithmetic.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Image = TypeVar("Image", bound=Any)

CT_RANGE_HU = (-1000.0, 3000.0)
"""The Hounsfield range mapped to [-1, 1] (thesis 2.2)."""

AIR_HU = -1000
AIR_UNIT = -1.0

AT_A_TIME = 1 << 18
"""Values that a processor's cache holds: what goes over a volume in several passes takes these."""

MR_PERCENTILES = (1.0, 99.9)
"""The percentiles of the raw MR mapped to -1 and 1 (thesis 2.2)."""


def hu_to_unit(ct_hu: Image, *, ct_range_hu: tuple[float, float] = CT_RANGE_HU) -> Image:
    """HU to [-1, 1], clipped at the ends of `ct_range_hu`.

    >>> float(hu_to_unit(np.float32(1000)))
    0.0
    """
    low, high = ct_range_hu
    unit: Image = ((ct_hu - low) * (2.0 / (high - low)) - 1.0).clip(-1.0, 1.0)
    return unit


def unit_to_hu(ct_unit: Image, *, ct_range_hu: tuple[float, float] = CT_RANGE_HU) -> Image:
    """[-1, 1] to HU; the inverse of `hu_to_unit` inside the range."""
    low, high = ct_range_hu
    hu: Image = (ct_unit + 1.0) * ((high - low) / 2.0) + low
    return hu


def mr_to_unit(mr_raw: Image, low: Any, high: Any) -> Image:
    """Raw MR to [-1, 1], clipped; `low` and `high` are the raw values that become -1 and 1."""
    unit: Image = ((mr_raw - low) * (2.0 / (high - low)) - 1.0).clip(-1.0, 1.0)
    return unit


def unit_line(low: Any, high: Any) -> tuple[Any, Any]:
    """Slope and intercept of the line that takes `low` to -1 and `high` to 1.

    >>> unit_line(-1000.0, 3000.0)
    (0.0005, -0.5)
    """
    slope = 2.0 / (high - low)
    return slope, -1.0 - low * slope


def mr_window(mr_raw: NDArray[Any], where: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Percentiles 1 and 99.9 of an MR volume on its own grid, in raw units, linearly interpolated.

    `where` limits them to a head mask; None takes the whole volume (the thesis). Taken before any
    resampling: zero padding would move the upper one by more than a tenth. Equal percentiles (a
    constant image) come back as they are; the caller refuses such a case.
    """
    values = mr_raw.reshape(-1) if where is None else mr_raw[where]
    low, high = percentiles(values, MR_PERCENTILES)
    return low, high


def percentiles(values: NDArray[Any], ranks: Iterable[float]) -> list[float]:
    """Percentiles of (n,) finite values, linearly interpolated.

    Whole numbers within 65536 of each other, as scanners store them, are counted: several times as
    fast as ordering them.
    """
    counts = _counts(values)
    if counts is None:
        return [float(value) for value in np.percentile(values, tuple(ranks))]
    lowest, upto = float(values.min()), np.cumsum(counts)
    found = []
    for rank in ranks:
        place = rank / 100 * (len(values) - 1)
        below, above = np.searchsorted(upto, (np.floor(place), np.ceil(place)), side="right")
        found.append(lowest + float(below + (above - below) * (place % 1)))
    return found


def _counts(values: NDArray[Any]) -> NDArray[np.int64] | None:
    """How often each whole number from the lowest value on occurs; None where they are not such."""
    lowest = values.min()
    span = float(values.max()) - float(lowest)
    if span > np.iinfo(np.uint16).max:
        return None
    counts = np.zeros(int(span) + 1, np.int64)
    for some in np.array_split(values, values.size // AT_A_TIME + 1):
        above = some - lowest
        codes = above.astype(np.uint16)
        if not np.array_equal(codes, above):
            return None
        counts += np.bincount(codes, minlength=len(counts))
    return counts
