"""TCIA's metadata.csv: one row a series, read by column names that differ between its tools."""

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data_prep.errors import PctError

_ALIASES = {
    "series_uid": ("seriesuid", "seriesinstanceuid"),
    "subject": ("subjectid", "patientid"),
    "modality": ("modality",),
    "description": ("seriesdescription",),
    "location": ("filelocation", "filepath"),
    "num_images": ("numberofimages", "imagecount"),
}
"""Spellings of NBIA's data retriever, its REST interface and tcia-utils, in small letters."""

_OPTIONAL = ("location", "num_images")


class BadInput(PctError):
    """A folder or table of cases that cannot be read as what it was said to be."""


@dataclass(frozen=True)
class SeriesRow:
    """One series of the table. `folder` is absolute and inside the collection; it may be absent."""

    line: int
    """Line of the file, the header being 1."""
    subject: str
    series_uid: str
    modality: str
    description: str
    folder: Path
    num_images: int | None = None
    """Files of the series as the archive counts them."""


def read_metadata(collection: Path) -> list[SeriesRow]:
    """The rows of `collection`/metadata.csv, or of the one metadata.csv a folder below.

    File locations are taken relative to the table, in Windows or Unix spelling; a table without
    that column means folders named by series UID. A location outside the collection, a number of
    images that is none, a missing column or an absent table raises `BadInput`.
    """
    table = _find_table(collection)
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        columns = _columns(table, list(rows.fieldnames or []))
        return [_row(table, line, row, columns) for line, row in enumerate(rows, start=2)]


def _find_table(collection: Path) -> Path:
    if not collection.is_dir():
        raise BadInput(f"{collection}: no such folder. Expected the download of a TCIA collection.")
    if (table := collection / "metadata.csv").is_file():
        return table
    below = sorted(collection.glob("*/metadata.csv"))
    if len(below) != 1:
        found = ", ".join(path.parent.name for path in below) or "none"
        raise BadInput(
            f"{collection}: expected metadata.csv in it or in one folder below, found {found}. "
            "Name the folder that NBIA's data retriever wrote (manifest-...)."
        )
    return below[0]


def _columns(table: Path, names: list[str]) -> dict[str, str]:
    """Our names of the columns -> the table's."""
    plain = {"".join(filter(str.isalnum, name)).lower(): name for name in names}
    found = {
        ours: plain[alias] for ours, known in _ALIASES.items() for alias in known if alias in plain
    }
    if missing := [ours for ours in _ALIASES if ours not in found and ours not in _OPTIONAL]:
        raise BadInput(
            f"{table}: has no column for {', '.join(missing)}; it has {', '.join(names)}. Expected "
            "NBIA's names: Series UID, Subject ID, Modality, Series Description, File Location."
        )
    return found


def _row(table: Path, line: int, row: dict[str, str], columns: dict[str, str]) -> SeriesRow:
    cells = {ours: (row.get(name) or "").strip() for ours, name in columns.items()}
    location = cells.get("location") or cells["series_uid"]
    root = table.parent.resolve()
    folder = (root / PurePosixPath(location.replace("\\", "/"))).resolve()
    if root not in folder.parents:
        raise BadInput(
            f"{table}, line {line}: its File Location leads outside the download. Expected a "
            "folder below it. Correct the table, or do not trust where it comes from."
        )
    num_images = cells.get("num_images", "")
    if num_images and not num_images.isdecimal():
        raise BadInput(
            f"{table}, line {line}: Number of Images is {num_images!r}, expected a whole number or "
            "nothing. Correct the table."
        )
    return SeriesRow(
        line=line,
        subject=cells["subject"],
        series_uid=cells["series_uid"],
        modality=cells["modality"].upper(),
        description=cells["description"],
        folder=folder,
        num_images=int(num_images) if num_images else None,
    )
