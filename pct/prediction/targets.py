"""Where a pseudo-CT may be written, and what lies beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from data_prep.dicom_ct import BadTarget, is_clutter
from data_prep.volume import description_of
from pct.prediction.series import BadSource, has_dicom
from pct.prediction.sources import ENDS, MrFiles, Patient

DESCRIPTION = "RESEARCH pseudo-CT"
"""In the header of a NIfTI file, by which it may be written anew where its record was lost."""


def beside(target: Path, end: Literal["json", "png"]) -> Path:
    """`pct.nii.gz` -> `pct.qc.json`; of a folder `Y` -> `Y.qc.json` beside it."""
    name = target.name
    stem = name.removesuffix(".gz").removesuffix(".nii") if is_nifti(target) else name
    return target.with_name(f"{stem}.qc.{end}")


def is_nifti(target: Path) -> bool:
    """Whether a target is a NIfTI file by its name; else it is a series' folder."""
    return target.name.endswith((".nii", ".nii.gz"))


def expect_fitting(source: MrFiles, target: Path, *, onto: Path | None = None) -> None:
    """Refuse a target that would overwrite what is not ours, or lacks what it needs.

    The MR, the volume `onto` whose grid is asked for, a file or folder of something else; also a
    place where the pseudo-CT would be taken for the MR the next time.
    """
    if source.kind == "nifti" and not is_nifti(target):
        advice = f"Give the MR's DICOM series, or write NIfTI: --to {target}.nii.gz."
        lacks = "NIfTI has no patient, study or frame of reference for a DICOM series"
        raise BadSource(source.place, lacks, advice)
    files = {file.resolve() for file in source.files}
    if _lies_in(target, source.place) or target.resolve() in files:
        advice = "Name a place outside it with --to."
        raise BadSource(source.place, "the pseudo-CT would lie in its own MR", advice)
    if onto is not None and _lies_in(target, onto):
        raise BadTarget(
            f"{target}: the pseudo-CT would lie in the volume of --onto. Name a place outside it "
            "with --to."
        )
    place, folder = source.place.resolve(), target.resolve().parent
    near = place.is_relative_to(folder) or folder.is_relative_to(place)
    if near and target.name in {f"mr{end}" for end in ENDS}:
        raise BadTarget(
            f"{target}: by its name, beside its MR, it would be taken for the MR the next time. "
            "Name it otherwise with --to, pct.nii.gz for example."
        )
    if target.exists():
        _expect_ours(target)


def _lies_in(target: Path, place: Path) -> bool:
    """Whether a target is a place, or a series' folder within one."""
    to, place = target.resolve(), place.resolve()
    return to == place or (place.is_dir() and not is_nifti(target) and place in to.parents)


def _expect_ours(target: Path) -> None:
    """Refuse what is there, unless it is empty or may be an earlier pseudo-CT."""
    another = "Name another place with --to."
    if is_nifti(target) == target.is_dir():
        found = "a folder" if target.is_dir() else "a file"
        wanted = "a NIfTI file, by its name" if is_nifti(target) else "a folder for a DICOM series"
        raise BadTarget(f"{target}: {found}, expected {wanted}. {another}")
    if is_nifti(target):
        if not beside(target, "json").exists() and description_of(target) != DESCRIPTION:
            raise BadTarget(
                f"{target}: a file of something else: it does not say that it is a pseudo-CT, and "
                f"no {beside(target, 'json').name} lies beside it. Remove it yourself, or name "
                "another place with --to."
            )
        return
    foreign = sorted(path.name for path in target.iterdir() if not is_clutter(path))
    if foreign and not has_dicom(target):
        raise BadTarget(f"{target}: a folder of something else ({foreign[0]}). {another}")


def expect_series_name(patient: Patient, *, taken: Sequence[str]) -> None:
    """Raise `BadSource` for a patient after whom no series' folder can be called.

    By its name it would be a NIfTI file, or it is the name of a file beside the series.
    """
    name, place = patient.name, patient.place
    if is_nifti(Path(name)):
        advice = "Rename it, or write NIfTI with --as nifti."
        raise BadSource(place, "named like a NIfTI file, expected a name for a folder", advice)
    if name.casefold() in taken or name.casefold().endswith((".qc.json", ".qc.png")):
        reason = "named like a file that is written beside the pseudo-CTs"
        raise BadSource(place, reason, "Rename it.")


def expect_folder(to: Path, source: Path) -> None:
    """Raise `BadTarget` for a place where many pseudo-CTs would mix with something else."""
    place, target = source.resolve(), to.resolve()
    if to.exists() and not to.is_dir():
        raise BadTarget(f"{to}: a file, expected a folder for many. Name another with --to.")
    if to.is_dir() and has_dicom(to):
        raise BadTarget(f"{to}: holds DICOM files itself. Name another folder with --to.")
    if target == place or place in target.parents:
        raise BadTarget(
            f"{to}: lies in the folder of MRs, where pseudo-CTs would be taken for patients. "
            "Name a folder outside it with --to."
        )
