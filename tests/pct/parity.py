"""One head by two ways: its MR laid onto the CT's grid as training sees it, and its MR alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from data_prep.intensity import AIR_HU, hu_to_unit, mr_to_unit, mr_window, unit_to_hu
from data_prep.masks import head_and_skull, head_from_mr
from data_prep.schema import CaseVolumes, SliceGrid
from data_prep.slices import SliceStack, build_slices, field_of_view
from data_prep.volume import Grid, Volume, resample
from pct.batches import Batch
from pct.config import Run
from pct.model import Model
from pct.prediction.volume import predict_volume, run_generator
from pct.state import start
from pct.train import train_step, weights_at


@dataclass(frozen=True)
class Parity:
    """MAE in HU inside the head that one MR shows."""

    ct_grid: float
    own_mr: float
    first_mr: float
    """Of the head's first MR on the CT's grid, in the same place."""


def case_of(mr: Volume, ct: Volume, *, subject: str = "head") -> CaseVolumes:
    masks = head_and_skull(ct, backend="threshold")
    found = mr_window(mr.array, head_from_mr(mr).array)
    return CaseVolumes(
        subject=subject, split="train", mr=mr, mr_head_window=found, mr_volume_window=found, ct=ct,
        head=masks.head, skull=masks.skull, mask_backend=masks.backend,
    )  # fmt: skip


def acquired(mr: Volume, *, pixel_mm: float, field: float, tilt_deg: float) -> Volume:
    """The same head as another scan: its pixel, its field of view as a share, its tilt about x."""
    extent = np.array(mr.array.shape) * mr.spacing_mm
    step = np.array([pixel_mm, pixel_mm, mr.spacing_mm[2]])
    shape = np.ceil(extent * [field, field, 1] / step).astype(int)
    middle = mr.affine[:3, :3] @ ((np.array(mr.array.shape) - 1) / 2) + mr.affine[:3, 3]
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("x", tilt_deg, degrees=True).as_matrix() * step
    affine[:3, 3] = middle - affine[:3, :3] @ ((shape - 1) / 2)
    i, j, k = (int(n) for n in shape)
    return resample(mr, Grid((i, j, k), affine), fill=float(mr.array.min()), antialias=True)


def stack_of(case: CaseVolumes, grid: SliceGrid) -> SliceStack:
    return build_slices(case, size=grid.size, pixel_mm=grid.pixel_mm)


def trained_on(cases: Sequence[CaseVolumes], run: Run, grid: SliceGrid, *, steps: int) -> Model:
    """The run's networks after some steps on all slices of the cases that hold head.

    Pairs are shifted by up to an eighth of a slice, as augmentation does: an MR that cuts the head
    cannot tell where its centre lies, and a U-Net that has seen one place only minds.
    """
    parts = []
    for case in cases:
        stack = stack_of(case, grid)
        keep = stack.qualifying()
        mr = mr_to_unit(stack.mr.raw(), *case.mr_head_window)
        columns = (mr, hu_to_unit(stack.ct_hu.astype(np.float32)), stack.valid)
        parts.append([torch.from_numpy(c[keep].astype(np.float32))[:, None] for c in columns])
    mr, ct, head = (torch.cat(column) for column in zip(*parts, strict=True))
    state, weights = start(run), weights_at(run, run.warmup_epochs)
    for _ in range(steps):
        rows = torch.randint(len(mr), (run.batch,))
        flip = torch.rand(run.batch) < run.flip
        shift = torch.randint(-grid.size // 8, grid.size // 8 + 1, (2,)).tolist()
        moved = (image[rows].roll(shift, (2, 3)) for image in (mr, ct, head))
        train_step(state, Batch(*moved).flipped(flip), weights, run)
    return Model(state.generator.eval(), run, grid, {"trial": "parity", "epoch": 1})


def on_ct_grid(model: Model, case: CaseVolumes) -> Volume:
    """The path of training: the MR on the CT's own slices, centred on the CT's head."""
    stack = stack_of(case, model.grid)
    unit = mr_to_unit(stack.mr.raw(), *case.mr_head_window).astype(np.float32)
    pct = unit_to_hu(run_generator(model.generator, unit.transpose(2, 1, 0), tile=model.grid.size))
    return resample(Volume(pct, stack.grid.affine), case.ct.grid, fill=AIR_HU)


def compare(model: Model, case: CaseVolumes, scan: Volume, *, first: Volume) -> Parity:
    """`scan` is another acquisition of the case's head; `first`, `on_ct_grid` of the case."""
    window = mr_window(scan.array, head_from_mr(scan).array)
    other = replace(case, mr=scan, mr_head_window=window)
    own = predict_volume(model, scan, onto=case.ct.grid)
    return Parity(*(mae_in(other, pct) for pct in (on_ct_grid(model, other), own, first)))


def mae_in(case: CaseVolumes, pct: Volume) -> float:
    """Inside the head as far as the MR shows it, in HU."""
    shown = resample(field_of_view(case.mr), case.ct.grid, order=0).array & case.head.array
    return float(np.abs(pct.array[shown].astype(float) - case.ct.array[shown]).mean())
