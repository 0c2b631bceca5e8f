"""`pct predict` on small heads: a generator that gives its input back, series, patients."""

import csv
import shutil
from pathlib import Path

import pydicom

from data_prep.phantom_dicom import write_cohort
from data_prep.schema import SliceGrid
from data_prep.volume import save_nifti
from pct.__main__ import main
from tests.pct.heads import laid, smooth_mr
from tests.pct.identity import identity, model_that
from tests.pct.mr_series import write_mr

MODEL = model_that(identity, grid=SliceGrid("resize", 48, 5.0, 8.0))
"""Of a grid as fine as the MR's."""

ORIENTATIONS = ("axial", "oblique", "sagittal")


def predict(mr: Path, to: Path, *words: object) -> int:
    """The command's exit code, with a folder that exists as its model."""
    return main(["predict", str(mr.parent), "--mr", str(mr), "--to", str(to), *map(str, words)])


def write_series(root: Path) -> dict[str, Path]:
    """The head as a series of each orientation, each a study of its own."""
    return {how: write_mr(root / how, laid(smooth_mr(), how), uid=how) for how in ORIENTATIONS}


def write_ct(root: Path) -> Path:
    """A small CT series of a phantom."""
    write_cohort(root / "phantom", num_cases=1, size=32, num_slices=12)
    return next(root.glob("phantom/PHANTOM/*/*/1.*"))


def write_patients(root: Path) -> Path:
    """A folder with mr.nii.gz and a ct beside it, a nested series, a volume, and a lone CT."""
    mrs = root / "mrs"
    save_nifti(smooth_mr(), mrs / "a-folder" / "mr.nii.gz")
    save_nifti(smooth_mr(), mrs / "a-folder" / "ct.nii.gz")
    write_mr(mrs / "b-series" / "study" / "mr", laid(smooth_mr(), "sagittal"), uid="b")
    (mrs / "b-series" / "report.pdf").write_text("not DICOM")
    save_nifti(smooth_mr(), mrs / "c & <i>.nii.gz")
    shutil.copytree(write_ct(root), mrs / "d-ct" / "ct")
    (mrs / ".DS_Store").write_text("")
    return mrs


def table(to: Path) -> dict[str, dict[str, str]]:
    """The rows of predictions.csv by name."""
    with (to / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def statuses(to: Path) -> list[str]:
    return [row["status"] for row in table(to).values()]


def listed(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def headers(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(file, stop_before_pixels=True) for file in sorted(folder.iterdir())]
