"""What a run needs of its data folder, and how to prepare the folder where it lacks that."""

from pathlib import Path

from data_prep.errors import PctError
from data_prep.schema import Manifest
from pct.config import Run


class WrongData(PctError):
    """A data folder that a run cannot use."""


def check_fit(run: Run, manifest: Manifest, data: Path, *, name: str) -> None:
    """Arm and size belong to the data: a run that wants others is told how to prepare them."""
    wants, grid = run.data, manifest.grid
    if (wants.arm, wants.size) != (grid.arm, grid.size):
        raise WrongData(
            f"{name} wants {wants.arm} slices of {wants.size} pixels, {data} holds {grid.arm} "
            f"of {grid.size}. Prepare them: pct prep SOURCE --from DIR --to DATA --arm {wants.arm} "
            f"--size {wants.size}."
        )
    if len(manifest.mr_channels) != 1:
        raise WrongData(
            f"{data} holds {len(manifest.mr_channels)} MR channels a slice "
            f"({', '.join(manifest.mr_channels)}), the generator takes 1. Prepare it with one MR "
            "a case."
        )
    if len(manifest.mask_backends) > 1:
        raise WrongData(
            f"{data} mixes masks by {' and '.join(manifest.mask_backends)}, whose scores must not "
            "stand in one table. Prepare all cases with a head mask of their own, or all without."
        )
    if manifest.num_slices["train"] < run.batch:
        raise WrongData(
            f"{name}: batch {run.batch} is more than the "
            f"{manifest.num_slices['train']} training slices of {data}. Lower batch."
        )
