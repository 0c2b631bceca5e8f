"""Head and skull: from a CT by threshold or TotalSegmentator, the head alone from an MR.

Volumes are in RAS order. Masks never mix back ends: each carries a name with a version.
"""

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import block_reduce

from data_prep import totalseg
from data_prep.volume import BadVolume, Volume, resample

log = logging.getLogger(__name__)

Backend = Literal["auto", "totalsegmentator", "threshold"]

THRESHOLD = "threshold-2"
"""Name and version of the method below; raised when its masks change."""

FROM_FILE = "file-1"
"""Name and version of a head mask that the collection brings."""

AIR_BELOW_HU = -300.0
BONE_ABOVE_HU = 250.0
DENSE_ABOVE_HU = 600.0
"""Of 2 mm blocks that are bone or metal through and through."""

Mask = NDArray[np.bool_]

_COARSE_MM = 2.0
_SINUS = 375
"""Most blocks of 2 mm that a slice of a sinus has: 15 cm2."""
_THIN_MM = 3.0
"""Radius of the opening: thinner things (couch shells, frame pins, blankets) fall off."""
_GAP_MM = 8.0
"""Radius of the closing: nostrils and ear canals are bridged before holes are filled."""


@dataclass(frozen=True)
class Masks:
    """Two masks on the CT's grid; `backend` says what drew them, for example `threshold-1`."""

    head: Volume
    """Outline with scalp, filled: air in sinuses belongs to it, couch and frame do not (but for
    some 10 mm of the pins that touch the skin)."""
    skull: Volume
    backend: str


def head_and_skull(ct: Volume, *, backend: Backend = "auto") -> Masks:
    """Segment head and skull of a CT in HU.

    `auto` takes TotalSegmentator where its weights lie on disk, else the threshold method, whose
    skull holds all bone above 250 HU. A CT without a head gives empty masks.
    """
    if backend == "totalsegmentator" or (backend == "auto" and totalseg.has_weights()):
        head, skull = totalseg.segment(ct)
        return Masks(head, skull, totalseg.name())
    head_mask = _head_from_ct(ct)
    return Masks(ct.with_array(head_mask), ct.with_array(_bone(ct, head_mask)), THRESHOLD)


def skull_in(ct: Volume, head: Volume, *, drawn_by: str = FROM_FILE) -> Masks:
    """A head mask that came with the CT, and the bone above 250 HU inside it.

    `head` (bool, RAS, any grid) is taken to the CT's grid, nearest voxel. One that is empty, or of
    which less than half lies on that grid, raises `BadVolume`. `drawn_by` names who drew it.
    """
    litre = 1e6
    whole = float(head.array.sum() * np.prod(head.spacing_mm) / litre)
    if not whole:
        raise BadVolume(
            f"the head mask is empty: none of {head.array.size} voxels is above 0.5. Draw it anew, "
            "or leave it out."
        )
    placed = resample(head, ct.grid, order=0)
    inside = float(placed.array.sum() * np.prod(ct.spacing_mm) / litre)
    if inside < 0.5 * whole:
        raise BadVolume(
            f"the head mask holds {whole:.2f} litres, of which {inside:.2f} lie on the CT; "
            "expected all. Wrong patient, or another affine? Draw it on the CT, or leave it out."
        )
    return Masks(placed, ct.with_array(_bone(ct, placed.array)), f"{drawn_by}+{THRESHOLD}")


def head_from_mr(mr: Volume) -> Volume:
    """The head's outline from a raw MR, filled, for prediction where there is no CT.

    The threshold lies between noise and tissue on a logarithmic scale, so a bias field that
    dims one side several times over does no harm. An image that is constant, or of noise
    alone, raises `BadVolume`.
    """
    step = _steps(mr)
    coarse = block_reduce(mr.array.astype(np.float32), step, np.mean, cval=float(mr.array.min()))
    dark, bright = float(coarse.min()), float(np.percentile(coarse, 99.5))
    if not np.isfinite(bright) or bright <= dark:
        raise BadVolume("the MR is constant or not finite: no head can be found. Check the input.")
    level = np.log(np.maximum(coarse - dark, (bright - dark) / 100))
    threshold = float(threshold_otsu(level))
    spacing_mm = np.array(mr.spacing_mm) * step
    # Dark skull parts scalp from brain: bridge it before thin things are taken off.
    bridged = _fill(_close(_without_specks(level > threshold), _GAP_MM, spacing_mm))
    found = _solid(bridged, spacing_mm)
    head = _refine(found, step, where=mr.array > dark + np.exp(threshold))
    if not head.any():
        raise BadVolume(
            f"the MR shows no head: nothing of {2 * _THIN_MM:.0f} mm or more lies above its "
            f"threshold of {dark + np.exp(threshold):.4g}. Check the input."
        )
    return mr.with_array(head)


def _head_from_ct(ct: Volume) -> Mask:
    step = _steps(ct)
    coarse = block_reduce(ct.array, step, np.mean, cval=-1000.0)
    tissue = coarse > AIR_BELOW_HU
    metal = _bare_metal(coarse)
    spacing_mm = np.array(ct.spacing_mm) * step
    found = _solid(tissue & ~_spread(metal, 1), spacing_mm)
    return _refine(found, step, where=ct.array > AIR_BELOW_HU, never=metal & ~found)


