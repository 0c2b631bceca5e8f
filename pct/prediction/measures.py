"""What an MR's head and its pseudo-CT measure, without a CT to compare with: numbers, no words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.histograms import NUM_BINS, TISSUES, count_hu
from data_prep.volume import Grid, Volume, resample

Mask = NDArray[np.bool_]

FACES = (("left", "right"), ("back", "front"), ("bottom", "top"))
"""Sides of a volume in RAS order: at the first and the last voxel of each axis."""

AIR_BELOW_HU = -400
"""As in the shares of tissues."""
_MM3_A_LITRE = 1e6
_COARSE_MM = 2.0
"""Fine enough for what is centimetres wide."""
_DEEP_MM = 10.0
"""Below ear canals and the folds of a face's outline."""
_JITTER_MM = 2.0
"""Least distance over which neighbours are compared: finer voxels are interpolated."""
_FINEST_MM = 1.0
"""Of finer voxels every n-th is looked at, about this far apart."""
_MOST_HU = 1 << 14
"""Of a second difference, as a CT holds HU; all above counts as this."""


def head_on(head: Volume, grid: Grid) -> Volume:
    """The mask on a pseudo-CT's grid, nearest voxel; as it is where it lies there already."""
    there = head.array.shape == grid.shape and np.allclose(head.affine, grid.affine, atol=1e-6)
    return head if there else resample(head, grid, order=0)


def litres(head: Volume) -> float:
    """Volume of a mask."""
    return float(head.array.sum() * np.prod(head.spacing_mm) / _MM3_A_LITRE)


def extent_mm(head: Volume) -> tuple[float, float, float]:
    """Length of a mask's bounding box along its axes; 0 of an empty one."""
    long = [_reach(areas) for areas in _areas(head.array)]
    i, j, k = (n * step for n, step in zip(long, head.spacing_mm, strict=True))
    return i, j, k


def cut_faces(head: Mask) -> dict[str, float]:
    """Area of the mask's outermost layer on each side, as a share of its largest cross-section.

    A head ends in a cap, small against its middle; one that is cut ends in a plane, whether the
    image ends there or was blanked. A sphere that lacks a tenth of its radius has 0.19.
    """
    shares: dict[str, float] = {}
    for areas, names in zip(_areas(head), FACES, strict=True):
        held = np.flatnonzero(areas)
        ends = (held[0], held[-1]) if held.size else (0, 0)
        shares |= {
            name: float(areas[end] / max(1, areas.max()))
            for name, end in zip(names, ends, strict=True)
        }
    return shares


def slab(pct_hu: NDArray[np.int16], head: Mask) -> float:
    """Largest change of the share of air in the head from one layer to the next, along any axis.

    Of layers with at least 0.3 of the largest section: ears and nose change at once. NaN where no
    two neighbours have.
    """
    inside, air = _areas(head), _areas(head & (pct_hu < AIR_BELOW_HU))
    shares = [np.where(n >= 0.3 * n.max(), a / np.maximum(1, n), np.nan)
              for a, n in zip(air, inside, strict=True)]  # fmt: skip
    changes = np.abs(np.concatenate([np.diff(one) for one in shares]))
    return float(np.nanmax(changes)) if np.isfinite(changes).any() else float("nan")


def pocket_mm(pct: Volume, head: Volume) -> float:
    """Diameter of the largest ball of air in the head but for the face; 0 without air.

    Both volumes on one grid in RAS order; the face is what lies in front of and below the centre.
    """
    pct, head = _coarse(pct, head)
    _, front, up = np.argwhere(head.array).mean(axis=0).astype(int)
    air = head.array & (pct.array < AIR_BELOW_HU)
    air[:, front:, :up] = False
    air = np.pad(air, 1)
    return float(2 * ndimage.distance_transform_edt(air, sampling=head.spacing_mm).max())


def air_place(pct: Volume, head: Volume) -> tuple[float, float]:
    """How far the head's air lies in front of and above its centre, in lengths and heights of it.

    Both volumes on one grid in RAS order. Of air more than 10 mm below the skin; NaN without any.
    """
    pct, head = _coarse(pct, head)
    depth_mm = ndimage.distance_transform_edt(head.array, sampling=head.spacing_mm)
    air = np.argwhere((pct.array < AIR_BELOW_HU) & (depth_mm > _DEEP_MM))
    if not air.size:
        return float("nan"), float("nan")
    shift = (air.mean(axis=0) - np.argwhere(head.array).mean(axis=0)) * head.spacing_mm
    _, front, up = shift / extent_mm(head)
    return float(front), float(up)


