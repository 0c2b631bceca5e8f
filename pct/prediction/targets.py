"""Where a pseudo-CT may be written, and what lies beside it."""

from pathlib import Path
from typing import Literal

from data_prep.dicom_ct import BadTarget
from pct.prediction.series import BadSource, has_dicom
from pct.prediction.sources import MrFiles


def beside(target: Path, end: Literal["json", "png"]) -> Path:
    """`pct.nii.gz` -> `pct.qc.json`; of a folder `Y` -> `Y.qc.json` beside it."""
    name = target.name
    stem = name.removesuffix(".gz").removesuffix(".nii") if is_nifti(target) else name
    return target.with_name(f"{stem}.qc.{end}")


def is_nifti(target: Path) -> bool:
    """Whether a target is a NIfTI file by its name; else it is a series' folder."""
    return target.name.endswith((".nii", ".nii.gz"))


def expect_fitting(source: MrFiles, target: Path) -> None:
    """Raise `BadSource` for a target that would overwrite its MR, or lacks what it needs."""
    if source.kind == "nifti" and not is_nifti(target):
        advice = f"Give the MR's DICOM series, or write NIfTI: --to {target}.nii.gz."
        lacks = "NIfTI has no patient, study or frame of reference for a DICOM series"
        raise BadSource(source.place, lacks, advice)
    place, to = source.place.resolve(), target.resolve()
    inside = source.kind == "dicom" and not is_nifti(target) and place in to.parents
    if inside or to in (place, *(file.resolve() for file in source.files)):
        advice = "Name a place outside it with --to."
        raise BadSource(source.place, "the pseudo-CT would lie in its own MR", advice)
    usable = target.is_dir() and (has_dicom(target) or not any(target.iterdir()))
    if target.exists() and usable == is_nifti(target):
        found = "a folder" if target.is_dir() else "a file"
        raise BadTarget(f"{target}: {found} of something else. Name another place with --to.")


def expect_folder(to: Path, source: Path) -> None:
    """Raise `BadTarget` for a place where many pseudo-CTs would mix with something else."""
    place, target = source.resolve(), to.resolve()
    if to.is_dir() and has_dicom(to):
        raise BadTarget(f"{to}: holds DICOM files itself. Name another folder with --to.")
    if target == place or place in target.parents:
        raise BadTarget(
            f"{to}: lies in the folder of MRs, where pseudo-CTs would be taken for patients. "
            "Name a folder outside it with --to."
        )
