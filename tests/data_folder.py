"""A data folder of phantoms, as `pct prep` writes it, in about a second."""

from pathlib import Path

from data_prep.phantom import make_head
from data_prep.pipeline import PrepConfig, prepare
from data_prep.sources import find_cases
from data_prep.volume import save_nifti

SIZE = 32
NUM_CASES = 6


def make_data(folder: Path, *, seed: int = 0) -> Path:
    """Six heads of 64 x 64 x 16 voxels as slices of 32 pixels: 4 train, 1 val, 1 test."""
    for number in range(NUM_CASES):
        head = make_head(seed + number, size=64, num_slices=16, spacing_mm=(4.0, 4.0, 12.0))
        save_nifti(head.mr, folder / "collection" / f"head-{number}" / "mr.nii.gz")
        save_nifti(head.ct, folder / "collection" / f"head-{number}" / "ct.nii.gz")
    config = PrepConfig(size=SIZE, masks="threshold", max_slices=3, ids="keep")
    prepare(find_cases("synthrad", folder / "collection"), folder / "data", config)
    return folder / "data"
