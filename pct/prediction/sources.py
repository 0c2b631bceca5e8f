"""Where MRs lie: one patient's, or a folder of patients; found first, read later."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from data_prep.dicom import convert
from data_prep.dicom_census import SeriesCensus
from data_prep.parquet import sha256_of
from data_prep.volume import Volume, load_image
from pct.prediction.asked import Kind
from pct.prediction.series import (
    BadSource,
    are_of_several,
    files_of_series,
    has_dicom,
    is_one_study,
    sound_series,
)

ENDS = (".nii.gz", ".nii", ".mha", ".mhd")
"""Of files that hold one volume."""


@dataclass(frozen=True)
class Patient:
    """A name, and the file or folder in which the MR is to be looked for."""

    name: str
    place: Path


@dataclass(frozen=True)
class MrFiles:
    """The files of one MR: those of a DICOM series, or of a volume."""

    place: Path
    kind: Kind
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Mr:
    """An MR that was read, and its series where it is DICOM."""

    volume: Volume
    series: SeriesCensus | None


def is_one_patient(place: Path) -> bool:
    """Whether a place is one patient's, not a folder of patients.

    So is a file; a folder that holds DICOM itself, or a file named mr; and one whose subfolders
    hold different series of one study, or whose only subfolder is such a folder of DICOM. A
    DICOMDIR does not count, and a folder with subfolders of several patients is none's.
    """
    return not place.is_dir() or bool(_named_mr(place)) or _is_one_study(place)


def find_patients(place: Path) -> list[Patient]:
    """The patients in a folder, a subfolder or a volume each, in the order of their names.

    A folder with nothing but one subfolder of patients is passed through.
    """
    if has_dicom(place, "MR"):
        advice = "Move them into a folder of their own, or away."
        raise BadSource(place, "DICOM files of an MR lie beside the patients' folders", advice)
    within = _within(place)
    if len(within) == 1 and not is_one_patient(within[0]) and len(_within(within[0])) > 1:
        return find_patients(within[0])
    found = [Patient(path.name if path.is_dir() else _stem(path), path) for path in within]
    if not found:
        advice = "Expected DICOM files, subfolders of patients, or .nii.gz files."
        raise BadSource(place, "nothing in it that could be an MR", advice)
    twice = [name for name, count in Counter(one.name for one in found).items() if count > 1]
    if twice:
        advice = "Expected one a patient. Rename or remove one of each."
        raise BadSource(place, f"a file and a folder, or two files, named {twice[0]}", advice)
    return sorted(found, key=lambda patient: patient.name)


def find_mr(place: Path, *, series: str = "") -> MrFiles:
    """The files of the one MR in a place; none, or several, is a `BadSource`.

    In a folder a file named mr is taken, else the one DICOM series of an MR at any depth; `series`
    chooses among several, by a part of the description.
    """
    if not place.exists():
        raise BadSource(place, "no such file", "Correct its name.")
    volumes = [place] if place.is_file() else _named_mr(place)
    if not volumes:
        return MrFiles(place, "dicom", files_of_series(place, "MR", series))
    if len(volumes) > 1:
        names = " and ".join(path.name for path in volumes)
        raise BadSource(place, f"holds {names}", "Expected one MR. Remove the others.")
    (volume,) = volumes
    if not volume.name.endswith(ENDS):
        advice = f"Expected {', '.join(ENDS)} or, of a DICOM series, its folder."
        raise BadSource(place, "not the file of a volume", advice)
    return MrFiles(place, "nifti", tuple(_parts(volume)))


def read_mr(found: MrFiles) -> Mr:
    """Read an MR: of a NIfTI or MetaImage file as it lies, of a DICOM series in RAS order.

    A series that preparation would refuse is a `BadSeries`, with numbers.
    """
    if found.kind == "nifti":
        return Mr(load_image(found.files[0]), None)
    series = sound_series(found.place, found.files)
    return Mr(convert(series), series)


def sha256_of_mr(found: MrFiles) -> str:
    """sha256 of a file; of several, over the sorted ones of each. Names and places do not count."""
    each = sorted(sha256_of(file) for file in found.files)
    return each[0] if len(each) == 1 else hashlib.sha256("".join(each).encode()).hexdigest()


def _seen(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _within(folder: Path) -> list[Path]:
    """Subfolders and volumes."""
    return [path for path in _seen(folder) if path.is_dir() or path.name.endswith(ENDS)]


def _is_one_study(folder: Path) -> bool:
    within = _within(folder)
    if has_dicom(folder):
        below = [path for path in within if path.is_dir()]
        return not any(map(_named_mr, below)) and not (below and are_of_several([folder, *below]))
    if len(within) == 1 and within[0].is_dir():
        return _is_one_study(within[0])
    return all(path.is_dir() for path in within) and is_one_study(within)


def _stem(path: Path) -> str:
    return next(path.name.removesuffix(end) for end in ENDS if path.name.endswith(end))


def _named_mr(folder: Path) -> list[Path]:
    return [path for end in ENDS if (path := folder / f"mr{end}").is_file()]


def _parts(volume: Path) -> list[Path]:
    """A volume's file; after an .mhd header the files beside it that may hold its voxels."""
    if volume.suffix != ".mhd":
        return [volume]
    beside = (path for path in _seen(volume.parent) if path.stem == volume.stem)
    return [volume, *(path for path in beside if path.is_file() and path != volume)]
