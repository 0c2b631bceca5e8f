"""The loss terms (thesis 2.4.1), each a function of slices in [-1, 1]; weights lie elsewhere."""

from typing import Literal

import torch
from jaxtyping import Float
from kornia.filters import spatial_gradient
from torch import Tensor
from torch.nn import functional as F

from data_prep.intensity import AIR_UNIT
from pct.world import sum_over_ranks, world_size

Slices = Float[Tensor, "batch 1 height width"]
Mask = Float[Tensor, "batch 1 height width"]
Scalar = Float[Tensor, ""]
Over = Literal["outside", "image"]


def masked_mean(values: Slices, mask: Mask | None) -> Scalar:
    """Mean over the mask's pixels of the *global* batch; 0 for an empty mask; None: over all.

    Under several workers it returns the local share, scaled so that averaging gradients over
    workers gives the gradient of the global mean.
    """
    if mask is None:
        return values.mean()
    pixels = sum_over_ranks(mask.sum().detach())
    return (values * mask).sum() * world_size() / pixels.clamp(min=1.0)


def l1(pct: Slices, ct: Slices, mask: Mask | None = None) -> Scalar:
    """Mean absolute difference."""
    return masked_mean((pct - ct).abs(), mask)


def background(pct: Slices, outside: Mask, *, over: Over) -> Scalar:
    """Mean distance from air outside the head, over those pixels or over the whole image.

    Source: last term of thesis eq. 2.1, whose 1-norm is a mean over the image.
    """
    distance = (pct - AIR_UNIT).abs()
    return masked_mean(distance, outside) if over == "outside" else (distance * outside).mean()


def ngf(
    pct: Slices,
    mr: Slices,
    *,
    alpha: float,
    form: Literal["half", "full"] = "half",
    mask: Mask | None = None,
) -> Scalar:
    """Disagreement of edge directions, from 0.5 (`full`: 0) for all parallel to 1 for none.

    `alpha`, in intensity per pixel, sets how flat is flat; flat pixels count as disagreement.
    Always in float32: alpha^4 underflows in half precision. Source: thesis eq. 2.2 (`half`)
    and section 1.4 (`full`); Haber and Modersitzki, MICCAI 2006.
    """
    with torch.autocast(pct.device.type, enabled=False):
        grad_pct, grad_mr = _gradient(pct.float()), _gradient(mr.float())
        inner = (grad_pct * grad_mr).sum(dim=2)
        norm_pct = grad_pct.square().sum(dim=2) + alpha**2
        norm_mr = grad_mr.square().sum(dim=2) + alpha**2
        agreement = masked_mean(inner.square() / (norm_pct * norm_mr), mask)
    return 1.0 - (0.5 if form == "half" else 1.0) * agreement


def _gradient(image: Slices) -> Float[Tensor, "batch 1 2 height width"]:
    """Sobel derivative along x and y, in intensity per pixel."""
    gradient: Tensor = spatial_gradient(image, mode="sobel", order=1, normalized=True)
    return gradient


def erode(mask: Mask) -> Mask:
    """One pixel off the mask's rim, so that no gradient reaches over it."""
    return 1.0 - F.max_pool2d(1.0 - mask, 3, stride=1, padding=1)


def adversarial(logits: list[Tensor], *, real: bool, kind: Literal["lsgan", "bce"]) -> Scalar:
    """How far the logits are from `real`, mean over patches, then scales.

    Source: Isola et al., CVPR 2017 (`bce`); Mao et al., ICCV 2017 (`lsgan`).
    """
    loss = F.mse_loss if kind == "lsgan" else F.binary_cross_entropy_with_logits
    terms = [
        loss(scale.float(), torch.full_like(scale, float(real), dtype=torch.float32))
        for scale in logits
    ]
    return torch.stack(terms).mean()