def _bare_metal(coarse_hu: NDArray[Any]) -> Mask:
    """Frame posts and pins: what is dense, stands out of the head's outline and meets the air.

    Bone does not: where it stands out (nose, chin) skin covers it.
    """
    dense = coarse_hu > DENSE_ABOVE_HU
    closed = _shrunk(_spread(coarse_hu > AIR_BELOW_HU, 1), 1)
    filled = _fill(closed, most=_SINUS)  # not the room between head and frame
    broad = _spread(_shrunk(filled, 5), 5)
    bare = dense & ~broad & _spread(~filled, 1)
    return dense & _spread(bare, 3)


def _spread(mask: Mask, num_pixels: int) -> Mask:
    """In-plane dilation by a square."""
    width = 2 * num_pixels + 1
    return np.asarray(ndimage.maximum_filter(mask, size=(width, width, 1)))


def _shrunk(mask: Mask, num_pixels: int) -> Mask:
    return ~_spread(~mask, num_pixels)


def _bone(ct: Volume, head: Mask) -> Mask:
    """Bone inside the head: the largest component, and those above a fiftieth of it (the jaw)."""
    bone = head & (ct.array > BONE_ABOVE_HU)
    for box in ndimage.find_objects(bone.view(np.uint8)):
        labels, _ = ndimage.label(bone[box], np.ones((3, 3, 3)))
        sizes = np.bincount(labels[bone[box]])
        bone[box] &= (sizes >= sizes.max() / 50)[labels]
    return bone


def _solid(tissue: Mask, spacing_mm: NDArray[Any]) -> Mask:
    """Open, keep the largest piece, grow back what the opening took off it, close, fill."""
    core = _largest(_erode(tissue, _THIN_MM, spacing_mm))
    solid = np.zeros_like(tissue)
    margin = np.ceil(3 * _THIN_MM / spacing_mm).astype(int)
    for box in ndimage.find_objects(core.view(np.uint8)):
        wide = tuple(
            slice(max(0, one.start - more), one.stop + more)
            for one, more in zip(box, margin, strict=True)
        )
        body = tissue[wide] & _dilate(core[wide], 3 * _THIN_MM, spacing_mm)
        solid[wide] = _close(_largest(body), _GAP_MM, spacing_mm)
    return _fill(solid)


def _erode(mask: Mask, radius_mm: float, spacing_mm: NDArray[Any]) -> Mask:
    # The field of view may cut the head: beyond the border counts as more of the same.
    padded = np.pad(mask, 1, mode="edge")
    distance = ndimage.distance_transform_edt(padded, sampling=spacing_mm)
    return np.asarray(distance > radius_mm)[1:-1, 1:-1, 1:-1]


def _dilate(mask: Mask, radius_mm: float, spacing_mm: NDArray[Any]) -> Mask:
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing_mm) <= radius_mm)


def _close(mask: Mask, radius_mm: float, spacing_mm: NDArray[Any]) -> Mask:
    margin = [int(np.ceil(radius_mm / one)) + 1 for one in spacing_mm]
    padded = _dilate(np.pad(mask, [(one, one) for one in margin]), radius_mm, spacing_mm)
    inside = ndimage.distance_transform_edt(padded, sampling=spacing_mm) > radius_mm
    i, j, k = (slice(one, -one) for one in margin)
    return np.asarray(inside[i, j, k] | mask)


def _fill(mask: Mask, *, most: float = np.inf) -> Mask:
    """Fill holes slice by slice: a cavity open to the neck is a hole in every axial slice.

    Those of more than `most` pixels stay open.
    """
    filled = np.empty_like(mask)
    for k in range(mask.shape[2]):
        labels, count = ndimage.label(~mask[..., k])
        hole = np.bincount(labels.ravel(), minlength=count + 1) <= most
        hole[labels[[0, -1]]] = hole[labels[:, [0, -1]]] = False
        hole[0] = True  # the mask itself
        filled[..., k] = hole[labels]
    return filled


def _largest(mask: Mask) -> Mask:
    return _pieces(mask, least=1.0)


def _without_specks(mask: Mask) -> Mask:
    return _pieces(mask, least=0.01)


def _pieces(mask: Mask, *, least: float) -> Mask:
    """The components of at least `least` times the largest one's size."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels[mask])
    return np.asarray((sizes >= least * sizes.max())[labels] & mask)


def _refine(
    coarse: Mask, step: tuple[int, ...], *, where: Mask, never: Mask | None = None
) -> Mask:
    """Bring a coarse mask to full resolution; `where` decides its outermost voxels anew.

    Blocks of `never` stay out of it.
    """
    core = ndimage.binary_erosion(coarse, border_value=1)
    reach = ndimage.binary_dilation(coarse)
    if never is not None:
        reach &= ~never
    fine = _enlarge(reach, where.shape, step)
    fine &= where
    fine |= _enlarge(core, where.shape, step)
    return _fill(fine)


def _enlarge(coarse: Mask, shape: tuple[int, ...], step: tuple[int, ...]) -> Mask:
    out = coarse
    for axis, factor in enumerate(step):
        out = np.repeat(out, factor, axis=axis)
    i, j, k = shape
    return out[:i, :j, :k]


def _steps(volume: Volume) -> tuple[int, ...]:
    return tuple(max(1, round(_COARSE_MM / spacing)) for spacing in volume.spacing_mm)
