"""One DICOM series among all that lies in a folder: the only one of its modality, or by a text."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.uid import MediaStorageDirectoryStorage

from data_prep.dicom_census import SeriesCensus, census_of, read_header
from data_prep.dicom_faults import check
from data_prep.errors import PctError
from data_prep.words import counted

_TAGS = (
    "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "Rows", "Columns",
    "PixelSpacing", "ImagePositionPatient", "NumberOfFrames",
)  # fmt: skip

_SHOWN = re.compile(
    r"t[12]w?i?|pdw?|flair|stir|tirm|spa?ir|dwi|adc|swi|dti|epi|[tf]?se|gre|[ft]fe|f?spgr|mprage|"
    r"mp2rage|bravo|space|cube|vista|vibe|lava|thrive|m?dixon|dess|ciss|fiesta|haste|propeller|"
    r"blade|tof|mra|[uz]te|petra|ax(ial)?|tra(nsverse)?|sag(ittal)?|cor(onal)?|[23]d|iso|pre|post|"
    r"gad?|gd|contrast|ce|fs|fat(sat)?|water|in|opp|phase|head|brain|locali[sz]er|scout|survey",
    re.IGNORECASE,
)
"""Words of a description that say how an MR was taken, and so never who lay in the scanner."""


class BadSource(PctError):
    """A place without the one image that was looked for. `reason` names no path and no header."""

    def __init__(
        self, place: Path, reason: str, advice: str, *, series: Sequence[str] = ()
    ) -> None:
        self.reason = f"{reason}. {advice}"
        listed = f" ({'; '.join(series)})" if series else ""
        super().__init__(f"{place}: {reason}{listed}. {advice}")


@dataclass(frozen=True)
class _Series:
    number: str
    description: str
    """As in the header, to be searched and never shown."""
    shown: str
    """Number, what of the description may be shown, and size, for a person at a terminal."""
    modality: str
    files: tuple[Path, ...]
    has_place: bool
    """Whether it can be a volume; a picture of the screen has no position."""

    @property
    def text(self) -> str:
        return f"#{self.number} {self.description}".casefold()


def files_of_series(
    folder: Path, modality: Literal["MR", "CT"], text: str = ""
) -> tuple[Path, ...]:
    """The files of the one series of a modality below `folder`, whatever else lies beside it.

    Of several, the one whose `#NUMBER DESCRIPTION` holds `text`; #4 alone is no part of #40.
    Files cut so short that no series is named in them go with every series.
    """
    found, nameless = _listed(folder)
    wanted = [series for series in found if series.modality == modality]
    wanted = [series for series in wanted if series.has_place] or wanted
    if not found and nameless:
        return nameless
    if not wanted:
        raise BadSource(folder, *_without(modality, {series.modality for series in found}))
    chosen = [series for series in wanted if _is_meant(series, text)]
    if len(chosen) != 1:
        kinds = f"{len(wanted)} {modality} series" if len(wanted) > 1 else f"one {modality} series"
        some = f", {len(chosen) or 'none'} of them with {text!r} in its description"
        advice = _choice(wanted) if modality == "MR" else "Name its folder."
        reason = f"{kinds}{some if text else ''}"
        raise BadSource(folder, reason, advice, series=_told(wanted, folder))
    return tuple(sorted((*chosen[0].files, *nameless)))


def sound_series(folder: Path, files: Sequence[Path]) -> SeriesCensus:
    """A census of the files that has passed preparation's check, else `BadSeries`."""
    series = census_of(folder, files)
    check(series)
    return series


def has_dicom(folder: Path, modality: str = "") -> bool:
    """Whether a file in the folder itself, not below, is DICOM (of a modality), no DICOMDIR."""
    headers = (_header(path, "Modality") for path in folder.iterdir() if path.is_file())
    return any(
        header is not None and modality in ("", str(header.get("Modality"))) for header in headers
    )


def is_one_study(folders: Sequence[Path]) -> bool:
    """Whether several folders hold different series of one study, by the first file of each.

    Of several patients they are no study, though they share its UID, as some anonymisers leave it.
    """
    headers = _first_headers(folders)
    studies = {str(header.get("StudyInstanceUID") or "") for header in headers}
    series = {str(header.get("SeriesInstanceUID") or "") for header in headers}
    whole = len(headers) == len(folders) == len(series) > 1 and _num_patients(headers) <= 1
    return whole and len(studies) == 1 and "" not in studies | series


def are_of_several(folders: Sequence[Path]) -> bool:
    """Whether the first DICOM files of some folders name more than one patient."""
    return _num_patients(_first_headers(folders)) > 1


