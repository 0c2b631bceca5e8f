"""Structural similarity in 3D inside a mask, as thesis Algorithm 1 defines it."""

from collections.abc import Iterator

import torch
from torch import Tensor

from data_prep.errors import PctError

DATA_RANGE = 2.0
"""Width of [-1, 1], on which images are compared."""

C1, C2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2

SLAB = 16  # slices at a time: temporaries stay small, whatever the volume


class NotOneVolume(PctError):
    """Images or a mask that are not three equal (D, H, W) tensors."""


def ssim(
    pct_unit: Tensor,
    ct_unit: Tensor,
    mask: Tensor | None = None,
    *,
    eps: float = 1e-8,
    window: int = 11,
    sigma: float = 1.5,
) -> Tensor:
    """Masked SSIM of two volumes, from -1 to 1, as a scalar of the CT's dtype.

    `pct_unit`, `ct_unit` and `mask` are (D, H, W); intensities in [-1, 1]. Means and variances
    are convolutions over mask voxels alone, divided by K*M + `eps`; the map is pooled with the
    weights K*M (eq. 2.8). `mask` None is M = 1; beyond the volume M = 0 always. An empty mask
    gives NaN. `window` is clamped to the largest odd size <= each axis. Other numbers of axes
    raise `NotOneVolume`: in 2D, or with batch and channel, the window would lie in the wrong axes.
    Source: thesis 2.6.2 and Algorithm 1, without its second `eps`, in the SSIM's own denominator.
    """
    total = weights = torch.zeros((), dtype=torch.float64, device=ct_unit.device)
    for similarity, weight in ssim_slabs(
        pct_unit, ct_unit, mask, eps=eps, window=window, sigma=sigma
    ):
        total = total + (similarity * weight).sum(dtype=torch.float64)
        weights = weights + weight.sum(dtype=torch.float64)
    return (total / weights).to(ct_unit.dtype)


def ssim_slabs(
    pct_unit: Tensor,
    ct_unit: Tensor,
    mask: Tensor | None = None,
    *,
    eps: float = 1e-8,
    window: int = 11,
    sigma: float = 1.5,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The SSIM map and its weights K*M, at most 16 slices at a time; arguments as for `ssim`.

    Only the mask's bounding box and half a window around it is visited: beyond it every weight
    is 0. Where the weight is 0, so is the map. An empty mask yields nothing.
    """
    mask = _mask_like(pct_unit, ct_unit, mask)
    if not bool(mask.any()):
        return
    halves = [(min(window, size) - 1) // 2 for size in mask.shape]
    box = _box(mask, margin=max(halves))
    pct_unit, ct_unit, mask = pct_unit[box], ct_unit[box], mask[box]
    z, y, x = (
        _gaussian_band(size, half, sigma).to(ct_unit)
        for size, half in zip(mask.shape, halves, strict=True)
    )
    for start in range(0, len(z), SLAB):
        near = slice(max(0, start - halves[0]), start + SLAB + halves[0])
        rows = z[start : start + SLAB, near]
        weight, *means = (
            y @ torch.tensordot(rows, field, 1) @ x
            for field in _fields(pct_unit[near], ct_unit[near], mask[near])
        )
        yield torch.where(weight > 0, _similarity(weight + eps, *means), 0.0), weight


def _mask_like(pct_unit: Tensor, ct_unit: Tensor, mask: Tensor | None) -> Tensor:
    """The mask in the CT's dtype, all ones for None; refuses what are not three equal volumes."""
    mask = torch.ones_like(ct_unit) if mask is None else mask.to(ct_unit.dtype)
    if ct_unit.ndim != 3 or pct_unit.shape != ct_unit.shape or mask.shape != ct_unit.shape:
        raise NotOneVolume(
            f"SSIM got a pCT of shape {tuple(pct_unit.shape)}, a CT of {tuple(ct_unit.shape)} and "
            f"a mask of {tuple(mask.shape)}; expected three equal (D, H, W). Pass one volume at a "
            "time, without batch and channel axes."
        )
    return mask


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


def _gaussian_band(size: int, half: int, sigma: float) -> Tensor:
    """Convolution along an axis as a symmetric (size, size) matrix; 0 beyond the ends.

    Matrix products run at full speed on every device: here four times as fast as `conv3d`.
    """
    steps = torch.arange(size, dtype=torch.float64)
    distance = (steps[:, None] - steps).abs()
    weights = torch.exp(-(distance**2) / (2 * sigma**2)) * (distance <= half)
    centred = torch.arange(-half, half + 1, dtype=torch.float64)
    return weights / torch.exp(-(centred**2) / (2 * sigma**2)).sum()


def _box(mask: Tensor, *, margin: int) -> tuple[slice, ...]:
    """The mask's bounding box and `margin` voxels around it, cut at the volume's ends."""
    box = []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        inside = torch.nonzero(mask.sum(dim=others)).flatten()
        box.append(slice(max(0, int(inside[0]) - margin), int(inside[-1]) + margin + 1))
    return tuple(box)
