"""Volumes small enough to look at in a browser: the same place, on cubes of 2 mm."""

import numpy as np

from data_prep.intensity import AIR_HU, mr_to_unit
from data_prep.schema import CaseVolumes
from data_prep.volume import Grid, Volume, resample

PREVIEW_MM = 2.0

MR_SCALE = 1000
"""An MR's preview holds thousandths of [-1, 1]."""


def preview_grid(grid: Grid) -> Grid:
    """Cubes of 2 mm over the extent of `grid`, axes as they are, centred alike."""
    spacing = np.array(grid.spacing_mm)
    extent = (np.array(grid.shape) - 1) * spacing
    shape = np.floor(extent / PREVIEW_MM + 1e-6).astype(int) + 1
    axes = grid.affine[:3, :3] / spacing
    affine = np.eye(4)
    affine[:3, :3] = axes * PREVIEW_MM
    affine[:3, 3] = grid.affine[:3, 3] + axes @ ((extent - (shape - 1) * PREVIEW_MM) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def preview_hu(volume: Volume) -> Volume:
    """A CT or pseudo-CT as int16 HU on its preview grid."""
    small = resample(volume, preview_grid(volume.grid), fill=AIR_HU, antialias=True)
    return small.with_array(np.round(small.array).astype(np.int16))


def preview_case(case: CaseVolumes) -> dict[str, Volume]:
    """`ct` (HU), `mr` (thousandths of [-1, 1]), `head` and `skull` (0 or 1) on the preview grid."""
    grid = preview_grid(case.ct.grid)
    mr = resample(case.mr, grid, fill=float(case.mr.array.min()), antialias=True)
    unit = np.round(mr_to_unit(mr.array, *case.mr_head_window) * MR_SCALE)
    head, skull = (resample(mask, grid, order=0) for mask in (case.head, case.skull))
    return {
        "ct": preview_hu(case.ct),
        "mr": mr.with_array(unit.astype(np.int16)),
        "head": head.with_array(head.array.astype(np.uint8)),
        "skull": skull.with_array(skull.array.astype(np.uint8)),
    }
