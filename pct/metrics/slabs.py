"""A volume a few slices at a time, inside a mask's box: memory stays small, whatever its size."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SLAB = 16
"""Slices at a time."""

HuVolume = NDArray[np.floating] | NDArray[np.integer]
"""(D, H, W) = (z, y, x), in HU."""

Mask = NDArray[np.bool_]

Box = tuple[slice, slice, slice]

SpacingMm = tuple[float, float, float]
"""Voxel size along the arrays' axes (z, y, x)."""


def box_of(mask: Mask, *, margin: tuple[int, int, int] = (0, 0, 0)) -> Box:
    """A mask's bounding box and `margin` voxels around it, cut at the volume's ends.

    An empty mask has an empty box.
    """
    z, y, x = (
        _span(np.asarray(mask.any(axis=axes)), wide)
        for axes, wide in zip(((1, 2), (0, 2), (0, 1)), margin, strict=True)
    )
    return z, y, x


def slabs(extent: slice | int) -> Iterator[slice]:
    """A range of slices, or as many slices from 0 on, in turns of at most 16."""
    whole = slice(0, extent) if isinstance(extent, int) else extent
    for start in range(whole.start, whole.stop, SLAB):
        yield slice(start, min(start + SLAB, whole.stop))


def working_dtype(*volumes: HuVolume) -> type[np.float32] | type[np.float64]:
    """Double precision where a volume comes in it, else single."""
    return np.float64 if any(one.dtype == np.float64 for one in volumes) else np.float32


def _span(hit: NDArray[np.bool_], wide: int) -> slice:
    inside = np.flatnonzero(hit)
    if not inside.size:
        return slice(0, 0)
    return slice(max(0, int(inside[0]) - wide), min(len(hit), int(inside[-1]) + wide + 1))
