"""A volume looked at from outside, by parallel rays along one axis: no graphics library.

Depths are in mm along the ray, from the centre of the nearest voxel.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_prep.volume import Volume

View = Literal["front", "left", "above"]
Picture = NDArray[np.float32]
"""(rows, columns), rows from the top of the picture, columns from its left."""

SKIN_HU, BONE_HU = -300.0, 250.0

_AXES = {"front": (1, 2, 0), "left": (0, 2, 1), "above": (2, 1, 0)}
_STEPS = {"front": (-1, -1, -1), "left": (1, -1, -1), "above": (-1, -1, 1)}
_LIGHT = np.array([0.84, 0.42, 0.34]) / np.linalg.norm([0.84, 0.42, 0.34])
_AMBIENT, _FADE_PER_MM = 0.12, 0.0022
_BAND_ROWS = 32  # rays computed together, to keep memory small


@dataclass(frozen=True)
class Scene:
    """A volume as one looks at it: (depth, rows, columns), the nearest first."""

    array: NDArray[Any]
    spacing_mm: tuple[float, float, float]
    """Along depth, rows and columns."""


def seen_from(volume: Volume, view: View) -> Scene:
    """Turn a RAS volume: from the front the patient's right is on the left, as in a slice.

    From the left the face looks left; from above it looks up, and right is on the right.
    """
    i, j, k = _AXES[view]
    turned = volume.array.transpose(i, j, k)[tuple(slice(None, None, s) for s in _STEPS[view])]
    spacing = volume.spacing_mm
    return Scene(turned, (spacing[i], spacing[j], spacing[k]))


def depth_map(scene: Scene, threshold: float, *, pixel_mm: float) -> Picture:
    """Where each ray first reaches `threshold`, in mm; NaN where it never does.

    Linear between voxels, along the ray and across, so depths are finer than a voxel.
    """
    _, height, width = scene.array.shape
    down, along = scene.spacing_mm[1:]
    above = np.flatnonzero((scene.array >= threshold).any(axis=(1, 2)))
    start = max(0, int(above[0]) - 1) if above.size else 0  # before it no ray can cross
    array = scene.array[start : int(above[-1]) + 1 if above.size else 1]
    rows, columns = _places(height, down / pixel_mm), _places(width, along / pixel_mm)
    bands = [
        _first_crossing(_across(array, rows[row : row + _BAND_ROWS], columns), threshold)
        for row in range(0, len(rows), _BAND_ROWS)
    ]
    return (np.concatenate(bands) + np.float32(start)) * np.float32(scene.spacing_mm[0])


def shaded(depth_mm: Picture, *, pixel_mm: float) -> Picture:
    """Lambert's brightness of the surface in [0, 1]; farther parts a little darker, NaN kept.

    The light comes from the viewer's upper left. At the outline the slope is taken on one side.
    """
    down, right = (_slope(depth_mm, axis) / pixel_mm for axis in (0, 1))
    facing = _LIGHT[0] - _LIGHT[1] * down - _LIGHT[2] * right
    cosine = np.clip(facing / np.sqrt(1 + down**2 + right**2), 0.0, 1.0)
    nearest = np.nanmin(depth_mm, initial=np.inf)
    fade = np.exp(-_FADE_PER_MM * (depth_mm - nearest))
    return np.asarray((_AMBIENT + (1 - _AMBIENT) * cosine) * fade, np.float32)


def haze(fog: Scene, depth_mm: Picture, *, pixel_mm: float, clear_mm: float) -> Picture:
    """The share of what lies behind that fog hides, 1 - exp(-mm of fog / `clear_mm`).

    `fog` is 1 where there is fog and 0 elsewhere; it counts up to `depth_mm`, to the far end where
    that is NaN. In the pixels of `depth_map`.
    """
    step, down, along = fog.spacing_mm
    count, height, width = fog.array.shape
    passed = np.concatenate([np.zeros((1, height, width)), np.cumsum(fog.array, 0)]) * step
    rows, columns = _places(height, down / pixel_mm), _places(width, along / pixel_mm)
    at = np.nan_to_num(depth_mm / step + 0.5, nan=float(count))
    where = np.broadcast_arrays(at, rows[:, None], columns[None])
    length = ndimage.map_coordinates(passed.astype(np.float32), where, order=1, mode="nearest")
    return np.asarray(1.0 - np.exp(-length / clear_mm), np.float32)


def brightest(scene: Scene, *, pixel_mm: float) -> Picture:
    """The highest value along each ray (a maximum intensity projection)."""
    _, height, width = scene.array.shape
    rows = _places(height, scene.spacing_mm[1] / pixel_mm)
    columns = _places(width, scene.spacing_mm[2] / pixel_mm)
    return np.asarray(_sampled(scene.array.max(axis=0, keepdims=True), rows, columns)[0])


def averaged(picture: NDArray[Any], factor: int) -> NDArray[Any]:
    """Means over blocks of `factor` x `factor` pixels; what does not fill a block is cut off."""
    rows, columns = (n // factor * factor for n in picture.shape[:2])
    cut = picture[:rows, :columns]
    blocks = cut.reshape(rows // factor, factor, columns // factor, factor, *cut.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3)))


def _places(count: int, pixels_per_voxel: float) -> NDArray[np.float64]:
    """Pixel centres in voxels, from the first voxel's centre to the last one's."""
    return np.arange(int((count - 1) * pixels_per_voxel + 1e-9) + 1) / pixels_per_voxel


def _across(array: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """The same as `_sampled`, of only those rows of voxels that are needed."""
    first, last = int(rows[0]), min(int(rows[-1]) + 2, array.shape[1])
    return _sampled(array[:, first:last], rows - first, columns)


def _sampled(array: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """Linear interpolation of (depth, rows, columns) at places in voxels, float32."""
    out = array.astype(np.float32)
    for axis, places in ((1, rows), (2, columns)):
        low = np.clip(places.astype(np.intp), 0, max(0, out.shape[axis] - 2))
        high = np.minimum(low + 1, out.shape[axis] - 1)
        share = (places - low).astype(np.float32).reshape((1, -1, 1) if axis == 1 else (1, 1, -1))
        below = out.take(low, axis)
        out = below + (out.take(high, axis) - below) * share
    return out


def _first_crossing(values: NDArray[Any], threshold: float) -> Picture:
    """In voxels from the first; (depth, rows, columns) to (rows, columns)."""
    reached = values >= threshold
    at = reached.argmax(axis=0)
    here = np.take_along_axis(values, at[None], 0)[0]
    before = np.take_along_axis(values, np.maximum(at - 1, 0)[None], 0)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        depth = at - np.where(at > 0, (here - threshold) / (here - before), 0.0)
    return np.where(reached.any(axis=0), depth, np.nan).astype(np.float32)


def _slope(depth: Picture, axis: int) -> NDArray[Any]:
    """Difference a pixel along `axis`: the smaller of the two sides, 0 where there is neither.

    Central differences would see the step at an outline as a steep wall and draw a dark rim.
    """
    step = np.diff(depth, axis=axis)
    pad = [(1, 0) if n == axis else (0, 0) for n in range(2)]
    behind = np.pad(step, pad, constant_values=np.nan)
    ahead = np.pad(step, [pair[::-1] for pair in pad], constant_values=np.nan)
    both = np.abs(behind - ahead) < 0.5 * (np.abs(behind) + np.abs(ahead)) + 0.5
    smaller = np.where(np.abs(ahead) < np.abs(behind), ahead, behind)
    smaller = np.where(np.isnan(behind), ahead, np.where(np.isnan(ahead), behind, smaller))
    return np.nan_to_num(np.where(both, (behind + ahead) / 2, smaller))
