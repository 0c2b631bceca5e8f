"""The head in 3D from three sides, CT first and a row a run: bone, and skin behind its fog."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dashboards.load import Sweep, Trial
from dashboards.volumes.folder import Head
from dashboards.volumes.raycast import (
    BONE_HU,
    SKIN_HU,
    Scene,
    View,
    averaged,
    brightest,
    depth_map,
    haze,
    seen_from,
    shaded,
)
from dashboards.volumes.sheets import Row, Sheet
from data_prep.picture import BONE, Tile
from data_prep.volume import Volume
from pct.metrics.background import CLEAR_AIR_HU, FOG_FROM_MM

VIEWS: tuple[View, ...] = ("front", "left", "above")
_SIDE = {"front": "front", "left": "left side", "above": "above"}
CLEAR_MM = 100.0
"""So much fog in a row hides 63 % of what is behind it."""

PIXEL_MM, RAYS = 0.8, 2  # a pixel is the mean of RAYS x RAYS rays
MARGIN_MM = 12.0  # round the head in pictures of bone
_SMOOTH_MM = {SKIN_HU: 2.0, BONE_HU: 1.2}  # 2 mm voxels would show as terraces
_HAZE_COLOUR = np.array([0.46, 0.69, 0.96], np.float32)
_DARK = np.array([17, 19, 23], np.float32) / 255


def bone_sheet(sweep: Sweep, head: Head, runs: Sequence[Trial]) -> Sheet:
    """Surfaces at 250 HU and the brightest value along rays from the left, cut to the head."""
    ct, mask = head.load_ct(), head_mask(head)
    box = _box(mask, MARGIN_MM, ct.spacing_mm)
    rows = [
        Row(name, (*(_bone(part, view) for view in VIEWS), _radiograph(part)))
        for name, volume in named_volumes(sweep, head, runs)
        for part in [volume.with_array(volume.array[box])]
    ]
    titles = (*(f"bone, {_SIDE[view]}" for view in VIEWS), "highest HU, left side")
    return Sheet(f"bone of case {head.case} in 3D", titles, tuple(rows))


def fog_sheet(sweep: Sweep, head: Head, runs: Sequence[Trial]) -> Sheet:
    """Skin at -300 HU and, as haze before it, every background voxel above -900 HU."""
    background = off_head(head_mask(head), head.load_ct().spacing_mm)
    rows = [
        Row(name, tuple(foggy(volume, background, view=view) for view in VIEWS))
        for name, volume in named_volumes(sweep, head, runs)
    ]
    titles = tuple(f"skin and fog, {_SIDE[view]}" for view in VIEWS)
    return Sheet(f"skin and fog of case {head.case} in 3D", titles, tuple(rows))


def foggy(volume: Volume, background: NDArray[np.bool_], *, view: View) -> Tile:
    """The head's skin in `view` behind the haze of its background, which is never skin itself."""
    skin = np.where(background, -1000.0, volume.array)
    ray_mm = PIXEL_MM / RAYS
    depth = depth_map(_smooth(volume, skin, SKIN_HU, view), SKIN_HU, pixel_mm=ray_mm)
    fog = seen_from(volume.with_array(background & (volume.array > CLEAR_AIR_HU)), view)
    share = haze(fog, depth, pixel_mm=ray_mm, clear_mm=CLEAR_MM)[..., None]
    lit = _lit(shaded(depth, pixel_mm=ray_mm))
    return _tile(lit * (1 - share) + _HAZE_COLOUR * share)


def off_head(mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Voxels more than 5 mm from the head, where fog is counted."""
    distance = ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    return np.asarray(distance) > FOG_FROM_MM


def head_mask(head: Head) -> NDArray[np.bool_]:
    """The CT's head; without its file what the CT has above -300 HU."""
    mask = head.load("head")
    return head.load_ct().array > SKIN_HU if mask is None else mask.array > 0


def named_volumes(sweep: Sweep, head: Head, runs: Sequence[Trial]) -> list[tuple[str, Volume]]:
    """The CT, then each run's pseudo-CT."""
    return [("CT", head.load_ct()), *((sweep.names_of(run), head.load_run(run)) for run in runs)]


def _bone(volume: Volume, view: View) -> Tile:
    ray_mm = PIXEL_MM / RAYS
    scene = _smooth(volume, volume.array, BONE_HU, view)
    return _tile(_lit(shaded(depth_map(scene, BONE_HU, pixel_mm=ray_mm), pixel_mm=ray_mm)))


def _radiograph(volume: Volume) -> Tile:
    picture = brightest(seen_from(volume, "left"), pixel_mm=PIXEL_MM / RAYS)
    share = np.clip((picture - BONE.low) / (BONE.high - BONE.low), 0.0, 1.0)
    return _tile(np.repeat(share[..., None], 3, axis=2))


def _smooth(volume: Volume, array: NDArray[Any], threshold: float, view: View) -> Scene:
    sigmas = [_SMOOTH_MM[threshold] / step for step in volume.spacing_mm]
    smooth = ndimage.gaussian_filter(array.astype(np.float32), sigmas)
    return seen_from(volume.with_array(smooth), view)


def _lit(brightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey of the surface on a dark ground."""
    grey = np.repeat(brightness[..., None], 3, axis=2)
    return np.where(np.isnan(grey), _DARK, grey)


def _tile(picture: NDArray[np.float32]) -> Tile:
    return np.asarray(np.rint(np.clip(averaged(picture, RAYS), 0.0, 1.0) * 255), np.uint8)


def _box(
    mask: NDArray[np.bool_], margin_mm: float, spacing_mm: tuple[float, float, float]
) -> tuple[slice, ...]:
    """The part of the grid round a mask, for all of it where the mask is empty."""
    if not mask.any():
        return tuple(slice(0, n) for n in mask.shape)
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    pads = [round(margin_mm / step) for step in spacing_mm]
    return tuple(
        slice(max(0, part.start - pad), part.stop + pad)
        for part, pad in zip(found, pads, strict=True)
    )
