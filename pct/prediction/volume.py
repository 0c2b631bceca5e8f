"""MR to pseudo-CT in 3D: laid out as the model asks, the generator slice by slice, and back."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from data_prep.errors import PctError
from data_prep.intensity import AIR_HU, AIR_UNIT, mr_to_unit, mr_window, unit_to_hu
from data_prep.masks import head_from_mr
from data_prep.outline import boxes
from data_prep.volume import Grid, Volume, from_ras, pad_ends, ras_grid, resample, to_ras
from pct.geometry import network_grid
from pct.model import Model
from pct.networks import Generator
from pct.parts import grid_slabs, part_for
from pct.prediction.measures import head_on

CHUNK = 4
"""Slices or tiles a forward pass: 8 take 16 % more time in the thesis's generator on a CPU, whose
allocator gives larger buffers back each time, and no less in a small one. Not tried on a GPU."""

OVERLAP = 0.75
"""Of neighbouring tiles, blended by a Gaussian (thesis 2.5.1)."""

BACKGROUND_MM = 5.0
"""Further than this from the MR's head is background."""

OnSlices = Callable[[int, int], None]
"""Told how many slices are done, and of how many."""


class BadMr(PctError):
    """An MR that no pseudo-CT can be made from."""


class BrokenOutput(PctError):
    """A generator that gives no numbers; they would become soft tissue."""


class HeadElsewhere(PctError):
    """A grid to write on that holds nothing of the head; all would become air."""


@dataclass(frozen=True)
class Prepared:
    """An MR, and all that lays it out for the generator."""

    mr: Volume
    """Raw, in RAS order."""
    window: tuple[float, float]
    """The raw values that become -1 and 1."""
    head: Volume
    """Its outline, on the MR's grid."""
    grid: Grid
    """What the generator sees, in RAS order."""
    darkest: float
    """Of the MR: what lies beyond its field of view, as in training."""

    def unit(self, slab: Grid) -> NDArray[np.float32]:
        """The MR in [-1, 1] on some slices of the grid, (i, j, k)."""
        # The grid may reach over the MR's end slices by half a step; air there would bleed back in.
        beyond = int(np.ceil(slab.spacing_mm[2] / self.mr.spacing_mm[2]))
        near = pad_ends(part_for(self.mr, slab), beyond)
        seen = resample(near, slab, fill=self.darkest, antialias=True).array
        unit: NDArray[np.float32] = mr_to_unit(seen, *self.window)
        return unit


def prepare(model: Model, mr: Volume, *, onto: Grid | None = None) -> Prepared:
    """Find the head, the intensity window and the grid for an MR of any spacing and orientation.

    Percentiles are those of the head in the MR (or of the whole volume, as the model was trained),
    on the MR's own grid. A non-finite or constant MR raises `BadMr`.
    """
    if not np.isfinite(mr.array).all():
        count = int((~np.isfinite(mr.array)).sum())
        raise BadMr(f"the MR holds {count} voxels that are NaN or infinite. Repair or exclude it.")
    mr = to_ras(mr)
    head = head_from_mr(mr)
    low, high = mr_window(mr.array, head.array if model.run.data.mr_window == "head" else None)
    if not high > low:
        raise BadMr(f"the MR is constant: percentiles 1 and 99.9 are both {low:g}.")
    grid = network_grid(model.run.geometry, head, onto=onto, trained=model.grid)
    return Prepared(mr, (low, high), head, grid, float(mr.array.min()))


def predict_volume(
    model: Model,
    mr: Volume,
    *,
    onto: Grid | None = None,
    on_slices: OnSlices = lambda done, total: None,
) -> Volume:
    """Pseudo-CT of an MR in int16 HU, on the MR's own grid or on `onto`.

    It is air beyond the fields of view of the MR and of the model, and, where the model's
    `background` says so, further than 5 mm from the head. Slices are worked on 16 at a time.
    """
    return predict_prepared(model, prepare(model, mr, onto=onto), onto or mr.grid, on_slices)


