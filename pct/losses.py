"""The loss terms (thesis 2.4.1), each a function of slices in [-1, 1]; weights lie elsewhere."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from data_prep.intensity import AIR_UNIT
from pct.world import sum_over_ranks, world_size

Slices = Float[Tensor, "batch 1 height width"]
Mask = Float[Tensor, "batch 1 height width"]
Scalar = Float[Tensor, ""]
Over = Literal["outside", "image"]
Gan = Literal["lsgan", "bce", "hinge"]


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


def erode(mask: Mask) -> Mask:
    """One pixel off the mask's rim, so that no gradient reaches over it."""
    return 1.0 - F.max_pool2d(1.0 - mask, 3, stride=1, padding=1)


def adversarial(logits: list[Tensor], *, real: bool, kind: Gan) -> Scalar:
    """D's loss: how far its logits are from saying `real`, mean over patches, then scales.

    Source: Isola et al., CVPR 2017 (`bce`); Mao et al., ICCV 2017 (`lsgan`); Lim and Ye,
    Geometric GAN, 2017 (`hinge`: nothing to gain beyond a margin of 1).
    """
    return torch.stack([_distance(scale.float(), real, kind) for scale in logits]).mean()


def fooling(logits: list[Tensor], *, kind: Gan) -> Scalar:
    """G's loss on D's logits of its fake: D's on a real pair, but without a margin for `hinge`."""
    if kind == "hinge":
        return -torch.stack([scale.float().mean() for scale in logits]).mean()
    return adversarial(logits, real=True, kind=kind)


def _distance(logits: Tensor, real: bool, kind: Gan) -> Scalar:
    if kind == "hinge":
        return F.relu(1.0 - logits if real else 1.0 + logits).mean()
    loss = F.mse_loss if kind == "lsgan" else F.binary_cross_entropy_with_logits
    return loss(logits, torch.full_like(logits, float(real)))
