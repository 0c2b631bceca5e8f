"""Distances in mm between the surfaces of bone, and of the head, in pCT and CT."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from data_prep.outline import fill
from pct.metrics.slabs import HuVolume, Mask, SpacingMm, box_of, slabs

SKIN_HU = -300
"""Above it is tissue, for the head's outline, as in the threshold method's head mask."""

AROUND_MM = 10.0
"""How far outside the head the outline of a pCT is looked for."""

LEAST = 0.03
"""Pieces below this share of the largest one are specks."""


@dataclass(frozen=True)
class SurfaceDistances:
    """From each surface voxel of one mask to the other's nearest, in mm, both ways."""

    out: NDArray[np.float64]
    back: NDArray[np.float64]

    @property
    def mean_mm(self) -> float:
        """Mean over the surface voxels of both; NaN where one mask is empty."""
        both = np.concatenate([self.out, self.back])
        return float(both.mean()) if both.size else float("nan")

    @property
    def hd95_mm(self) -> float:
        """The larger of the two directed 95th percentiles; NaN where one mask is empty."""
        if not self.out.size:
            return float("nan")
        return max(float(np.percentile(one, 95)) for one in (self.out, self.back))


def surface_distances(a: Mask, b: Mask, spacing_mm: SpacingMm) -> SurfaceDistances:
    """Distances between the surface voxels of two masks; none where one of them is empty.

    A voxel is at the surface when a neighbour across a face is outside, as is all beyond the ends.
    """
    points = [_surface_voxels(mask) * np.asarray(spacing_mm) for mask in (a, b)]
    if not all(map(len, points)):
        return SurfaceDistances(np.empty(0), np.empty(0))
    there, back = (
        np.asarray(cKDTree(to, balanced_tree=False, compact_nodes=False).query(start)[0])
        for start, to in (points, points[::-1])
    )
    return SurfaceDistances(there, back)


def head_outlines(
    pct_hu: HuVolume, ct_hu: HuVolume, head: Mask, spacing_mm: SpacingMm
) -> tuple[Mask, Mask]:
    """The head's filled outline in pCT and CT: above -300 HU, without specks, filled in slices.

    The CT's lies inside `head` (so couch and frame do not count), the pCT's up to 10 mm around it:
    fog that touches the skin moves the surface.
    """
    wide = tuple(2 * round(AROUND_MM / step) + 1 for step in spacing_mm)
    near = np.asarray(ndimage.maximum_filter(head, size=wide))
    return _outline((pct_hu > SKIN_HU) & near), _outline((ct_hu > SKIN_HU) & head)


def _outline(tissue: Mask) -> Mask:
    labels, count = ndimage.label(tissue)
    sizes = np.zeros(count + 1, np.int64)
    for slab in slabs(len(labels)):
        sizes += np.bincount(labels[slab].ravel(), minlength=count + 1)
    sizes[0] = 0  # what is no tissue
    kept = (sizes >= LEAST * sizes.max()) & (sizes > 0)
    return fill(kept[labels].transpose(1, 2, 0)).transpose(2, 0, 1)


def _surface_voxels(mask: Mask) -> NDArray[np.float64]:
    """Indices (n, 3) of a mask's voxels that are not wrapped by it on all six sides."""
    box = box_of(mask)
    inner = np.pad(mask[box], 1)
    core = inner[1:-1, 1:-1, 1:-1].copy()
    for axis in range(3):
        for first in (0, 2):
            moved = [slice(1, -1)] * 3
            moved[axis] = slice(first, inner.shape[axis] - 2 + first)
            core &= inner[tuple(moved)]
    return np.argwhere(mask[box] & ~core) + [float(one.start) for one in box]
