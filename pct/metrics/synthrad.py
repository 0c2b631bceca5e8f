"""The image scores of the SynthRAD challenges of 2023 and 2025, for comparison with their tables.

In HU inside the mask, over the whole volume, images clipped to the challenge's range. Sources: the
organisers' evaluation code (github.com/SynthRAD2023/metrics, github.com/SynthRAD2025/evaluation),
whose numbers these reproduce; Wang et al., Multiscale structural similarity, Asilomar 2003.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pct.metrics.image import PSNR_CAP_DB
from pct.metrics.slabs import Box, HuVolume, Mask, box_of, slabs, working_dtype


@dataclass(frozen=True)
class Challenge:
    """The range of HU that a challenge clips to; its width is the peak."""

    low_hu: float
    high_hu: float

    @property
    def peak_hu(self) -> float:
        """Width of the range."""
        return self.high_hu - self.low_hu


YEAR_2023 = Challenge(-1024.0, 3000.0)
YEAR_2025 = Challenge(-1024.0, 3071.0)

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales of MS-SSIM, finest first."""

_HALF = 3
"""Half the 7^3 window: as much is cropped from the map at each end of an axis."""

_LEAST = 97
"""Voxels an axis needs, to be left with a whole window at the coarsest scale."""

Floats = NDArray[np.floating]
Read = Callable[[Box], Floats]
"""An image, given part by part: prepared at full size it would fill the memory."""


def synthrad_scores(pct_hu: HuVolume, ct_hu: HuVolume, mask: Mask) -> dict[str, float]:
    """The scores of both challenges of one case, (z, y, x); all NaN for an empty mask.

    Volumes of fewer than 7 slices have no SSIM (NaN). Computed in the dtype of `working_dtype`.
    """
    volumes = (pct_hu, ct_hu, mask)
    mae23, psnr23 = mae_and_psnr(*volumes, YEAR_2023)
    mae25, psnr25 = mae_and_psnr(*volumes, YEAR_2025)
    return {
        "synthrad23_mae": mae23,
        "synthrad23_psnr": psnr23,
        "synthrad23_ssim": ssim(*volumes, YEAR_2023),
        "synthrad25_mae": mae25,
        "synthrad25_psnr": psnr25,
        "synthrad25_ms_ssim": ms_ssim(*volumes, YEAR_2025),
    }


def mae_and_psnr(
    pct_hu: HuVolume, ct_hu: HuVolume, mask: Mask, challenge: Challenge
) -> tuple[float, float]:
    """Mean absolute error in HU and PSNR in dB (at most 100) over the mask's voxels."""
    absolute, squares, count = 0.0, 0.0, 0
    for slab in slabs(box_of(mask)[0]):
        inside = mask[slab]
        pct, ct = (
            one[slab][inside].astype(np.float64).clip(challenge.low_hu, challenge.high_hu)
            for one in (pct_hu, ct_hu)
        )
        error = pct - ct
        absolute += float(np.abs(error).sum())
        squares += float((error**2).sum())
        count += error.size
    if not count:
        return float("nan"), float("nan")
    if not squares:
        return 0.0, PSNR_CAP_DB
    decibel = 10 * math.log10(challenge.peak_hu**2 / (squares / count))
    return absolute / count, min(decibel, PSNR_CAP_DB)


def ssim(pct_hu: HuVolume, ct_hu: HuVolume, mask: Mask, challenge: Challenge) -> float:
    """SSIM by uniform windows of 7^3 and sample covariance, outside the mask filled with -1024 HU.

    The map, less 3 voxels at each end of an axis, is averaged over the mask.
    """
    pct, ct = (_prepared(one, mask, challenge) for one in (pct_hu, ct_hu))
    terms = _terms_inside(pct, ct, mask, challenge.peak_hu)
    return _mean(luminance * contrast for luminance, contrast in terms)


