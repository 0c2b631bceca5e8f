"""Random changes of training pairs: what happens to MR, CT and head alike, and to the MR alone.

All numbers come from the process's torch generator, so a resumed run draws what the run that never
stopped would have drawn. A flip, a move or a shading that is off draws nothing.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from data_prep.intensity import AIR_UNIT
from pct.batches import Batch, Channels
from pct.learning import Augmentation

COARSE = 4
"""Knots a side of the bias field: nothing finer than a quarter of the slice, as coils make it."""

Affine = Float[Tensor, "batch 2 3"]
"""Output to input coordinates, both in [-1, 1] over the slice (`affine_grid`)."""


def augment(batch: Batch, *, flip: float, how: Augmentation) -> Batch:
    """A batch with each pair changed at random."""
    count, device = len(batch.mr), batch.mr.device
    if flip:
        batch = batch.flipped((torch.rand(count) < flip).to(device))
    if how.rotate_deg or how.scale or how.shift:
        batch = moved(batch, random_affine(count, how).to(device))
    if how.gamma or how.bias:
        exponent = torch.exp(how.gamma * _symmetric(count))
        knots = how.bias * torch.randn(count, 1, COARSE, COARSE)
        batch = replace(batch, mr=shaded(batch.mr, exponent.to(device), knots.to(device)))
    return batch


def random_affine(count: int, how: Augmentation) -> Affine:
    """Rotations, sizes and shifts, uniform between the limits of `how` on either side."""
    angle = math.radians(how.rotate_deg) * _symmetric(count)
    zoom = 1.0 + how.scale * _symmetric(count)
    shift = 2.0 * how.shift * torch.stack([_symmetric(count), _symmetric(count)], dim=1)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], dim=1)
    return torch.cat([turn, shift[..., None]], dim=2)


def moved(batch: Batch, affine: Affine) -> Batch:
    """Lay a pair and its head onto another grid: images bilinear, the head by nearest pixel.

    What comes in from beyond the slice is air in the CT, the darkest value in the MR, no head. A
    pair drawn larger has pixels that show fewer mm.
    """
    height, width = batch.mr.shape[-2:]
    grid = F.affine_grid(affine, [len(affine), 1, height, width], align_corners=False)

    def sample(image: Tensor, mode: str) -> Tensor:
        return F.grid_sample(image, grid, mode=mode, padding_mode="zeros", align_corners=False)

    # Beyond the slice `grid_sample` puts 0: shifted so that 0 is the darkest value.
    mr, ct = (sample(image - AIR_UNIT, "bilinear") + AIR_UNIT for image in (batch.mr, batch.ct))
    head, wider = sample(batch.head, "nearest"), torch.linalg.det(affine[:, :, :2]).sqrt()
    pixel_mm = None if batch.pixel_mm is None else batch.pixel_mm * wider
    mr, ct = mr.clamp(-1.0, 1.0), ct.clamp(-1.0, 1.0)
    return replace(batch, mr=mr, ct=ct, head=head, pixel_mm=pixel_mm)


def shaded(
    mr: Channels, exponent: Float[Tensor, " batch"], knots: Float[Tensor, "batch 1 knots knots"]
) -> Channels:
    """Another scanner's MR: u -> u^exponent times a smooth field, u = 0 darkest, 1 brightest.

    `knots` is the logarithm of the field on a coarse grid. The darkest value stays so.
    """
    field = F.interpolate(knots, size=mr.shape[-2:], mode="bicubic", align_corners=True)
    unit = (0.5 * (mr + 1.0)).pow(exponent.view(-1, 1, 1, 1)) * field.exp()
    return 2.0 * unit.clamp(0.0, 1.0) - 1.0


def _symmetric(count: int) -> Float[Tensor, " count"]:
    """Uniform in [-1, 1)."""
    return 2.0 * torch.rand(count) - 1.0
