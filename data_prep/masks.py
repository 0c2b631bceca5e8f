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
from data_prep.outline import (
    GAP_MM,
    THIN_MM,
    close,
    dilate,
    enlarge,
    fill,
    refine,
    solid,
    without_specks,
)
from data_prep.totalseg import SegmentationFailed, Setup
from data_prep.volume import BadVolume, Volume, resample

log = logging.getLogger(__name__)

Backend = Literal["auto", "totalsegmentator", "threshold"]

THRESHOLD = "threshold-2"
"""Name and version of the method below; raised when its masks change."""

FROM_FILE = "file-1"
"""Name and version of a head mask that the collection brings."""

DEFAULT = Setup()

AIR_BELOW_HU = -300.0
BONE_ABOVE_HU = 250.0
DENSE_ABOVE_HU = 600.0
"""Of 2 mm blocks that are bone or metal through and through."""

Mask = NDArray[np.bool_]

_COARSE_MM = 2.0
_SINUS = 375
"""Most blocks of 2 mm that a slice of a sinus has: 15 cm2."""
_GHOST = 0.3
"""Share of an MR's brightness around, below which a block is noise or a ghost of something."""
_SKIN = 0.2
"""The same for the outermost voxels, next to what is head: they hold some air."""
_CUBE_MM = 16.0


@dataclass(frozen=True)
class Masks:
    """Two masks on the CT's grid; `backend` says what drew them, for example `threshold-2`."""

    head: Volume
    """Outline with scalp, filled: air in sinuses belongs to it, couch and frame do not (but for
    some 2 mm of metal that touches the skin, and 6 mm of a cushion that does)."""
    skull: Volume
    backend: str


def choose(backend: Backend, setup: Setup = DEFAULT) -> Literal["totalsegmentator", "threshold"]:
    """What draws the masks of a whole run: back ends are never mixed in one.

    `auto` takes TotalSegmentator where package, models and device are there, else the threshold
    method, with one warning that says what is missing. Asked for by name, TotalSegmentator that is
    not there raises `SegmentationFailed`.
    """
    if backend == "threshold":
        if setup != DEFAULT:
            log.warning("--segmenter, --fast, --device, --weights do nothing by --masks threshold")
        return backend
    try:
        totalseg.refuse_missing(setup)
    except SegmentationFailed as missing:
        if backend == "totalsegmentator":
            raise
        log.warning("masks are drawn by %s, for %s", THRESHOLD, missing)
        return "threshold"
    return "totalsegmentator"


