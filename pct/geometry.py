"""Where a volume's slices lie for the generator: axial, on training's grid or at its own scale."""

import numpy as np

from data_prep.schema import SliceGrid
from data_prep.volume import Grid, Volume, centre_of, ras_grid, resample, slice_grid
from pct.config import Geometry


def network_grid(
    geometry: Geometry, head: Volume, *, onto: Grid | None, trained: SliceGrid
) -> Grid:
    """The grid that the generator sees, in RAS order; `head` is a mask on the MR's own grid.

    `train`: slices of training's size and pixel, centred on `head`. They are those of `onto`, as
    training's are those of the CT; else training's distance apart, over the extent of the MR.
    `native_tiles`: the pixels and slices of `onto`, else of the MR, all of them.

    Both are axial in the patient: a volume that is tilted, or of sagittal slices, is resampled
    axially, since that is how CT is acquired and training saw it.
    """
    if geometry == "native_tiles":
        return axial_grid(onto or head.grid)
    axial = axial_grid(onto) if onto else axial_grid(head.grid, slice_mm=trained.slice_mm)
    centre = centre_of(resample(head, axial_grid(head.grid), order=0))
    return slice_grid(axial, centre, pixel_mm=trained.pixel_mm, size=trained.size)


def axial_grid(grid: Grid, *, slice_mm: float | None = None) -> Grid:
    """Voxels over the box of `grid` along the patient's right, anterior and superior.

    Pixels are square, as fine as the finer side of those of `grid` in RAS order; slices are as far
    apart as there, or `slice_mm`. A grid that is already so comes back.
    """
    grid = ras_grid(grid)
    x, y, z = grid.spacing_mm
    step = np.array([min(x, y), min(x, y), slice_mm or z])
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1)
    places = grid.affine[:3, :3] @ corners + grid.affine[:3, 3:]
    low, high = places.min(axis=1), places.max(axis=1)
    counts = np.ceil((high - low) / step - 1e-6).astype(int) + 1
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = low + (high - low - step * (counts - 1)) / 2
    i, j, k = (int(count) for count in counts)
    return Grid((i, j, k), affine)
