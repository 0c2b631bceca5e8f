"""Resampling a few slices at a time, so that memory does not grow with the volume."""

from collections.abc import Iterator

import numpy as np

from data_prep.volume import Grid, Volume
from pct.metrics.slabs import slabs


def grid_slabs(grid: Grid) -> Iterator[tuple[slice, Grid]]:
    """Which slices along k, and the grid of those alone."""
    i, j, k = grid.shape
    for which in slabs(k):
        affine = grid.affine.copy()
        affine[:3, 3] += which.start * affine[:3, 2]
        yield which, Grid((i, j, which.stop - which.start), affine)


def part_for(volume: Volume, grid: Grid) -> Volume:
    """The box of `volume` that `resample` reads at the points of `grid`, its blur included.

    Sampling the box equals sampling the volume. Where they do not overlap it is one voxel thick.
    """
    into = np.linalg.inv(volume.affine) @ grid.affine
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1)
    at = into[:3, :3] @ corners + into[:3, 3:]
    steps = np.abs(into[:3, :3]).max(axis=1)
    margin = np.ceil(2.0 * np.maximum(0.0, steps - 1.0)) + 2  # four sigmas of the blur
    low, high = np.floor(at.min(axis=1) - margin), np.ceil(at.max(axis=1) + margin)
    shape = np.array(volume.array.shape)
    first = np.clip(low, 0, shape - 1).astype(int)
    last = np.clip(high, first, shape - 1).astype(int)
    box = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first
    return Volume(volume.array[box], affine)
