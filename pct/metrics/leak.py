"""Does the pCT carry the MR's soft-tissue contrast? NGF is least when the MR is copied."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pct.metrics.hu_errors import AIR_BELOW_HU, SKULL_HU
from pct.metrics.slabs import HuVolume, Mask, SpacingMm, box_of, slabs

LEAK_LIMIT = 0.2
"""`mr_leak` above it is a leak: the pCT's detail follows the MR so much more than the CT's does."""

AWAY_VOXELS = 3
"""Soft tissue is looked at where no bone, air or outside is nearer than this."""

HIGH_PASS_MM = 4.0
"""Sigma of the in-plane Gaussian that is taken off: what is left is smaller than about 1 cm."""

_FLAT = 1e-12
"""Sums of squares below it are rounding: the image is constant."""

_HU_EDGES = np.linspace(-1000.0, 2000.0, 101)
_MR_EDGES = np.linspace(-1.0, 1.0, 65)


@dataclass(frozen=True)
class Leak:
    """How an image's soft-tissue detail follows the MR's; NaN where either is flat or missing."""

    slope_hu: float
    """HU per MR unit."""
    correlation: float


def leak_scores(
    pct_hu: HuVolume,
    ct_hu: HuVolume,
    mr_unit: NDArray[np.floating],
    head: Mask,
    spacing_mm: SpacingMm,
) -> dict[str, float]:
    """Slope and correlation of pCT and of CT on the MR; `mr_leak` is |r| of the pCT less the CT's.

    All (z, y, x) on the CT's grid; `mr_unit` in [-1, 1]. A pCT leaks where `mr_leak` > 0.2.
    """
    where = soft_inside(ct_hu, head)
    moments = detail_moments((mr_unit, pct_hu, ct_hu), where, spacing_mm)
    pct, ct = (_regression(moments, on=0, of=image) for image in (1, 2))
    return {
        "mr_leak": abs(pct.correlation) - abs(ct.correlation),
        "mr_leak_slope": pct.slope_hu,
        "mr_leak_corr": pct.correlation,
        "mr_leak_slope_ct": ct.slope_hu,
        "mr_leak_corr_ct": ct.correlation,
    }


def soft_inside(ct_hu: HuVolume, head: Mask) -> Mask:
    """Soft tissue of the CT (-400 to 250 HU) in `head`, 3 voxels or more from all else."""
    soft = head & (ct_hu >= AIR_BELOW_HU) & (ct_hu <= SKULL_HU)
    return np.asarray(ndimage.minimum_filter(soft, size=2 * AWAY_VOXELS - 1, mode="nearest"))


def detail_moments(
    images: Sequence[NDArray[Any]], where: Mask, spacing_mm: SpacingMm
) -> NDArray[np.float64]:
    """Sums over `where` of the products of the images' detail, each with each.

    Detail is an image less its Gaussian mean (sigma 4 mm, in the slice) over the voxels of `where`
    alone, so that no edge of bone or air gets in.
    """
    z, y, x = box_of(where)
    sigmas = (0.0, HIGH_PASS_MM / spacing_mm[1], HIGH_PASS_MM / spacing_mm[2])
    moments = np.zeros((len(images), len(images)))
    for slab in slabs(z):
        inside = where[slab, y, x]
        weight = _blurred(inside.astype(np.float64), sigmas)[inside]
        detail = []
        for image in images:
            values = np.where(inside, image[slab, y, x], 0).astype(np.float64)
            detail.append(values[inside] - _blurred(values, sigmas)[inside] / weight)
        moments += np.inner(detail, detail)
    return moments


def _blurred(image: NDArray[np.float64], sigmas: tuple[float, ...]) -> NDArray[np.float64]:
    return np.asarray(ndimage.gaussian_filter(image, sigmas, mode="constant", truncate=3.0))


def _regression(moments: NDArray[np.float64], *, on: int, of: int) -> Leak:
    joint, own, other = moments[on, of], moments[of, of], moments[on, on]
    if other < _FLAT:
        return Leak(math.nan, math.nan)
    flat = own < _FLAT
    return Leak(float(joint / other), math.nan if flat else float(joint / math.sqrt(own * other)))


def nmi_mr(pct_hu: HuVolume, mr_unit: NDArray[np.floating], head: Mask) -> float:
    """Normalised mutual information of pCT and MR in `head`, from 1 (independent) to 2.

    (H(pCT) + H(MR)) / H(pCT, MR), from 100 x 64 bins over [-1000, 2000] HU and [-1, 1], values
    beyond in the end bins. Supports, never decides: NGF trains towards it. NaN for an empty head
    or two constants.
    """
    joint = np.zeros((len(_HU_EDGES) - 1) * (len(_MR_EDGES) - 1))
    for slab in slabs(box_of(head)[0]):
        inside = head[slab]
        rows = _bin(pct_hu[slab][inside], _HU_EDGES)
        cell = rows * (len(_MR_EDGES) - 1) + _bin(mr_unit[slab][inside], _MR_EDGES)
        joint += np.bincount(cell, minlength=len(joint))
    table = joint.reshape(len(_HU_EDGES) - 1, -1) / max(1.0, joint.sum())
    whole = _entropy(table.ravel())
    return (_entropy(table.sum(0)) + _entropy(table.sum(1))) / whole if whole else math.nan


def _bin(values: NDArray[np.generic], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    scaled = (values.astype(np.float64) - edges[0]) / (edges[1] - edges[0])
    return np.asarray(np.clip(scaled.astype(np.intp), 0, len(edges) - 2))


def _entropy(shares: NDArray[np.float64]) -> float:
    known = shares[shares > 0]
    return float(-(known * np.log(known)).sum())
