"""One DICOM series among all that lies in a folder: the only one of its modality, or by a text."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pydicom

from data_prep.dicom_census import SeriesCensus, census_of, read_header
from data_prep.dicom_faults import check
from data_prep.errors import PctError
from data_prep.words import counted

_TAGS = (
    "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "PatientName",
    "PatientID", "ImagePositionPatient", "NumberOfFrames",
)  # fmt: skip


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
    label: str
    """Number and description, without the patient's name and id: for a person at a terminal."""
    modality: str
    files: tuple[Path, ...]
    has_place: bool
    """Whether it can be a volume; a picture of the screen has no position."""


def files_of_series(
    folder: Path, modality: Literal["MR", "CT"], text: str = ""
) -> tuple[Path, ...]:
    """The files of the one series of a modality below `folder`, whatever else lies beside it.

    Of several, the one whose number and description, as `BadSource` lists them, hold `text`.
    Files cut so short that no series is named in them go with every series.
    """
    found, nameless = _listed(folder)
    wanted = [series for series in found if series.modality == modality]
    wanted = [series for series in wanted if series.has_place] or wanted
    if not found and nameless:
        return nameless
    if not wanted:
        raise BadSource(folder, *_without(modality, {series.modality for series in found}))
    chosen = [series for series in wanted if text.casefold() in series.label.casefold()]
    if len(chosen) != 1:
        kinds = f"{len(wanted)} {modality} series" if len(wanted) > 1 else f"one {modality} series"
        some = f", {len(chosen) or 'none'} of them with {text!r} in its description"
        choose = "Choose by --series TEXT, a part of what `#NUMBER DESCRIPTION` says of one alone"
        advice = f"{choose}, or move the others away." if modality == "MR" else "Name its folder."
        labels = [f"{one.label}, {counted(len(one.files), 'file')}" for one in wanted]
        raise BadSource(folder, f"{kinds}{some if text else ''}", advice, series=labels)
    return tuple(sorted((*chosen[0].files, *nameless)))


def sound_series(folder: Path, files: Sequence[Path]) -> SeriesCensus:
    """A census of the files that has passed preparation's check, else `BadSeries`."""
    series = census_of(folder, files)
    check(series)
    return series


def has_dicom(folder: Path) -> bool:
    """Whether a file in the folder itself, not below, is DICOM."""
    files = (path for path in folder.iterdir() if path.is_file())
    return any(read_header(file, "Modality") is not None for file in files)


def is_one_study(folders: Sequence[Path]) -> bool:
    """Whether several folders hold different series of one study, by the first file of each."""
    first = [next(_headers(folder, "StudyInstanceUID", "SeriesInstanceUID"), None)
             for folder in folders]  # fmt: skip
    headers = [header for _, header in filter(None, first)]
    studies = {str(header.get("StudyInstanceUID") or "") for header in headers}
    series = {str(header.get("SeriesInstanceUID") or "") for header in headers}
    whole = len(headers) == len(folders) == len(series) > 1
    return whole and len(studies) == 1 and "" not in studies | series


def _headers(folder: Path, *tags: str) -> Iterator[tuple[Path, pydicom.Dataset]]:
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if (header := read_header(file, *tags)) is not None:
            yield file, header


def _listed(folder: Path) -> tuple[list[_Series], tuple[Path, ...]]:
    """All series below a folder in the order of their labels, and the files that name none."""
    parts: dict[str, list[tuple[Path, pydicom.Dataset]]] = defaultdict(list)
    for file, header in _headers(folder, *_TAGS):
        parts[str(header.get("SeriesInstanceUID") or "")].append((file, header))
    nameless = tuple(file for file, _ in parts.pop("", []))
    found = [
        _Series(
            _label(part[0][1]),
            str(part[0][1].get("Modality") or ""),
            tuple(file for file, _ in part),
            any("ImagePositionPatient" in one or "NumberOfFrames" in one for _, one in part),
        )
        for part in parts.values()
    ]
    return sorted(found, key=lambda series: series.label), nameless


def _label(header: pydicom.Dataset) -> str:
    text = f"#{header.get('SeriesNumber') or '?'} {header.get('SeriesDescription') or ''}".strip()
    for word in re.findall(r"\w{3,}", f"{header.get('PatientName')} {header.get('PatientID')}"):
        text = re.sub(re.escape(word), "***", text, flags=re.IGNORECASE)
    return text


def _without(modality: str, others: set[str]) -> tuple[str, str]:
    """What a folder lacks, and what to do."""
    if modality == "CT":
        return "no DICOM CT series", "Name a folder with one, or a NIfTI file."
    if "CT" in others:
        return "a CT and no MR", "A pseudo-CT is made from an MR: name the folder of its series."
    has = "DICOM objects but no MR" if others else "no MR"
    return has, "Expected one MR series in DICOM, or mr.nii.gz (.nii, .mha)."
