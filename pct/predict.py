"""MR to pseudo-CT in 3D: the transform of training, the generator slice by slice, and back."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.errors import PctError
from data_prep.intensity import AIR_HU, mr_to_unit, mr_window, unit_to_hu
from data_prep.masks import head_from_mr
from data_prep.volume import Grid, Volume, centre_of, pad_ends, resample, slice_grid, to_ras
from pct.model import Model

CHUNK = 16
"""Slices a forward pass."""


class BadMr(PctError):
    """An MR that no pseudo-CT can be made from."""


@dataclass(frozen=True)
class Prepared:
    """An MR as the generator sees it: [-1, 1] on the network's grid, indexed (i, j, k)."""

    mr_unit: NDArray[np.float32]
    grid: Grid


def prepare(model: Model, mr: Volume) -> Prepared:
    """Lay an MR of any spacing and orientation onto the model's grid and intensity window.

    The head is found in the MR; percentiles are those of the head (or of the whole volume, as the
    model was trained), on the MR's own grid. A non-finite or constant MR raises `BadMr`.
    """
    if not np.isfinite(mr.array).all():
        count = int((~np.isfinite(mr.array)).sum())
        raise BadMr(f"the MR holds {count} voxels that are NaN or infinite. Repair or exclude it.")
    mr = to_ras(mr)
    head = head_from_mr(mr)
    inside = head.array if model.run.data.mr_window == "head" else None
    low, high = mr_window(mr.array, inside)
    if not high > low:
        raise BadMr(f"the MR is constant: percentiles 1 and 99.9 are both {low:g}.")
    grid = slice_grid(
        mr.grid,
        centre_of(head),
        pixel_mm=model.grid.pixel_mm,
        size=model.grid.size,
        slice_mm=model.grid.slice_mm,
    )
    # The grid may reach over the MR's end slices by half a step; air there would bleed back in.
    mr = pad_ends(mr, int(np.ceil(model.grid.slice_mm / mr.spacing_mm[2])))
    seen = resample(mr, grid, fill=float(mr.array.min()), antialias=True)
    return Prepared(mr_to_unit(seen.array, low, high), grid)


def predict_volume(model: Model, mr: Volume, *, onto: Grid | None = None) -> Volume:
    """Pseudo-CT of an MR in int16 HU, on the MR's own grid or on `onto`.

    Beyond the model's field of view it is air. Background is what the generator predicts.
    """
    prepared = prepare(model, mr)
    pct_hu = unit_to_hu(run_generator(model, prepared.mr_unit))
    laid = resample(Volume(pct_hu, prepared.grid.affine), onto or mr.grid, fill=AIR_HU)
    return laid.with_array(np.rint(laid.array).clip(-1024, 3071).astype(np.int16))


@torch.no_grad()
def run_generator(model: Model, mr_unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """The generator over all slices (i, j, k) -> (i, j, k), both in [-1, 1]."""
    device = next(model.generator.parameters()).device
    slices = torch.from_numpy(np.ascontiguousarray(mr_unit.transpose(2, 1, 0)))[:, None]
    parts = [model.generator(chunk.to(device)).cpu() for chunk in torch.split(slices, CHUNK)]
    pct: NDArray[np.float32] = torch.cat(parts)[:, 0].numpy().transpose(2, 1, 0)
    return pct
