"""Slices to batches. Which slices come when is a pure function of (seed, epoch, rank, world)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from data_prep.intensity import CT_RANGE_HU, to_unit_in_place
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
    slope, intercept, low, high = (
        column[rows].astype(np.float32)[..., None, None]
        for column in (table.mr_slope, table.mr_intercept, window[..., 0], window[..., 1])
    )
    raw = table.mr_codes[rows].astype(np.float32)
    raw *= slope
    raw += intercept
    mr = to_unit_in_place(raw, low, high)
    ct = to_unit_in_place(table.ct_hu[rows, None].astype(np.float32), *CT_RANGE_HU)
    head = table.valid[rows][:, None].astype(np.float32)
    patient = np.unique(table.subject[rows], return_inverse=True)[1]
    columns = (mr, ct, head, patient, table.pixel_mm[rows].astype(np.float32))
    return Batch(*(torch.from_numpy(column).to(device) for column in columns))


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
