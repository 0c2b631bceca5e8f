"""What a pCT paints outside the head: fog as two numbers, void and fog as a curve over distance."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pct.metrics.names import BIN_MM, BINS
from pct.metrics.slabs import HuVolume, Mask, SpacingMm

CLEAR_AIR_HU = -900
"""Above it the background is not air."""

FOG_FROM_MM = 5.0
"""Fog is counted outside the head dilated by this much: nearer, a blurred skin would count."""

GRID_MM = 2.0
"""Background is looked at on about this grid, every n-th voxel: it is broad."""


def background(pct_hu: HuVolume, head: Mask, spacing_mm: SpacingMm) -> dict[str, float]:
    """Mean HU and the share of voxels above -900 HU outside the head; (z, y, x).

    `fog_hu` and `fog_share` further than 5 mm from the head; `bg_hu_000_010` ... `bg_hu_110_120`
    and `bg_share_...` by distance in mm, from voxel centre to the nearest centre in the head. NaN
    where the volume does not reach, and all of them without a head.
    """
    every = tuple(slice(None, None, max(1, round(GRID_MM / step))) for step in spacing_mm)
    pct_hu, head = pct_hu[every], head[every]
    distance = np.full(head.shape, np.nan)
    if head.any():
        steps = [step * part.step for step, part in zip(spacing_mm, every, strict=True)]
        distance = np.asarray(ndimage.distance_transform_edt(~head, sampling=steps))
    far = distance > FOG_FROM_MM
    scores = _mean_and_share(pct_hu[far], "fog_hu", "fog_share")
    for i, name in enumerate(BINS):
        inside = (distance > BIN_MM * i) & (distance <= BIN_MM * (i + 1))
        scores |= _mean_and_share(pct_hu[inside], f"bg_hu_{name}", f"bg_share_{name}")
    return scores


def _mean_and_share(values: NDArray[Any], mean: str, share: str) -> dict[str, float]:
    if not values.size:
        return {mean: float("nan"), share: float("nan")}
    return {
        mean: float(values.mean(dtype=np.float64)),
        share: float((values > CLEAR_AIR_HU).mean()),
    }
