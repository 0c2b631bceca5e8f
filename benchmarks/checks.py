"""Do a prediction's checks warn when they should? python benchmarks/checks.py OUT [--trials N].

OUT is a finished sweep. Its best N trials by the selection metric predict each validation and test
patient of its data from the MR: a warning there is a false alarm, unless the MR is at fault. Then
the first two of those MRs are spoilt, one fault after the other, and predicted by the best trial:
without a warning the fault was missed. Printed are the names of the checks that warned.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

from dataclasses import replace

import numpy as np
import torch

from data_prep.masks import head_from_mr
from data_prep.schema import CaseVolumes
from data_prep.shards import list_cases, read_volumes
from data_prep.volume import Grid, Volume, resample
from pct.model import Model
from pct.networks import Generator
from pct.prediction.quality import look_over
from pct.prediction.volume import predict_prepared, prepare
from sweeps.job import read_jobs, read_outcome
from sweeps.promotion.candidate import best_of

Fault = Callable[[CaseVolumes], Volume]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--trials", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    models, data = best_models(options.sweep, options.trials)
    names = [case for split in ("val", "test") for case in list_cases(data, split)]
    cases = [read_volumes(data, name) for name in names]
    quiet = 0
    for model in models:
        for case in cases:
            found = warned(model, case.mr)
            quiet += not found
            print(f"{model.name:<20} {case.subject:<16} {', '.join(found) or '-'}", flush=True)
    print(f"{quiet} of {len(models) * len(cases)} predictions of whole MRs without a warning\n")
    missed = 0
    for name, spoil in FAULTS.items():
        for case in cases[:2]:
            found = warned(models[0], spoil(case))
            missed += not found
            print(f"{name:<24} {case.subject:<16} {', '.join(found) or 'MISSED'}", flush=True)
    for case in cases[:2]:
        found = warned(untrained(models[0]), case.mr)
        missed += not found
        print(f"{'untrained generator':<24} {case.subject:<16} {', '.join(found) or 'MISSED'}")
    print(f"{missed} of {2 * (len(FAULTS) + 1)} faults without a warning")


def best_models(folder: Path, count: int) -> tuple[list[Model], Path]:
    """The best generators of a sweep's best trials, and its data."""
    jobs = read_jobs(folder)
    done = [(job, end) for job in jobs if (end := read_outcome(job)) and end.status == "FINISHED"]
    done.sort(key=lambda pair: -pair[1].best_value)
    return [best_of(*pair) for pair in done[:count]], Path(jobs[0].data)


def untrained(model: Model) -> Model:
    torch.manual_seed(0)
    return replace(model, generator=Generator(model.run.generator).eval())


def warned(model: Model, mr: Volume) -> list[str]:
    prepared = prepare(model, mr)
    pct = predict_prepared(model, prepared, mr.grid)
    return [check.name for check in look_over(model, prepared, pct) if check.ok is False]


def inverted(case: CaseVolumes) -> Volume:
    return case.mr.with_array(case.mr.array.max() - case.mr.array)


def inverted_inside(case: CaseVolumes) -> Volume:
    head = head_from_mr(case.mr).array
    low, high = np.percentile(case.mr.array[head], (1, 99.9))
    turned = np.clip(low + high - case.mr.array, low, high)
    return case.mr.with_array(np.where(head, turned, case.mr.array).astype(np.float32))


def scaled(factor: float) -> Fault:
    return lambda case: case.mr.with_array(case.mr.array * np.float32(factor))


def enlarged(factor: float) -> Fault:
    """The same voxels, larger in mm, as a wrong pixel spacing would have it."""
    steps = np.diag([factor, factor, factor, 1.0])
    return lambda case: Volume(case.mr.array, case.mr.affine @ steps)


def thick(case: CaseVolumes) -> Volume:
    """Slices 6.5 mm apart."""
    step = 6.5 / case.mr.spacing_mm[2]
    shape = (*case.mr.array.shape[:2], int(case.mr.array.shape[2] / step))
    return resample(case.mr, Grid(shape, case.mr.affine @ np.diag([1, 1, step, 1])))


def part(axis: int, side: str) -> Fault:
    """One half of the head along R, A or S: the image ends at its middle."""

    def cut(case: CaseVolumes) -> Volume:
        where = np.flatnonzero(head_from_mr(case.mr).array.any(axis=tuple({0, 1, 2} - {axis})))
        middle = int(where[0] + where[-1]) // 2
        kept = slice(middle, None) if side == "upper" else slice(None, middle)
        first = middle if side == "upper" else 0
        affine = case.mr.affine.copy()
        affine[:3, 3] += first * affine[:3, axis]
        return Volume(case.mr.array[(slice(None),) * axis + (kept,)], affine)

    return cut


def stretched(case: CaseVolumes) -> Volume:
    """From top to bottom, as a wrong distance of slices would have it."""
    return Volume(case.mr.array, case.mr.affine @ np.diag([1.0, 1.0, 1.3, 1.0]))


def turned(axis: int) -> Fault:
    """Front and back, or top and bottom, changed for one another."""
    return lambda case: case.mr.with_array(np.ascontiguousarray(np.flip(case.mr.array, axis)))


def blank_slab(case: CaseVolumes) -> Volume:
    """13 mm of slices without signal in the middle of the head, narrow enough to be bridged."""
    blank, (_, _, where) = case.mr.array.copy(), np.nonzero(head_from_mr(case.mr).array)
    first = int(where.min() + where.max()) // 2
    blank[:, :, first : first + round(13.0 / case.mr.spacing_mm[2])] = blank.min()
    return case.mr.with_array(blank)


def void(case: CaseVolumes) -> Volume:
    """A ball of 44 mm without signal in the brain, 15 mm above the head's centre."""
    inside = np.argwhere(head_from_mr(case.mr).array)
    steps = np.reshape(case.mr.spacing_mm, (3, 1, 1, 1))
    off_mm = (
        np.indices(case.mr.array.shape) * steps - inside.mean(axis=0).reshape(3, 1, 1, 1) * steps
    )
    off_mm[2] -= 15.0
    ball = (off_mm**2).sum(axis=0) < 22.0**2
    return case.mr.with_array(np.where(ball, case.mr.array.min(), case.mr.array))


def the_ct(case: CaseVolumes) -> Volume:
    return case.ct.with_array(case.ct.array.astype(np.float32))


FAULTS: dict[str, Fault] = {
    "inverted": inverted,
    "inverted in the head": inverted_inside,
    "x 5": scaled(5.0),
    "x 0.2": scaled(0.2),
    "slices 6.5 mm apart": thick,
    "twice as large": enlarged(2.0),
    "1.26 times as large": enlarged(1.26),
    "half as large": enlarged(0.5),
    "stretched by 1.3": stretched,
    "front and back turned": turned(1),
    "top and bottom turned": turned(2),
    "13 mm of slices blank": blank_slab,
    "a void of 44 mm": void,
    "upper half only": part(2, "upper"),
    "lower half only": part(2, "lower"),
    "left half only": part(0, "lower"),
    "front half only": part(1, "upper"),
    "a CT as the MR": the_ct,
}


if __name__ == "__main__":
    main()
