"""A collection of patients to cases: TCIA downloads, SynthRAD folders, a table of NIfTI files."""

import csv
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np

from data_prep.dicom import BadSeries, read_series
from data_prep.errors import PctError
from data_prep.metadata import BadInput
from data_prep.pairing import Candidate, Case, Pairing, find_pairs
from data_prep.volume import BadVolume, Volume, load_nifti, to_ras

__all__ = ["BadCase", "BadInput", "Candidate", "Case", "Pairing", "Source",
           "find_cases", "find_pairs", "load_head", "load_pair", "load_readable"]  # fmt: skip

Source = Literal["tcia", "synthrad", "nifti"]

_FILES = ("mr.nii.gz", "ct.nii.gz")


class BadCase(PctError):
    """Images of one case that cannot be used. Names no path: it may be shown with a pseudonym."""


def find_cases(source: Source, folder: Path) -> list[Case]:
    """The cases of a collection, ordered by subject; never none.

    `tcia`: a download with metadata.csv. `synthrad`: FOLDER/*/ or FOLDER/*/*/ with mr.nii.gz,
    ct.nii.gz and perhaps mask.nii.gz. `nifti`: `folder` is a CSV with the columns subject, mr, ct
    and perhaps head, paths relative to it. Anything amiss raises `BadInput` that lists it all.
    """
    if source == "tcia":
        return list(find_pairs(folder).cases)
    cases = _synthrad(folder) if source == "synthrad" else _table(folder)
    names = Counter(case.subject for case in cases)
    if twice := [name for name, count in sorted(names.items()) if count > 1]:
        raise BadInput(
            f"{folder}: {len(twice)} subjects occur twice: {', '.join(twice)}. Expected one pair a "
            "patient. Give each a name of its own."
        )
    return sorted(cases, key=lambda case: case.subject)


def load_pair(case: Case) -> tuple[Volume, Volume]:
    """MR (float32, raw units) and CT (int16 HU) of a case, each RAS and on its own grid.

    Raises `BadCase`, which says which image and what is wrong with it but names no path.
    """
    mr, ct = _load(case.mr, case.kind, "MR"), _load(case.ct, case.kind, "CT")
    hu = ct.array
    if hu.dtype != np.int16:
        hu = np.clip(np.rint(hu), -32768, 32767).astype(np.int16)
    return mr.with_array(mr.array.astype(np.float32, copy=False)), ct.with_array(hu)


def load_readable(case: Case) -> dict[str, Volume]:
    """Those of "MR" and "CT" that can be read at all, RAS, as they are: for a picture of them."""
    found = {}
    for what, path in (("MR", case.mr), ("CT", case.ct)):
        with suppress(PctError):
            found[what] = _load(path, case.kind, what, finite=False)
    return found


def load_head(case: Case) -> Volume | None:
    """The source's head mask as bool, RAS, on its own grid; None where it brings none."""
    if case.head is None:
        return None
    mask = _load(case.head, "nifti", "head mask")
    return mask.with_array(mask.array > 0.5)


def _load(
    path: Path, kind: Literal["dicom", "nifti"], what: str, *, finite: bool = True
) -> Volume:
    try:
        volume = read_series(path) if kind == "dicom" else to_ras(load_nifti(path))
    except (BadSeries, BadVolume) as error:
        reason = str(error).removeprefix(f"{path}: ").replace(str(path), "the file")
        raise BadCase(f"{what}: {reason}") from error
    # Converters give flipped and Fortran-ordered views, on which all that follows is slow.
    volume = volume.with_array(np.ascontiguousarray(volume.array))
    if finite and (num_bad := int((~np.isfinite(volume.array)).sum())):
        raise BadCase(
            f"{what}: {num_bad} of {volume.array.size} voxels are not finite. Expected numbers "
            "everywhere. Convert it anew, or fill them."
        )
    return volume


def _synthrad(folder: Path) -> list[Case]:
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder. Expected SynthRAD's folders, one a patient.")
    names = (*_FILES, "mask.nii.gz")
    patterns = [f"{level}/{name}" for level in ("*", "*/*") for name in names]
    patients = sorted({file.parent for pattern in patterns for file in folder.glob(pattern)})
    if not patients:
        raise BadInput(
            f"{folder}: holds no patient. Expected PATIENT/mr.nii.gz and ct.nii.gz in it, or one "
            "folder below."
        )
    lacking = [
        f"{patient.relative_to(folder)} has no {name}"
        for patient in patients
        for name in _FILES
        if not (patient / name).is_file()
    ]
    if lacking:
        raise BadInput(
            f"{folder}: {len(lacking)} files are missing: {'; '.join(lacking)}. Expected mr.nii.gz "
            "and ct.nii.gz in each. Add them, or move the folders away."
        )
    return [
        Case(
            patient.name,
            "nifti",
            mr=patient / "mr.nii.gz",
            ct=patient / "ct.nii.gz",
            head=mask if (mask := patient / "mask.nii.gz").is_file() else None,
        )
        for patient in patients
    ]


def _table(path: Path) -> list[Case]:
    expected = "Expected a CSV with the columns subject, mr, ct and perhaps head"
    if not path.is_file():
        raise BadInput(f"{path}: no such file. {expected}, paths relative to it.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = [name.strip() for name in reader.fieldnames or []]
        rows = [{k.strip(): (v or "").strip() for k, v in row.items() if k} for row in reader]
    if not {"subject", "mr", "ct"} <= set(columns):
        raise BadInput(f"{path}: has the columns {', '.join(columns) or 'none'}. {expected}.")
    if not rows:
        raise BadInput(f"{path}: has no row below its header. {expected}, one row a patient.")
    wrong = [
        f"line {line}: no {column}" if not row[column] else f"line {line}: {row[column]} is absent"
        for line, row in enumerate(rows, start=2)
        for column in ("subject", "mr", "ct", "head")
        if _is_wrong(row, column, path.parent)
    ]
    if wrong:
        raise BadInput(f"{path}: {'; '.join(wrong)}. Paths are relative to the table. Correct it.")
    return [
        Case(
            row["subject"],
            "nifti",
            mr=path.parent / row["mr"],
            ct=path.parent / row["ct"],
            head=path.parent / row["head"] if row.get("head") else None,
        )
        for row in rows
    ]


def _is_wrong(row: dict[str, str], column: str, root: Path) -> bool:
    """An empty cell (but for the head's), or a file that is not there."""
    cell = row.get(column, "")
    if not cell:
        return column != "head"
    return column != "subject" and not (root / cell).is_file()