def predict_prepared(
    model: Model, prepared: Prepared, grid: Grid, on_slices: OnSlices = lambda done, total: None
) -> Volume:
    """As `predict_volume`, on `grid`, from what `prepare` found.

    A grid without any of the head raises `HeadElsewhere`, NaN from the generator `BrokenOutput`.
    """
    _expect_head(prepared.head, grid)
    num_slices = prepared.grid.shape[2]
    pct_hu = np.empty(prepared.grid.shape, np.int16)
    for which, slab in grid_slabs(prepared.grid):
        pct_unit = run_generator(model.generator, prepared.unit(slab), tile=model.grid.size)
        _expect_finite(pct_unit, model.name, first=which.start, num_slices=num_slices)
        pct_hu[:, :, which] = np.rint(unit_to_hu(pct_unit))
        on_slices(which.stop, num_slices)
    seen = [Volume(np.broadcast_to(np.True_, prepared.mr.array.shape), prepared.mr.affine)]
    if model.run.background == "air":
        seen.append(_widened(prepared.head))
    return _lay(Volume(pct_hu, prepared.grid.affine), grid, only=seen)


def _expect_head(head: Volume, grid: Grid) -> None:
    if not head_on(head, ras_grid(grid)).array.any():
        shape = "x".join(map(str, grid.shape))
        raise HeadElsewhere(
            f"none of the MR's head lies on the grid of {shape} voxels to write on. Expected the "
            "same head there: give --onto the CT of this patient, registered to the MR, or leave "
            "it out."
        )


def _expect_finite(
    pct_unit: NDArray[np.float32], name: str, *, first: int, num_slices: int
) -> None:
    broken = np.flatnonzero(~np.isfinite(pct_unit).all(axis=(0, 1)))
    if broken.size:
        numbers = ", ".join(str(first + k + 1) for k in broken)
        raise BrokenOutput(
            f"model {name}: its generator gave NaN or infinite values in slice {numbers} of "
            f"{num_slices}; expected values from -1 to 1. Predict with another model or, if this "
            "was on a GPU, with --device cpu."
        )


def _lay(pct_hu: Volume, grid: Grid, *, only: list[Volume]) -> Volume:
    """Bring a pseudo-CT to `grid`, with air where one of the masks `only` is not."""
    target = ras_grid(grid)
    out = np.empty(target.shape, np.int16)
    for which, slab in grid_slabs(target):
        laid = resample(part_for(pct_hu, slab), slab, fill=AIR_HU).array
        for mask in only:
            laid = np.where(resample(part_for(mask, slab), slab, order=0).array, laid, AIR_HU)
        out[:, :, which] = np.rint(laid).clip(-1024, 3071)
    return from_ras(Volume(out, target.affine), grid)


def _widened(head: Volume) -> Volume:
    reach = [round(BACKGROUND_MM / step) for step in head.spacing_mm]
    wide = np.zeros_like(head.array)
    for near in boxes(head.array, margin=reach):
        size = [2 * one + 1 for one in reach]
        wide[near] = ndimage.maximum_filter(head.array[near], size=size)
    return head.with_array(wide)


@torch.no_grad()
def run_generator(
    generator: Generator, mr_unit: NDArray[np.float32], *, tile: int
) -> NDArray[np.float32]:
    """The generator over all slices (i, j, k) -> (i, j, k), both in [-1, 1].

    A slice of `tile` x `tile` pixels passes whole, another in tiles of that size.
    """
    device = next(generator.parameters()).device
    slices = torch.from_numpy(np.ascontiguousarray(mr_unit.transpose(2, 1, 0)))[:, None]
    if slices.shape[-2:] == (tile, tile):
        parts = [generator(chunk.to(device)).cpu() for chunk in torch.split(slices, CHUNK)]
        pct = torch.cat(parts)
    else:
        pct = _blend_tiles(generator, slices, tile=tile, device=device)
    array: NDArray[np.float32] = pct[:, 0].numpy().transpose(2, 1, 0)
    return array


def _blend_tiles(
    generator: Generator, slices: Tensor, *, tile: int, device: torch.device
) -> Tensor:
    """Slices smaller than a tile are padded with air, and cropped again."""
    blended = sliding_window_inference(
        slices, (tile, tile), CHUNK, generator, overlap=OVERLAP, mode="gaussian",
        cval=AIR_UNIT, sw_device=device, device=torch.device("cpu"),
    )  # fmt: skip
    assert isinstance(blended, Tensor)
    return blended