def _first_headers(folders: Sequence[Path]) -> list[pydicom.Dataset]:
    tags = ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName")
    first = (next(_headers(folder, *tags), None) for folder in folders)
    return [header for _, header in filter(None, first)]


def _num_patients(headers: Sequence[pydicom.Dataset]) -> int:
    """By id, where none has one by name; those without either do not count."""
    ids, names = (
        {str(header.get(tag) or "").strip() for header in headers} - {""}
        for tag in ("PatientID", "PatientName")
    )
    return len(ids or names)


def _header(file: Path, *tags: str) -> pydicom.Dataset | None:
    """The named tags; None of what is not DICOM, or is the table of contents of a disc."""
    header = read_header(file, *tags)
    kind = getattr(header, "file_meta", {}).get("MediaStorageSOPClassUID")
    is_contents = file.name.upper() == "DICOMDIR" or kind == MediaStorageDirectoryStorage
    return None if is_contents else header


def _headers(folder: Path, *tags: str) -> Iterator[tuple[Path, pydicom.Dataset]]:
    """Those in the folder itself first, then those below."""
    files = (path for path in folder.rglob("*") if path.is_file())
    for file in sorted(files, key=lambda path: (path.parent != folder, path)):
        if (header := _header(file, *tags)) is not None:
            yield file, header


def _listed(folder: Path) -> tuple[list[_Series], tuple[Path, ...]]:
    """All series below a folder in the order of what is shown, and files that name none."""
    parts: dict[str, list[tuple[Path, pydicom.Dataset]]] = defaultdict(list)
    for file, header in _headers(folder, *_TAGS):
        parts[str(header.get("SeriesInstanceUID") or "")].append((file, header))
    nameless = tuple(file for file, _ in parts.pop("", []))
    found = [
        _Series(
            number := _number(part[0][1]),
            str(part[0][1].get("SeriesDescription") or ""),
            f"#{number} {_shown(part[0][1])}{counted(len(part), 'file')}",
            str(part[0][1].get("Modality") or ""),
            tuple(file for file, _ in part),
            any("ImagePositionPatient" in one or "NumberOfFrames" in one for _, one in part),
        )
        for part in parts.values()
    ]
    return sorted(found, key=lambda series: series.shown), nameless


def _number(header: pydicom.Dataset) -> str:
    try:
        return str(int(header.SeriesNumber))
    except (AttributeError, TypeError, ValueError):  # absent, empty, or words
        return "?"


def _shown(header: pydicom.Dataset) -> str:
    """What may be shown of a description, and the size of a slice: no name, date or number."""
    words = re.findall(r"[A-Za-z0-9]+", str(header.get("SeriesDescription") or ""))
    known = " ".join(word for word in words if _SHOWN.fullmatch(word))
    try:
        down, along = (float(step) for step in header.PixelSpacing)
        size = f"{int(header.Columns)} x {int(header.Rows)} pixels of {along:.3g} x {down:.3g} mm"
    except (AttributeError, TypeError, ValueError):  # absent, one number, or words
        size = ""
    return "".join(f"{part}, " for part in (known, size) if part)


def _is_meant(series: _Series, text: str) -> bool:
    if re.fullmatch(r"#\d+", text):
        return text == f"#{series.number}"
    return text.casefold() in series.text


def _told(found: Sequence[_Series], folder: Path) -> list[str]:
    """Each series in words, with its folder where number and description do not tell it apart."""
    texts = Counter(series.text for series in found)
    return [
        f"{series.shown} in {_place(series).relative_to(folder)}"
        if texts[series.text] > 1 and _place(series) != folder
        else series.shown
        for series in found
    ]


def _place(series: _Series) -> Path:
    return Path(os.path.commonpath([file.parent for file in series.files]))


def _choice(found: Sequence[_Series]) -> str:
    """How to name one of several series: by number, by description, else by its folder."""
    if len({series.number for series in found}) == len(found):
        how = "Choose by --series '#NUMBER', or by a part of the description of one alone"
    elif len({series.text for series in found}) == len(found):
        how = "Choose by --series TEXT, a part of the description of one alone"
    else:
        how = "Some have one number and description: give the folder of one alone with --mr"
    return f"{how}, or move the others away."


def _without(modality: str, others: set[str]) -> tuple[str, str]:
    """What a folder lacks, and what to do."""
    if modality == "CT":
        return "no DICOM CT series", "Name a folder with one, or a NIfTI file."
    if "CT" in others:
        return "a CT and no MR", "A pseudo-CT is made from an MR: name the folder of its series."
    has = "DICOM objects but no MR" if others else "no MR"
    return has, "Expected one MR series in DICOM, or mr.nii.gz (.nii, .mha)."