def ms_ssim(pct_hu: HuVolume, ct_hu: HuVolume, mask: Mask, challenge: Challenge) -> float:
    """Product over five scales of the masked SSIM, its two terms each to the scale's weight.

    Terms are clipped at 0. Images and mask are padded by their edges to at least 97 voxels an
    axis. From scale to scale images are averaged by 2^3 and every second voxel of the mask kept;
    a mask of which a scale keeps nothing gives NaN.
    """
    pct_hu, ct_hu, mask = (_padded(one) for one in (pct_hu, ct_hu, mask))
    pct, ct = (_prepared(one, mask, challenge) for one in (pct_hu, ct_hu))
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            pct, ct = (_halved(image, shape=mask.shape).__getitem__ for image in (pct, ct))
            mask = mask[::2, ::2, ::2]
        terms = _terms_inside(pct, ct, mask, challenge.peak_hu)
        product *= _mean((a.clip(0) * b.clip(0)) ** weight for a, b in terms)
    return product


def _prepared(volume_hu: HuVolume, mask: Mask, challenge: Challenge) -> Read:
    """HU clipped, outside the mask filled with the lowest, and shifted to begin at 0."""
    dtype = working_dtype(volume_hu)

    def read(box: Box) -> Floats:
        clipped = volume_hu[box].astype(dtype).clip(challenge.low_hu, challenge.high_hu)
        return np.where(mask[box], clipped - dtype(challenge.low_hu), dtype(0))

    return read


def _terms_inside(pct: Read, ct: Read, mask: Mask, peak: float) -> Iterator[tuple[Floats, Floats]]:
    """Luminance, and contrast times structure, at the mask's voxels, a slab at a time."""
    inner = mask[_HALF:-_HALF, _HALF:-_HALF, _HALF:-_HALF]
    z, y, x = box_of(inner)
    for slab in slabs(z):
        dz, dy, dx = (slice(one.start, one.stop + 2 * _HALF) for one in (slab, y, x))
        one, other = pct((dz, dy, dx)), ct((dz, dy, dx))
        inside = inner[slab, y, x]
        yield _terms(*(_windowed(f)[inside] for f in (one, other, one**2 + other**2, one * other)),
                     peak=peak)  # fmt: skip


def _windowed(field: Floats) -> Floats:
    mean = ndimage.uniform_filter(field, 2 * _HALF + 1)
    return np.asarray(mean[_HALF:-_HALF, _HALF:-_HALF, _HALF:-_HALF])


def _terms(
    pct: Floats, ct: Floats, squares: Floats, product: Floats, *, peak: float
) -> tuple[Floats, Floats]:
    """The two factors of SSIM from the means of X, Y, X^2 + Y^2 and XY in each window."""
    count = (2 * _HALF + 1) ** 3
    sample = count / (count - 1)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    both = pct**2 + ct**2
    variances, covariance = sample * (squares - both), sample * (product - pct * ct)
    return (2 * pct * ct + c1) / (both + c1), (2 * covariance + c2) / (variances + c2)


def _mean(parts: Iterator[Floats]) -> float:
    total, count = 0.0, 0
    for part in parts:
        total, count = total + float(part.sum(dtype=np.float64)), count + part.size
    return total / count if count else float("nan")


def _padded(volume: NDArray[Any]) -> NDArray[Any]:
    """Edges repeated to at least 97 voxels an axis, the odd one behind."""
    lacking = [max(0, _LEAST - size) for size in volume.shape]
    ends = [(missing // 2, missing - missing // 2) for missing in lacking]
    return np.pad(volume, ends, mode="edge") if any(lacking) else volume


def _halved(read: Read, *, shape: tuple[int, ...]) -> Floats:
    """Means of 2^3 voxels, the first of an axis paired with 0 in front, the odd last one left out.

    So are the blocks that the challenge's convolution keeps.
    """
    depth, height, width = shape
    parts = []
    for slab in slabs((depth + 1) // 2):
        source = slice(max(0, 2 * slab.start - 1), 2 * slab.stop - 1)
        part = read((source, slice(0, height), slice(0, width)))
        part = np.pad(part, [(int(slab.start == 0), 0), (1, 0), (1, 0)])
        for axis in range(3):
            num = part.shape[axis] // 2
            even, odd = (part.take(range(first, 2 * num, 2), axis) for first in (0, 1))
            part = (even + odd) / 2
        parts.append(part)
    return np.concatenate(parts)
