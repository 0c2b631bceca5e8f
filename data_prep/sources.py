"""A collection of patients to cases: TCIA downloads, SynthRAD folders, a table of NIfTI files."""

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from data_prep.about import of_synthrad_name, read_about
from data_prep.dicom import BadSeries, read_series
from data_prep.errors import PctError
from data_prep.metadata import BadInput
from data_prep.pairing import Candidate, Case, Pairing, find_pairs
from data_prep.rtstruct import BadOutline, draw_head
from data_prep.volume import BadVolume, Grid, Volume, load_image, to_ras
from data_prep.words import counted

__all__ = ["BadCase", "BadInput", "Candidate", "Case", "Pairing", "Source",
           "find_cases", "find_pairs", "load_head", "load_pair", "load_readable",
           "with_facts"]  # fmt: skip

Source = Literal["tcia", "synthrad", "nifti"]

_SUFFIXES = (".nii.gz", ".nii", ".mha")


class BadCase(PctError):
    """Images of one case that cannot be used. Names no path: it may be shown with a pseudonym."""


def find_cases(source: Source, folder: Path) -> list[Case]:
    """The cases of a collection, ordered by subject, perhaps with a `fault`; never none.

    `tcia`: a download with metadata.csv. `synthrad`: one folder a patient, up to three levels
    down, with mr, ct and perhaps mask, each as .nii.gz, .nii or .mha. `nifti`: `folder` is a CSV
    with the columns subject, mr, ct and perhaps head, paths of such files relative to it. A table
    or folder that cannot be read as such raises `BadInput`, which lists all that is amiss.
    """
    if source == "tcia":
        return list(find_pairs(folder).cases)
    cases = _synthrad(folder) if source == "synthrad" else _table(folder)
    names = Counter(case.subject for case in cases)
    if num_twice := sum(count > 1 for count in names.values()):
        raise BadInput(
            f"{folder}: {counted(num_twice, 'subject')} more than once, in folders of one name. "
            "Expected one pair a patient. Give each a name of its own."
        )
    return sorted(cases, key=lambda case: case.subject)


def with_facts(cases: Sequence[Case], path: Path) -> tuple[Case, ...]:
    """The cases with what a CSV says of them (`about.read_about`, which says what it may hold)."""
    about = read_about(path, {case.subject: case.about for case in cases})
    return tuple(replace(case, about=about[case.subject]) for case in cases)


def load_pair(case: Case) -> tuple[Volume, Volume]:
    """MR (float32, raw units) and CT (int16 HU) of a case, each RAS and on its own grid.

    Raises `BadCase`, which says which image and what is wrong with it but names no path; of a case
    with a fault, that.
    """
    if case.fault or case.mr is None or case.ct is None:
        raise BadCase(case.fault)
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
            if path is not None:
                found[what] = _load(path, case.kind, what, finite=False)
    return found


def load_head(case: Case, ct: Grid) -> Volume | None:
    """The source's outline of the head as bool, RAS; None where it brings none.

    A structure set is drawn on `ct`, the CT's RAS grid; a file keeps its own grid.
    """
    if case.head is None:
        return None
    if case.head_kind == "rtstruct":
        try:
            return draw_head(case.head, ct)
        except BadOutline as error:
            raise BadCase(f"head mask: {error}") from error
    mask = _load(case.head, "nifti", "head mask")
    return mask.with_array(mask.array > 0.5)


def _load(path: Path, kind: Literal["dicom", "nifti"], what: str, *, finite: bool = True) -> Volume:
    try:
        volume = read_series(path) if kind == "dicom" else to_ras(load_image(path))
    except (BadSeries, BadVolume) as error:
        reason = str(error).removeprefix(f"{path}: ").replace(str(path), "the file")
        raise BadCase(f"{what}: {reason}") from error
    # Readers give flipped and Fortran-ordered views, on which all that follows is slow.
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
    patients: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for level in ("*", "*/*", "*/*/*"):
        for name in ("mr", "ct", "mask"):
            for file in (one for end in _SUFFIXES for one in folder.glob(f"{level}/{name}{end}")):
                patients[file.parent][name].append(file)
    if not patients:
        raise BadInput(
            f"{folder}: holds no patient. Expected PATIENT/mr and ct in it, as .nii.gz or .mha, or "
            "up to two folders below."
        )
    return [_synthrad_case(patient.name, files) for patient, files in patients.items()]


def _synthrad_case(name: str, files: Mapping[str, Sequence[Path]]) -> Case:
    """A patient by what the folder holds; an image that is there twice is not chosen from."""
    found = {what: files.get(what, ()) for what in ("mr", "ct", "mask")}
    wrong = " and ".join(
        f"{'two' if paths else 'no'} {what}"
        for what, paths in found.items()
        if len(paths) > 1 or (not paths and what != "mask")
    )
    mr, ct, head = (paths[0] if len(paths) == 1 else None for paths in found.values())
    rule = "expected one mr and one ct, at most one mask; add or remove files"
    fault = f"its folder has {wrong}, {rule}" if wrong else ""
    return Case(name, "nifti", mr, ct, head, about=of_synthrad_name(name), fault=fault)


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
    wrong = _mistakes(rows, path.parent)
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


def _mistakes(rows: list[dict[str, str]], root: Path) -> list[str]:
    """What is wrong in which line of a table; its first row is line 2."""
    wrong = [
        f"line {line}: no {column}" if not row[column] else f"line {line}: its {column} is absent"
        for line, row in enumerate(rows, start=2)
        for column in ("subject", "mr", "ct", "head")
        if _is_wrong(row, column, root)
    ]
    first = {row["subject"]: line for line, row in reversed([*enumerate(rows, start=2)])}
    wrong += [
        f"line {line}: the subject of line {first[row['subject']]} again, one pair a patient"
        for line, row in enumerate(rows, start=2)
        if row["subject"] and first[row["subject"]] < line
    ]
    return wrong


def _is_wrong(row: dict[str, str], column: str, root: Path) -> bool:
    """An empty cell (but for the head's), or a file that is not there."""
    cell = row.get(column, "")
    if not cell:
        return column != "head"
    return column != "subject" and not (root / cell).is_file()