def head_and_skull(ct: Volume, *, backend: Backend = "auto", setup: Setup = DEFAULT) -> Masks:
    """Segment head and skull of a CT in HU, `auto` by what `choose` takes.

    The threshold method's skull holds all bone above 250 HU, and draws the head where
    TotalSegmentator's task has none. A CT without a head gives empty masks. Where TotalSegmentator
    stops, `SegmentationFailed` is raised rather than another method taken: it is for this case.
    """
    if backend == "auto":
        backend = choose(backend, setup)
    if backend == "threshold":
        head_mask = _head_from_ct(ct)
        return Masks(ct.with_array(head_mask), ct.with_array(_bone(ct, head_mask)), THRESHOLD)
    head, skull = totalseg.segment(ct, setup)
    if head is None:
        head_mask = _head_from_ct(ct)
        inside = skull.with_array(skull.array & head_mask)
        return Masks(ct.with_array(head_mask), inside, f"{totalseg.name(setup)}+{THRESHOLD}")
    return Masks(head.with_array(fill(head.array)), skull, totalseg.name(setup))


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
    dims one side several times over does no harm, and above ghosts of what is near. The volume may
    cut the head; rods of a frame's marker box are left out. An image that is constant, or of
    noise alone, raises `BadVolume`.
    """
    step = _steps(mr)
    coarse = block_reduce(mr.array, step, np.mean, cval=mr.array.min()).astype(np.float32)
    dark, bright = float(coarse.min()), float(np.percentile(coarse, 99.5))
    if not np.isfinite(bright) or bright <= dark:
        raise BadVolume("the MR is constant or not finite: no head can be found. Check the input.")
    coarse = coarse - dark
    level = np.log(np.maximum(coarse, (bright - dark) / 100))
    threshold = float(np.exp(threshold_otsu(level)))
    spacing_mm = np.array(mr.spacing_mm) * step
    around = _brightest_around(coarse, spacing_mm)
    # Dark skull parts scalp from brain: bridge it before thin things are taken off.
    bright_parts = without_specks(coarse > np.maximum(threshold, _GHOST * around))
    found = solid(fill(close(bright_parts, GAP_MM, spacing_mm)), spacing_mm)
    tissue = found | (coarse > threshold) & dilate(found, 2 * THIN_MM, spacing_mm)
    found = fill(close(tissue, GAP_MM, spacing_mm))
    edge = (dark + np.maximum(threshold, _SKIN * around)).astype(np.float32)
    head = refine(found, step, where=mr.array > enlarge(edge, mr.array.shape, step))
    if not head.any():
        raise BadVolume(
            f"the MR shows no head: nothing of {2 * THIN_MM:.0f} mm or more lies above its "
            f"threshold of {dark + threshold:.4g}. Check the input."
        )
    return mr.with_array(head)


def dilate_in_plane(mask: Mask, *, num_pixels: int = 2, slice_axis: Literal[0, 2] = 2) -> Mask:
    """Widen a 3D mask by a square of 2 `num_pixels` + 1 in every slice: 5x5 max-pooling, stride 1.

    Slices lie along `slice_axis`: 2 in volumes (i, j, k), 0 in stacks (z, y, x). Stored masks are
    never dilated; `ssim_masked` looks at the head dilated by 2 pixels.
    """
    axes = (0, 1) if slice_axis == 2 else (1, 2)
    return np.asarray(ndimage.maximum_filter(mask, size=2 * num_pixels + 1, axes=axes))


def _brightest_around(coarse: NDArray[Any], spacing_mm: NDArray[Any]) -> NDArray[Any]:
    """The highest mean of a cube of 16 mm among those around, two in each direction."""
    size = tuple(max(1, round(_CUBE_MM / one)) for one in spacing_mm)
    cubes = ndimage.maximum_filter(block_reduce(coarse, size, np.mean), size=5)
    return enlarge(cubes, coarse.shape, size)


def _head_from_ct(ct: Volume) -> Mask:
    step = _steps(ct)
    coarse = block_reduce(ct.array, step, np.mean, cval=-1000.0)
    tissue = coarse > AIR_BELOW_HU
    metal = _bare_metal(coarse)
    spacing_mm = np.array(ct.spacing_mm) * step
    found = solid(tissue & ~dilate_in_plane(metal, num_pixels=1), spacing_mm)
    return refine(found, step, where=ct.array > AIR_BELOW_HU, never=metal & ~found)


def _bare_metal(coarse_hu: NDArray[Any]) -> Mask:
    """Frame posts and pins: what is dense, stands out of the head's outline and meets the air.

    Bone does not: where it stands out (nose, chin) skin covers it.
    """
    dense = coarse_hu > DENSE_ABOVE_HU
    closed = _shrunk(dilate_in_plane(coarse_hu > AIR_BELOW_HU, num_pixels=1), 1)
    filled = fill(closed, most=_SINUS)  # not the room between head and frame
    broad = dilate_in_plane(_shrunk(filled, 5), num_pixels=5)
    bare = dense & ~broad & dilate_in_plane(~filled, num_pixels=1)
    return dense & dilate_in_plane(bare, num_pixels=3)


def _shrunk(mask: Mask, num_pixels: int) -> Mask:
    return ~dilate_in_plane(~mask, num_pixels=num_pixels)


def _bone(ct: Volume, head: Mask) -> Mask:
    """Bone inside the head: the largest component, and those above a fiftieth of it (the jaw)."""
    bone = head & (ct.array > BONE_ABOVE_HU)
    for box in ndimage.find_objects(bone.view(np.uint8)):
        labels, _ = ndimage.label(bone[box], np.ones((3, 3, 3)))
        sizes = np.bincount(labels[bone[box]])
        bone[box] &= (sizes >= sizes.max() / 50)[labels]
    return bone


def _steps(volume: Volume) -> tuple[int, ...]:
    return tuple(max(1, round(_COARSE_MM / spacing)) for spacing in volume.spacing_mm)
