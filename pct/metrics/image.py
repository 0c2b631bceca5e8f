"""PSNR of slices in [-1, 1] (thesis 2.3, 2.6.1): of all pixels, of a mask's, filled with air."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.intensity import AIR_UNIT
from pct.metrics.slabs import HuVolume, Mask, slabs
from pct.metrics.ssim import DATA_RANGE

PSNR_CAP_DB = 100.0
"""The PSNR of identical images."""


def psnr(pct_unit: Tensor, ct_unit: Tensor) -> Tensor:
    """PSNR in dB of each slice, (n,) from (n, 1, H, W) in [-1, 1]; at most 100 (thesis eq. 2.3)."""
    return _decibel(((pct_unit - ct_unit) ** 2).flatten(1).mean(dim=1))


def psnr_masked(pct_unit: Tensor, ct_unit: Tensor, mask: Tensor) -> Tensor:
    """PSNR in dB of each slice over its mask pixels; NaN where the mask is empty."""
    inside = mask.to(ct_unit.dtype)
    squares = ((pct_unit - ct_unit) ** 2 * inside).flatten(1).sum(dim=1)
    return _decibel(squares / inside.flatten(1).sum(dim=1))


def psnr_masked_fill(pct_unit: Tensor, ct_unit: Tensor, mask: Tensor) -> Tensor:
    """PSNR in dB of each slice after filling outside the mask with air (-1) in both.

    It exceeds `psnr_masked` by 10 log10(pixels / mask pixels), below the cap. NaN where the mask
    is empty. Source: thesis 2.6.1, for Exp. 4.
    """
    inside = mask.bool()
    value = psnr(pct_unit.where(inside, AIR_UNIT), ct_unit.where(inside, AIR_UNIT))
    return value.where(inside.flatten(1).any(dim=1), torch.nan)


def psnr_of_slices(
    pct_hu: HuVolume, ct_hu: HuVolume, mask: Mask, *, to_unit: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """The three PSNRs of a volume (z, y, x), each the mean over the slices where it is defined.

    `to_unit` brings HU to [-1, 1], slab by slab.
    """
    rows: list[NDArray[np.float64]] = []
    for slab in slabs(len(ct_hu)):
        pct, ct = (to_unit(torch.from_numpy(one[slab]))[:, None] for one in (pct_hu, ct_hu))
        inside = torch.from_numpy(mask[slab])[:, None]
        each = psnr(pct, ct), psnr_masked(pct, ct, inside), psnr_masked_fill(pct, ct, inside)
        rows.append(torch.stack(each).double().numpy())
    values = np.concatenate(rows, axis=1)
    names = ("psnr", "psnr_masked", "psnr_masked_fill")
    return {name: _mean_of_known(row) for name, row in zip(names, values, strict=True)}


def _mean_of_known(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _decibel(mean_square: Tensor) -> Tensor:
    return (10 * torch.log10(DATA_RANGE**2 / mean_square)).clamp(max=PSNR_CAP_DB)
