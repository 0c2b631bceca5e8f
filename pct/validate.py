"""The look at validation slices after each epoch (thesis 2.5.1): unweighted, in evaluation mode."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from data_prep.intensity import unit_to_hu
from data_prep.schema import Slices as SliceTable
from pct import losses
from pct.batches import Batch, make_batch
from pct.config import Run
from pct.metrics import psnr, psnr_masked, psnr_masked_fill
from pct.networks import Generator
from pct.schedule import number_at

CHUNK = 16
"""Slices a forward pass."""


@dataclass(frozen=True)
class Look:
    """One validation slice as a person sees it; arrays indexed (y, x) in RAS order."""

    case: str
    mr_unit: NDArray[np.float32]
    ct_hu: NDArray[np.float32]
    pct_hu: NDArray[np.float32]
    head: NDArray[np.bool_]


def spread(table: SliceTable, count: int) -> NDArray[np.int64]:
    """Rows of `count` slices a case, evenly over its slices; 1 is the centre slice."""
    rows = []
    for case in np.unique(table.subject):
        own = np.flatnonzero(table.subject == case)
        at = (np.arange(min(count, len(own))) + 0.5) * len(own) / min(count, len(own))
        rows.append(own[at.astype(np.int64)])
    return np.concatenate(rows)


def validate(generator: Generator, table: SliceTable, run: Run) -> dict[str, float]:
    """Metrics of the epoch: mean over a case's slices, then over cases.

    `val/l1`, `val/ngf` and `val/bg` are unweighted, whatever the run trains with; `val/ngf_ct` is
    NGF(CT, MR), the value a perfect pseudo-CT would have.
    """
    rows = spread(table, run.val.slices)
    columns = [
        _score(predict_batch(generator, batch, run), batch, run)
        for batch in _chunks(table, rows, run, generator)
    ]
    cases = table.subject[rows]
    metrics = {}
    for name in columns[0]:
        values = torch.cat([column[name] for column in columns]).double().cpu().numpy()
        metrics[name] = float(np.mean([values[cases == case].mean() for case in np.unique(cases)]))
    return metrics


def look(generator: Generator, table: SliceTable, run: Run) -> list[Look]:
    """The centre slice of each validation case."""
    rows = spread(table, 1)
    looks: list[Look] = []
    for batch in _chunks(table, rows, run, generator):
        pct = unit_to_hu(predict_batch(generator, batch, run)).cpu().numpy()[:, 0]
        ct = unit_to_hu(batch.ct).cpu().numpy()[:, 0]
        mr, head = batch.mr.cpu().numpy()[:, 0], batch.head.cpu().numpy()[:, 0] > 0
        cases = table.subject[rows[len(looks) : len(looks) + len(mr)]]
        looks += [
            Look(str(case), *arrays) for case, *arrays in zip(cases, mr, ct, pct, head, strict=True)
        ]
    return looks


@torch.no_grad()
def predict_batch(generator: Generator, batch: Batch, run: Run) -> Tensor:
    """Pseudo-CT of a batch in [-1, 1], in evaluation mode; the mode is put back."""
    was_training = generator.training
    generator.eval()
    with torch.autocast(batch.mr.device.type, torch.bfloat16, enabled=run.precision == "bfloat16"):
        pct: Tensor = generator(batch.mr).float()
    generator.train(was_training)
    return pct


def _chunks(
    table: SliceTable, rows: NDArray[np.int64], run: Run, generator: Generator
) -> list[Batch]:
    device = next(generator.parameters()).device
    return [
        make_batch(table, rows[at : at + CHUNK], run, device) for at in range(0, len(rows), CHUNK)
    ]


def _score(pct: Tensor, batch: Batch, run: Run) -> dict[str, Float[Tensor, " batch"]]:
    """Every metric for each slice."""
    alpha = number_at(run.schedule.ngf_alpha, 0)
    each = range(len(pct))

    def ngf(image: Tensor) -> Tensor:
        return torch.stack(
            [
                losses.ngf(
                    image[i : i + 1], batch.mr[i : i + 1], alpha=alpha, form=run.loss.ngf_form
                )
                for i in each
            ]
        )

    outside = 1.0 - batch.head
    distance = (pct + 1.0).abs() * outside
    return {
        "val/psnr": psnr(pct, batch.ct),
        "val/psnr_masked": psnr_masked(pct, batch.ct, batch.head > 0),
        "val/psnr_masked_fill": psnr_masked_fill(pct, batch.ct, batch.head > 0),
        "val/l1": (pct - batch.ct).abs().mean(dim=(1, 2, 3)),
        "val/ngf": ngf(pct),
        "val/ngf_ct": ngf(batch.ct),
        "val/bg": distance.sum(dim=(1, 2, 3)) / outside.sum(dim=(1, 2, 3)).clamp(min=1.0),
    }
