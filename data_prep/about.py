"""What is known of a case beside its images: site, scanner, field, sequence, diagnosis."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pydicom

from data_prep.metadata import BadInput
from data_prep.words import counted

HEADER_TAGS = (
    "Manufacturer", "ManufacturerModelName", "MagneticFieldStrength", "MRAcquisitionType",
    "ScanningSequence", "SequenceVariant", "RepetitionTime", "EchoTime", "InversionTime",
    "PatientName", "PatientID",
)  # fmt: skip
"""What `of_header` looks at; the patient's name and id only to keep them out of a label."""

_LABEL = re.compile(r"[A-Za-z0-9 ._+/-]{1,40}")
_WORD = re.compile(r"[A-Za-z0-9.+/-]+")
_COMMON = {"medical", "system", "systems", "healthcare", "healthineers", "inc", "ltd", "gmbh", "ag"}
_CODES = {"SE", "IR", "GR", "EP", "RM", "SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP"}
"""DICOM's terms of Scanning Sequence and Sequence Variant (PS3.3 C.8.3.1)."""
_SYNTHRAD = re.compile(r"[12](?:HN|TH|AB|B|P)([A-F])[A-Z]?\d{3}")
_TESLA = (0.01, 25.0)


@dataclass(frozen=True)
class About:
    """Facts of a case as short labels, None where not known. None of them tells the patient."""

    site: str | None = None
    scanner: str | None = None
    """Maker and model of the MR scanner."""
    field_t: float | None = None
    """Field strength in tesla."""
    sequence: str | None = None
    """Of the MR, for example "3D GR SP TR8.2 TE3.4", times in ms."""
    diagnosis: str | None = None
    registration: str = "source"
    """Who aligned MR and CT: the collection, or for example "rigid elastix 5.1"."""


def of_header(header: pydicom.Dataset) -> About:
    """Scanner, field strength and sequence of an MR header, from coded tags only.

    A series description is free text, so it is never used; a label that holds the patient's name
    or id is left out, as is a value that makes no sense.
    """
    field_t = _number(header, "MagneticFieldStrength")
    hidden = re.findall(r"\w{4,}", f"{header.get('PatientName')} {header.get('PatientID')}")
    return About(
        scanner=_without(hidden, _scanner(header)),
        field_t=field_t if field_t and _TESLA[0] <= field_t <= _TESLA[1] else None,
        sequence=_without(hidden, _sequence(header)),
    )


def of_synthrad_name(name: str) -> About:
    """The site in the name of a SynthRAD patient.

    >>> [of_synthrad_name(name).site for name in ("1BA001", "1PC012", "1HNB004", "sub-000")]
    ['A', 'C', 'B', None]
    """
    found = _SYNTHRAD.fullmatch(name)
    return About(site=found.group(1) if found else None)


def read_about(path: Path, known: Mapping[str, About]) -> dict[str, About]:
    """`known` (subject -> facts) with the cells of a CSV put in their place.

    Columns: subject and any of site, scanner, field_t, sequence, diagnosis, registration. An empty
    cell changes nothing. Unknown columns or subjects, subjects listed twice, and values that are
    no short label, or that hold the patient's id, raise `BadInput` with all mistakes.
    """
    if not path.is_file():
        raise BadInput(
            f"{path}: no such file. Expected a CSV with the columns subject and any of "
            f"{', '.join(_names())}."
        )
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        columns = reader.fieldnames or []
        rows = list(reader)
    odd = [name for name in columns if name not in ("subject", *_names())]
    if odd or "subject" not in columns or len(columns) < 2:
        raise BadInput(
            f"{path}: has the columns {', '.join(map(str, columns)) or 'none'}. Expected subject "
            f"and any of {', '.join(_names())}. Rename them."
        )
    found, mistakes = dict(known), []
    seen: set[str] = set()
    for line, row in enumerate(rows, start=2):
        cells = {name: (row[name] or "").strip() for name in columns}
        subject = cells.pop("subject")
        wrong = _mistakes(subject, cells, known, seen)
        if row.get(None):  # csv's key for what has no column
            wrong.append("more cells than columns")
        mistakes += [f"line {line}: {one}" for one in wrong]
        seen.add(subject)
        if not wrong:
            found[subject] = _filled(known[subject], cells)
    if mistakes:
        raise BadInput(
            f"{path}: {counted(len(mistakes), 'mistake')}: {'; '.join(mistakes)}. Expected one row "
            "a subject and labels of up to 40 letters, digits, spaces and . _ + / -. Correct it."
        )
    return found


def _filled(about: About, cells: Mapping[str, str]) -> About:
    values = {
        name: float(cell) if name == "field_t" else cell for name, cell in cells.items() if cell
    }
    return replace(about, **values)  # type: ignore[arg-type]  # checked by _mistakes


def _mistakes(
    subject: str, cells: Mapping[str, str], known: Mapping[str, About], seen: set[str]
) -> list[str]:
    """What is wrong with a row, its cells not quoted where they may name the patient."""
    if subject not in known:
        return ["no case has this subject"]
    wrong = ["its subject is listed before"] if subject in seen else []
    for name, cell in cells.items():
        if not cell:
            continue
        if len(subject) > 3 and subject.casefold() in cell.casefold():
            wrong.append(f"{name} holds the patient's id")
        elif not _LABEL.fullmatch(cell):
            wrong.append(f"{name} {cell!r} is no short label")
        elif name == "field_t" and not _is_field(cell):
            wrong.append(f"field_t {cell!r} is no field strength in tesla")
    return wrong


def _is_field(cell: str) -> bool:
    try:
        return _TESLA[0] <= float(cell) <= _TESLA[1]
    except ValueError:
        return False


def _names() -> list[str]:
    return [item.name for item in fields(About)]


def _scanner(header: pydicom.Dataset) -> str:
    """Maker and model in one spelling: GE MEDICAL SYSTEMS is GE, SIEMENS and Siemens are one."""
    maker, model = (
        [word for word in _WORD.findall(str(header.get(tag) or "")) if word.lower() not in _COMMON]
        for tag in ("Manufacturer", "ManufacturerModelName")
    )
    maker = [word.upper() if len(word) < 4 else word.capitalize() for word in maker]
    if [word.lower() for word in model[: len(maker)]] != [word.lower() for word in maker]:
        model = [*maker, *model]
    return " ".join(model)[:40].strip()


def _sequence(header: pydicom.Dataset) -> str:
    kind = str(header.get("MRAcquisitionType") or "")
    parts = [kind] if kind in ("2D", "3D") else []
    for tag in ("ScanningSequence", "SequenceVariant"):
        value = header.get(tag) or []
        codes = [value] if isinstance(value, str) else value
        parts.append("/".join(code for code in map(str, codes) if code in _CODES))
    for short, tag in (("TR", "RepetitionTime"), ("TE", "EchoTime"), ("TI", "InversionTime")):
        if (time_ms := _number(header, tag)) and 0 < time_ms < 1e5:
            parts.append(f"{short}{time_ms:.4g}")
    return " ".join(filter(None, parts))[:40].strip()


def _without(hidden: Sequence[str], label: str) -> str | None:
    """The label; None for an empty one and for one that holds a word to hide."""
    if any(word.casefold() in label.casefold() for word in hidden):
        return None
    return label or None


def _number(header: pydicom.Dataset, tag: str) -> float | None:
    try:
        return float(header[tag].value)
    except (KeyError, TypeError, ValueError):
        return None
