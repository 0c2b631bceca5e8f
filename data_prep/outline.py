"""One solid body out of a thresholded volume: opened, closed, filled, in full resolution."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

THIN_MM = 3.0
"""Radius of the opening: thinner things (couch shells, frame pins, blankets) fall off."""
GAP_MM = 8.0
"""Radius of the closing: nostrils and ear canals are bridged before holes are filled."""


def solid(tissue: Mask, spacing_mm: NDArray[Any]) -> Mask:
    """Open, keep the largest piece, grow back what the opening took off it, close, fill.

    Nothing is left of a mask that is nowhere thicker than the opening.
    """
    core = _largest(_erode(tissue, THIN_MM, spacing_mm))
    near = tissue & dilate(core, 3 * THIN_MM, spacing_mm)
    return fill(close(_largest(near), GAP_MM, spacing_mm))


def dilate(mask: Mask, radius_mm: float, spacing_mm: NDArray[Any]) -> Mask:
    """All within `radius_mm` of the mask; nothing of an empty one."""
    out = np.zeros_like(mask)
    for near in boxes(mask, margin=[int(np.ceil(radius_mm / one)) for one in spacing_mm]):
        distance = ndimage.distance_transform_edt(~mask[near], sampling=spacing_mm)
        out[near] = distance <= radius_mm
    return out


def close(mask: Mask, radius_mm: float, spacing_mm: NDArray[Any]) -> Mask:
    """Bridge gaps of up to twice `radius_mm`; beyond the border lies nothing."""
    margin = [int(np.ceil(radius_mm / one)) + 1 for one in spacing_mm]
    i, j, k = (slice(one, -one) for one in margin)
    out = mask.copy()
    for box in boxes(mask):
        padded = dilate(np.pad(mask[box], [(one, one) for one in margin]), radius_mm, spacing_mm)
        inside = ndimage.distance_transform_edt(padded, sampling=spacing_mm) > radius_mm
        out[box] |= inside[i, j, k]
    return out


def fill(mask: Mask, *, most: float = np.inf) -> Mask:
    """Fill holes slice by slice: a cavity open to the neck is a hole in every axial slice.

    Those of more than `most` pixels stay open.
    """
    filled = np.zeros_like(mask)
    for box in boxes(mask):
        part = np.ascontiguousarray(mask[box].transpose(2, 0, 1))  # slices in one piece: faster
        for one in part:
            labels, count = ndimage.label(~one)
            hole = np.bincount(labels.ravel(), minlength=count + 1) <= most
            hole[labels[[0, -1]]] = hole[labels[:, [0, -1]]] = False
            hole[0] = True  # the mask itself
            one[...] = hole[labels]
        filled[box] = part.transpose(1, 2, 0)
    return filled


def without_specks(mask: Mask) -> Mask:
    """Leave out components of below three hundredths of the largest one's size."""
    return _pieces(mask, least=0.03)


def refine(coarse: Mask, step: tuple[int, ...], *, where: Mask, never: Mask | None = None) -> Mask:
    """Bring a mask of blocks of `step` voxels to full resolution.

    `where` decides its outermost voxels anew; blocks of `never` stay out of it.
    """
    core = ndimage.binary_erosion(coarse, border_value=1)
    reach = ndimage.binary_dilation(coarse)
    if never is not None:
        reach &= ~never
    fine = enlarge(reach, where.shape, step)
    fine &= where
    fine |= enlarge(core, where.shape, step)
    return fill(fine)


def enlarge(coarse: NDArray[Any], shape: tuple[int, ...], step: tuple[int, ...]) -> NDArray[Any]:
    """Repeat each block's value `step` times along the axes, cut to `shape`."""
    out = coarse
    for axis in (2, 1, 0):  # the axis whose repeats are copied in one piece last: faster
        out = np.repeat(out, step[axis], axis=axis)
    i, j, k = shape
    return out[:i, :j, :k]


def boxes(mask: Mask, *, margin: Sequence[int] = (0, 0, 0)) -> Iterator[tuple[slice, ...]]:
    """The box of a mask and `margin` voxels around it, within the volume; none of an empty mask.

    All there is to look at: on a volume that a head fills by a third it saves two.
    """
    for box in ndimage.find_objects(mask.view(np.uint8)) if mask.size else ():
        yield tuple(
            slice(max(0, one.start - more), one.stop + more)
            for one, more in zip(box, margin, strict=True)
        )


def _erode(mask: Mask, radius_mm: float, spacing_mm: NDArray[Any]) -> Mask:
    # The field of view may cut the head: beyond the border counts as more of the same.
    out = np.zeros_like(mask)
    for near in boxes(mask, margin=(1, 1, 1)):
        padded = np.pad(mask[near], 1, mode="edge")
        distance = ndimage.distance_transform_edt(padded, sampling=spacing_mm)
        out[near] = (distance > radius_mm)[1:-1, 1:-1, 1:-1]
    return out


def _largest(mask: Mask) -> Mask:
    return _pieces(mask, least=1.0)


def _pieces(mask: Mask, *, least: float) -> Mask:
    """The components of at least `least` times the largest one's size."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels[mask])
    return np.asarray((sizes >= least * sizes.max())[labels] & mask)
