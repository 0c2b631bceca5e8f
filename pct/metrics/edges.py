"""How sharp bone is: the error of the gradient along the bone's surface."""

import numpy as np
from numpy.typing import NDArray

from pct.metrics.hu_errors import SKULL_HU
from pct.metrics.slabs import HuVolume, Mask, SpacingMm, box_of, slabs

EDGE_MM = 2.0
"""Half the width of the band along the bone's surface that `edge_bone` looks at."""


def edge_bone(pct_hu: HuVolume, ct_hu: HuVolume, spacing_mm: SpacingMm, head: Mask) -> float:
    """Mean | |grad pCT| - |grad CT| | in HU/mm inside `head` within 2 mm of the CT's bone surface.

    The surface runs along the voxel faces between bone (CT > 250 HU inside `head`) and the rest;
    `spacing_mm` is that of the arrays' axes (z, y, x). Central differences, one-sided at the
    volume's ends. NaN without such a surface, or with voxels too wide to lie near it.
    """
    bone = (ct_hu > SKULL_HU) & head
    if not bone.any() or bone.all():
        return float("nan")
    wide = [int(np.ceil(EDGE_MM / step)) + 1 for step in spacing_mm]
    z, y, x = box_of(bone, margin=(wide[0], wide[1], wide[2]))
    total, count = 0.0, 0
    for slab in slabs(z):
        around = slice(max(0, slab.start - wide[0]), slab.stop + wide[0])
        own = slice(slab.start - around.start, slab.stop - around.start)
        near = near_surface(bone[around, y, x], spacing_mm)[own] & head[slab, y, x]
        error = np.abs(
            _steepness(pct_hu[around, y, x], spacing_mm)
            - _steepness(ct_hu[around, y, x], spacing_mm)
        )[own][near]
        total, count = total + float(error.sum(dtype=np.float64)), count + error.size
    return total / count if count else float("nan")


def near_surface(bone: Mask, spacing_mm: SpacingMm, *, within_mm: float = EDGE_MM) -> Mask:
    """Voxels whose centre lies within 2 mm of the nearest face of a voxel of the other class."""
    near = np.zeros_like(bone)
    for other in (~bone, bone):
        square = np.where(other, np.float32(0), np.float32(np.inf))
        for axis, step in enumerate(spacing_mm):
            square = _spread(square, axis, step, within_mm)
        near |= ~other & (square <= within_mm**2 * (1 + 1e-5))
    return near


def _spread(
    square: NDArray[np.float32], axis: int, step: float, most: float
) -> NDArray[np.float32]:
    """Squared distance to the nearest face, one axis further: a minimum over shifts of up to 2 mm.

    The square of a distance is a sum over axes, so one axis after another is exact.
    """
    out, here = np.moveaxis(square.copy(), axis, 0), np.moveaxis(square, axis, 0)
    for shift in range(1, len(here)):
        gap = (shift - 0.5) * step
        if gap > most * (1 + 1e-5):
            break
        np.minimum(out[shift:], here[:-shift] + np.float32(gap**2), out=out[shift:])
        np.minimum(out[:-shift], here[shift:] + np.float32(gap**2), out=out[:-shift])
    return np.moveaxis(out, 0, axis)


def _steepness(volume_hu: HuVolume, spacing_mm: SpacingMm) -> NDArray[np.float64]:
    """|grad| in HU/mm by central differences; an axis of one voxel has no slope."""
    volume = volume_hu.astype(np.float64)
    slopes = (
        np.gradient(volume, step, axis=axis)
        for axis, step in enumerate(spacing_mm)
        if volume.shape[axis] > 1
    )
    return np.sqrt(sum(slope**2 for slope in slopes))
