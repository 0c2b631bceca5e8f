"""Normalised gradient fields (thesis eq. 2.2): do edges run the same way, whatever the contrast?"""

from typing import Literal

import torch
from kornia.filters import spatial_gradient
from torch import Tensor
from torch.nn import functional as F

from pct.losses import Mask, Scalar, Slices, masked_mean

Kind = Literal["sobel", "diff"]
Alpha = float | Tensor
"""One value, or one a slice, (batch, 1, 1, 1); in intensity per pixel."""

Gradient = tuple[Slices, Slices]
"""Slopes along x and y, in intensity per pixel."""


def ngf(
    pct: Slices,
    other: Slices,
    *,
    alpha: Alpha,
    form: Literal["half", "full"] = "half",
    gradient: Kind = "sobel",
    mask: Mask | None = None,
) -> Scalar:
    """Disagreement of edge directions, from 0.5 (`full`: 0) for all parallel to 1 for none.

    `alpha` sets how flat is flat; flat pixels count as disagreement, and so does an empty mask.
    In float32 at least, under autocast too: alpha^4 underflows in half precision.
    Source: thesis eq. 2.2 (`half`) and section 1.4 (`full`); Haber and Modersitzki, MICCAI 2006.
    """
    field = squared_cosine(slopes(pct, gradient), slopes(other, gradient), alpha)
    agreement = masked_mean(field, mask)
    return 1.0 - (0.5 if form == "half" else 1.0) * agreement


def squared_cosine(one: Gradient, other: Gradient, alpha: Alpha) -> Slices:
    """c^2 of each pixel, from 0 to below 1: of the angle between two slopes, less where flat."""
    (x1, y1), (x2, y2) = one, other
    steep1, steep2 = x1.square() + y1.square(), x2.square() + y2.square()
    return (x1 * x2 + y1 * y2).square() / ((steep1 + alpha**2) * (steep2 + alpha**2))


def edges(image: Slices, *, alpha: Alpha, gradient: Kind = "sobel") -> Mask:
    """1 where the image is steeper than `alpha`, else 0."""
    x, y = slopes(image, gradient)
    return (x.square() + y.square() > alpha**2).to(x.dtype)


def slopes(image: Slices, kind: Kind) -> Gradient:
    """The normalised `spatial_gradient` of kornia by slicing: equal to rounding, far faster.

    Beyond the border lies what lies on it.
    """
    wide = F.pad(_precise(image), (1, 1, 1, 1), mode="replicate")
    left, right = wide[..., :-2], wide[..., 2:]
    above, below = wide[..., :-2, :], wide[..., 2:, :]
    if kind == "diff":
        return 0.5 * (right - left)[..., 1:-1, :], 0.5 * (below - above)[..., 1:-1]
    x, y = right - left, below - above
    along_y = x[..., :-2, :] + 2.0 * x[..., 1:-1, :] + x[..., 2:, :]
    along_x = y[..., :-2] + 2.0 * y[..., 1:-1] + y[..., 2:]
    return along_y / 8.0, along_x / 8.0


def library_slopes(image: Slices, kind: Kind) -> Gradient:
    """The same by kornia itself, as the thesis takes it: validation measures with it."""
    both = spatial_gradient(_precise(image), mode=kind, order=1, normalized=True)
    return both[:, :, 0], both[:, :, 1]


def _precise(image: Slices) -> Slices:
    return image.to(torch.promote_types(image.dtype, torch.float32))
