"""Slices to batches. Which slices come when is a pure function of (seed, epoch, rank, world)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from data_prep.intensity import CT_RANGE_HU, unit_line
from data_prep.schema import Slices as SliceTable
from pct.config import Run

Images = Float[Tensor, "batch 1 height width"]
Channels = Float[Tensor, "batch channels height width"]


@dataclass(frozen=True)
class Batch:
    """Paired slices: MR channels and CT in [-1, 1]; `head` is 1 where the head has MR, else 0."""

    mr: Channels
    ct: Images
    head: Images
    patient: Tensor | None = None
    """(batch,), equal for slices of one patient."""
    pixel_mm: Tensor | None = None
    """(batch,), width of a slice's pixels."""

    def flipped(self, which: Tensor) -> "Batch":
        """Mirror left-right the pairs that the boolean `which` names."""
        pick = which.view(-1, 1, 1, 1)
        mr, ct, head = (torch.where(pick, t.flip(-1), t) for t in (self.mr, self.ct, self.head))
        return replace(self, mr=mr, ct=ct, head=head)


def make_batch(table: SliceTable, rows: NDArray[np.int64], run: Run, device: torch.device) -> Batch:
    """Decode rows of a slice table to [-1, 1] float32 on `device`."""
    window = table.mr_head_window if run.data.mr_window == "head" else table.mr_volume_window
    slope, intercept = unit_line(window[rows, :, 0], window[rows, :, 1])
    mr = _in_units(
        table.mr_codes,
        rows,
        slope=(slope * table.mr_slope[rows])[..., None, None],
        intercept=(slope * table.mr_intercept[rows] + intercept)[..., None, None],
    )
    ct_line = np.tile(np.array(unit_line(*CT_RANGE_HU))[:, None], len(rows))
    ct = _in_units(table.ct_hu, rows, slope=ct_line[0], intercept=ct_line[1])[:, None]
    head = torch.from_numpy(table.valid[rows].view(np.uint8))[:, None].float()
    patient = torch.from_numpy(np.unique(table.subject[rows], return_inverse=True)[1])
    pixel_mm = torch.from_numpy(table.pixel_mm[rows].astype(np.float32))
    return Batch(*(column.to(device) for column in (mr, ct, head, patient, pixel_mm)))


def _in_units(
    stored: NDArray[Any], rows: NDArray[np.int64], *, slope: NDArray[Any], intercept: NDArray[Any]
) -> Tensor:
    """`stored[rows] * slope + intercept` in float32, clipped to [-1, 1]; the line is a row's own.

    A row at a time: it stays in the processor's cache, and is cast where others gather it first.
    """
    units = np.empty((len(rows), *stored.shape[1:]), np.float32)
    for place, row, factor, added in zip(
        units, rows, slope.astype(np.float32), intercept.astype(np.float32), strict=True
    ):
        place[...] = stored[row]
        place *= factor
        place += added
    return torch.from_numpy(units).clamp_(-1.0, 1.0)


def epoch_order(count: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of `count` slices in an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def num_steps(count: int, batch: int) -> int:
    """Steps an epoch; what does not fill a batch waits for another epoch's order."""
    return max(1, count // batch)


def rank_rows(
    order: NDArray[np.int64], *, batch: int, rank: int, world: int
) -> Iterator[NDArray[np.int64]]:
    """This worker's share of each global batch.

    >>> [list(rows) for rows in rank_rows(np.arange(5), batch=4, rank=1, world=2)]
    [[1, 3]]
    """
    for step in range(num_steps(len(order), batch)):
        yield order[step * batch : (step + 1) * batch][rank::world]
