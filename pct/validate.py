"""The look at validation slices after each epoch (thesis 2.5.1): unweighted, in evaluation mode."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from data_prep.intensity import AIR_UNIT, unit_to_hu
from data_prep.schema import Slices as SliceTable
from pct.batches import Batch, make_batch
from pct.config import Run
from pct.metrics.case import psnr, psnr_masked, psnr_masked_fill
from pct.networks import Generator
from pct.ngf import library_slopes, squared_cosine
from pct.objective import alpha_by_pixel
from pct.schedule import number_at

CHUNK = 16
"""Slices a forward pass."""

SHOWN = 8
"""Cases that people are shown: the first by their ids."""


@dataclass(frozen=True)
class Look:
    """One validation slice as a person sees it; arrays indexed (y, x) in RAS order."""

    case: str
    z: int
    """Of the slice in its volume."""
    pixel_mm: float
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

    `val/l1`, `val/ngf`, `val/bg` and `val/idt` are unweighted and over the whole image, background
    outside the head, whatever the run trains with. `val/ngf` is NGF(pCT, MR) with the form and the
    first alpha of the run; `val/ngf_ct` is NGF(CT, MR), the value a perfect pseudo-CT would have;
    `val/ngf_against_ct` is NGF(pCT, CT).
    """
    rows = spread(table, run.val.slices)
    columns = []
    for batch in _chunks(table, rows, run, generator):
        pct, again = (predict_batch(generator, image, run) for image in (batch.mr, batch.ct))
        columns.append(_score(pct, again, batch, run))
    cases = table.subject[rows]
    metrics = {}
    for name in columns[0]:
        values = torch.cat([column[name] for column in columns]).double().cpu().numpy()
        metrics[name] = float(np.mean([values[cases == case].mean() for case in np.unique(cases)]))
    return metrics


def look(generator: Generator, table: SliceTable, run: Run) -> list[Look]:
    """The centre slice of the first `SHOWN` validation cases, the same at every look."""
    rows = spread(table, 1)[:SHOWN]
    looks: list[Look] = []
    for batch in _chunks(table, rows, run, generator):
        pct = unit_to_hu(predict_batch(generator, batch.mr, run)).cpu().numpy()[:, 0]
        ct = unit_to_hu(batch.ct).cpu().numpy()[:, 0]
        mr, head = batch.mr.cpu().numpy()[:, 0], batch.head.cpu().numpy()[:, 0] > 0
        here = rows[len(looks) : len(looks) + len(mr)]
        looks += [
            Look(str(table.subject[row]), int(table.z[row]), float(table.pixel_mm[row]), *arrays)
            for row, *arrays in zip(here, mr, ct, pct, head, strict=True)
        ]
    return looks


@torch.no_grad()
def predict_batch(generator: Generator, mr: Tensor, run: Run) -> Tensor:
    """Pseudo-CT of a batch of MR slices in [-1, 1], in evaluation mode; the mode is put back."""
    was_training = generator.training
    generator.eval()
    with torch.autocast(mr.device.type, torch.bfloat16, enabled=run.precision == "bfloat16"):
        pct: Tensor = generator(mr).float()
    generator.train(was_training)
    return pct


def _chunks(
    table: SliceTable, rows: NDArray[np.int64], run: Run, generator: Generator
) -> list[Batch]:
    device = next(generator.parameters()).device
    return [
        make_batch(table, rows[at : at + CHUNK], run, device) for at in range(0, len(rows), CHUNK)
    ]


def _score(
    pct: Tensor, again: Tensor, batch: Batch, run: Run
) -> dict[str, Float[Tensor, " batch"]]:
    """Every metric for each slice; `again` is G's answer to the CT."""
    outside = 1.0 - batch.head
    distance = (pct - AIR_UNIT).abs() * outside
    return {
        "val/psnr": psnr(pct, batch.ct),
        "val/psnr_masked": psnr_masked(pct, batch.ct, batch.head > 0),
        "val/psnr_masked_fill": psnr_masked_fill(pct, batch.ct, batch.head > 0),
        "val/l1": (pct - batch.ct).abs().mean(dim=(1, 2, 3)),
        **_edges(pct, batch, run),
        "val/bg": distance.sum(dim=(1, 2, 3)) / outside.sum(dim=(1, 2, 3)).clamp(min=1.0),
        "val/idt": (again - batch.ct).abs().mean(dim=(1, 2, 3)),
    }


def _edges(pct: Tensor, batch: Batch, run: Run) -> dict[str, Float[Tensor, " batch"]]:
    """NGF over the whole image, by kornia's own gradient."""
    alpha = alpha_by_pixel(number_at(run.schedule.ngf_alpha, 0), batch, run.loss)
    strength = 0.5 if run.loss.ngf_form == "half" else 1.0
    of_pct, of_mr, of_ct = (
        library_slopes(image, run.loss.ngf_gradient) for image in (pct, batch.mr, batch.ct)
    )
    pairs = {
        "val/ngf": (of_pct, of_mr),
        "val/ngf_ct": (of_ct, of_mr),
        "val/ngf_against_ct": (of_pct, of_ct),
    }
    return {
        name: 1.0 - strength * squared_cosine(*pair, alpha).mean(dim=(1, 2, 3))
        for name, pair in pairs.items()
    }
