"""Structural similarity in 3D inside a mask, as thesis Algorithm 1 defines it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from data_prep.errors import PctError

DATA_RANGE = 2.0
"""Width of [-1, 1], on which images are compared."""

C1, C2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2

BLOCK = 32  # outputs a matrix product: 32 of 42 columns are new, and the product runs at full speed
SLAB = 16  # slices at a time: keeps temporaries in the cache and out of the page tables


class NotOneVolume(PctError):
    """Images or a mask that are not three equal (D, H, W) tensors."""


def ssim(
    pct_unit: Tensor, ct_unit: Tensor, mask: Tensor | None = None, *,
    eps: float = 1e-8, window: int = 11, sigma: float = 1.5,
) -> Tensor:
    """Masked SSIM of two volumes, from -1 to 1, as a scalar of the inputs' dtype.

    `pct_unit`, `ct_unit` and `mask` are (D, H, W); intensities in [-1, 1]. Means and variances
    are convolutions over mask voxels alone, divided by K*M + `eps`; the map is pooled with the
    weights K*M (eq. 2.8). `mask` None is M = 1; beyond the volume M = 0 always. An empty mask
    gives NaN. `window` is clamped to the largest odd size <= each axis. Other numbers of axes
    raise `NotOneVolume`: in 2D, or with batch and channel, the window would lie in the wrong axes.
    Source: thesis 2.6.2 and Algorithm 1, without its second `eps`, in the SSIM's own denominator.
    """
    mask = torch.ones_like(ct_unit) if mask is None else mask.to(ct_unit.dtype)
    if ct_unit.ndim != 3 or pct_unit.shape != ct_unit.shape or mask.shape != ct_unit.shape:
        raise NotOneVolume(
            f"SSIM got a pCT of shape {tuple(pct_unit.shape)}, a CT of {tuple(ct_unit.shape)} and "
            f"a mask of {tuple(mask.shape)}; expected three equal (D, H, W). Pass one volume at a "
            "time, without batch and channel axes."
        )
    if not bool(mask.any()):
        return ct_unit.new_tensor(torch.nan)
    taps = [_gaussian(window, size, sigma).to(ct_unit) for size in mask.shape]
    box = _box(mask, margin=window // 2)
    pct_unit, ct_unit, mask = pct_unit[box], ct_unit[box], mask[box]
    total, weight = ct_unit.new_zeros((), dtype=torch.float64), 0.0
    halo = len(taps[0]) // 2
    for start in range(0, mask.shape[0], SLAB):
        first, last = max(0, start - halo), start + SLAB + halo
        inner = slice(start - first, start - first + SLAB)
        fields = _fields(pct_unit[first:last], ct_unit[first:last], mask[first:last])
        support, *means = (_blur(field, taps)[inner] for field in fields)
        total += (_similarity(support + eps, *means) * support).sum(dtype=torch.float64)
        weight += float(support.sum(dtype=torch.float64))
    return (total / weight).to(ct_unit.dtype)


def _fields(pct: Tensor, ct: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    """M, XM, YM, (X^2 + Y^2)M, XYM: the variances enter the SSIM only as a sum."""
    pct_in, ct_in = pct * mask, ct * mask
    return mask, pct_in, ct_in, pct_in * pct + ct_in * ct, pct_in * ct


def _similarity(norm: Tensor, pct: Tensor, ct: Tensor, squares: Tensor, product: Tensor) -> Tensor:
    """The SSIM map (eq. 2.4 to 2.7) from the five blurred fields."""
    pct, ct = pct / norm, ct / norm
    means, both = pct * ct, pct * pct + ct * ct
    variances, covariance = squares / norm - both, product / norm - means
    return ((2 * means + C1) * (2 * covariance + C2)) / ((both + C1) * (variances + C2))


def _gaussian(window: int, size: int, sigma: float) -> Tensor:
    """Weights of a Gaussian over the largest odd window <= `window` and `size`; they add to 1."""
    half = (min(window, size) - 1) // 2
    steps = torch.arange(-half, half + 1, dtype=torch.float64)
    weights = torch.exp(-(steps**2) / (2 * sigma**2))
    return weights / weights.sum()


def _box(mask: Tensor, *, margin: int) -> tuple[slice, ...]:
    """The mask's bounding box and `margin` around it: beyond it, every K*M is 0."""
    box = []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        inside = torch.nonzero(mask.sum(dim=others)).flatten()
        box.append(slice(max(0, int(inside[0]) - margin), int(inside[-1]) + margin + 1))
    return tuple(box)


def _blur(field: Tensor, taps: Sequence[Tensor]) -> Tensor:
    """Convolve (D, H, W) with the outer product of `taps`; zero beyond the ends.

    One axis a pass, always the last one, by products with a banded matrix (several times as fast
    as a convolution here); the axes rotate, so after three passes they are back in order.
    """
    for weights in reversed(taps):
        size, width = field.shape[-1], len(weights)
        band = weights.new_zeros(BLOCK + width - 1, BLOCK)
        for shift, weight in enumerate(weights):
            band.diagonal(-shift)[:] = weight
        padded = F.pad(field, (width // 2, width // 2 + -size % BLOCK))
        blurred = padded.unfold(-1, BLOCK + width - 1, BLOCK) @ band
        field = blurred.flatten(-2)[..., :size].movedim(-1, 0)
    return field