def share_outside(mask: Volume, grid: Grid) -> float:
    """Share of a mask's voxels whose centres lie further than half a voxel outside `grid`."""
    mapping = np.linalg.inv(grid.affine) @ mask.affine
    last = np.array(grid.shape)[:, None] - 0.5

    def within(i: NDArray[Any], j: NDArray[Any], k: NDArray[Any]) -> NDArray[np.bool_]:
        at = mapping @ np.stack([i, j, k, np.ones_like(i)])
        return np.asarray(((at[:3] >= -0.5) & (at[:3] <= last)).all(axis=0))

    ends = [
        (held[0], held[-1]) for areas in _areas(mask.array) if (held := np.flatnonzero(areas)).size
    ]
    if not ends or within(*np.array(np.meshgrid(*ends)).reshape(3, -1)).all():
        return 0.0  # both are boxes: what holds the corners holds all
    inside, total = 0, 0
    for k in range(ends[2][0], ends[2][1] + 1):
        i, j = np.nonzero(mask.array[:, :, k])
        inside += int(within(i, j, np.full_like(i, k)).sum())
        total += i.size
    return 1.0 - inside / total


def tissue_shares(pct_hu: NDArray[np.int16], head: Mask) -> dict[str, float]:
    """Shares of the head that are air, soft and bone, by the HU limits of training's CTs."""
    counts = np.reshape(count_hu(pct_hu, head)["hu_histogram"], (len(TISSUES), NUM_BINS))
    inside = counts.sum(axis=1)[:-1]
    shares = inside / max(1, inside.sum())
    return {name: float(share) for name, share in zip(TISSUES, shares, strict=False)}


def contrast(p1: float, p50: float, p999: float) -> float:
    """Where the median lies between the outer percentiles; NaN where these are one.

    No gain or offset changes it.
    """
    return (p50 - p1) / (p999 - p1) if p999 > p1 else float("nan")


def jitter(pct_hu: NDArray[np.int16], head: Mask, spacing_mm: Sequence[float]) -> float:
    """How much more the pCT jumps from slice to slice than within a slice, in the head.

    Median |second difference| along k by the geometric mean of those along i and j, all over about
    one distance in mm. 1 where the axes are alike; NaN where the head is thinner than that, or the
    pCT constant.
    """
    box = ndimage.find_objects(head.astype(np.uint8))
    if not box:
        return float("nan")
    every = [max(1, int(_FINEST_MM / step)) for step in spacing_mm]
    thinned = tuple(slice(one.start, one.stop, n) for one, n in zip(box[0], every, strict=True))
    pct_hu, head = pct_hu[thinned], head[thinned]
    spacing_mm = [step * n for step, n in zip(spacing_mm, every, strict=True)]
    over_mm = max(*spacing_mm, _JITTER_MM)
    x, y, z = (
        _bend(pct_hu, head, axis=axis, step=max(1, round(over_mm / spacing)))
        for axis, spacing in enumerate(spacing_mm)
    )
    return z / float(np.sqrt(x * y)) if x * y > 0 else float("nan")


def _bend(pct_hu: NDArray[np.int16], head: Mask, *, axis: int, step: int) -> float:
    """Median |a - 2b + c| of voxels `step` apart, all three in the head."""
    inside, hu = np.moveaxis(head, axis, 0), np.moveaxis(pct_hu, axis, 0)
    counts = np.zeros(_MOST_HU + 1, np.int64)
    for middle in range(step, len(hu) - step):  # a plane at a time, so that no volume is widened
        low, high = middle - step, middle + step
        where = inside[low] & inside[middle] & inside[high]
        a, b, c = (hu[at][where].astype(np.int32) for at in (low, middle, high))
        counts += np.bincount(np.minimum(np.abs(a - 2 * b + c), _MOST_HU), minlength=counts.size)
    total = int(counts.sum())
    return float(np.searchsorted(np.cumsum(counts), (total + 1) // 2)) if total else float("nan")


def _coarse(pct: Volume, head: Volume) -> tuple[Volume, Volume]:
    """Every n-th voxel of the box around the head, some 2 mm apart."""
    box = ndimage.find_objects(head.array.view(np.uint8))[0]
    every = [max(1, int(_COARSE_MM / step)) for step in head.spacing_mm]
    thin = tuple(slice(one.start, one.stop, n) for one, n in zip(box, every, strict=True))
    affine = head.affine @ np.diag([*every, 1.0])
    return Volume(pct.array[thin], affine), Volume(head.array[thin], affine)


def _areas(mask: Mask) -> list[NDArray[np.int64]]:
    """Voxels of the mask in each layer, along each axis."""
    along_k = mask.sum(axis=(0, 1))
    flat = mask.sum(axis=2)
    return [flat.sum(axis=1), flat.sum(axis=0), along_k]


def _reach(areas: NDArray[np.int64]) -> int:
    held = np.flatnonzero(areas)
    return int(held[-1] - held[0] + 1) if held.size else 0
