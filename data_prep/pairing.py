"""Which CT belongs to which T1 MR in a TCIA download: by frame of reference, with reasons."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_prep.dicom_census import read_header
from data_prep.metadata import BadInput, SeriesRow, read_metadata

_T1 = re.compile(r"(?<![A-Z0-9])T1|MP-?RAGE|SPGR|BRAVO|VIBE|(?<![A-Z])(3D ?)?TFE", re.IGNORECASE)
_NOT_T1 = re.compile(r"T2|T1 ?(RHO|MAP)|(?<![A-Z])(LOC|SCOUT|SURVEY|SUB)", re.IGNORECASE)


@dataclass(frozen=True)
class Case:
    """One patient: where the images lie. DICOM: a folder a series; NIfTI: a file each."""

    subject: str
    """The source's own name of the patient."""
    kind: Literal["dicom", "nifti"]
    mr: Path
    ct: Path
    head: Path | None = None
    """A mask of the head on the CT, where the source brings one."""


@dataclass(frozen=True)
class Candidate:
    """One series of the collection, and why it was taken or not."""

    subject: str
    series_uid: str
    modality: str
    description: str
    taken: bool
    reason: str


@dataclass(frozen=True)
class Pairing:
    """Cases of a TCIA download, ordered by subject, and every series that was looked at."""

    cases: tuple[Case, ...]
    candidates: tuple[Candidate, ...]


@dataclass
class _Series:
    row: SeriesRow
    num_files: int = 0
    frame_uid: str = ""
    reason: str = ""
    taken: bool = False


def is_t1(description: str) -> bool:
    """Whether a series description names a T1-weighted anatomical image.

    >>> [is_t1(name) for name in ("AX T1 3D SPGR +C", "T1 MPRAGE", "AX T2 FLAIR", "T1 LOC", "")]
    [True, True, False, False, False]
    """
    return bool(_T1.search(description)) and not _NOT_T1.search(description)


def find_pairs(collection: Path) -> Pairing:
    """One CT and one T1 MR a subject that share a frame of reference.

    The frame is read from one header of each series. Where several pairs are possible, the one
    with most images is taken (then the smaller series UIDs); the reasons say so. A subject without
    a pair is no case; a collection without any raises `BadInput`.
    """
    subjects: dict[str, list[_Series]] = defaultdict(list)
    seen: set[str] = set()
    for row in read_metadata(collection):
        series = _Series(row)
        if row.series_uid in seen:
            series.reason = "listed before"
        else:
            _look_at(series)
        seen.add(row.series_uid)
        subjects[row.subject].append(series)
    cases = [case for name in sorted(subjects) if (case := _choose(name, subjects[name]))]
    candidates = _candidates(item for name in sorted(subjects) for item in subjects[name])
    if not cases:
        reasons = Counter(candidate.reason for candidate in candidates)
        listed = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
        raise BadInput(
            f"{collection}: no pair among {len(candidates)} series ({listed or 'empty table'}). "
            "Expected a CT and a T1 MR of one subject with the same FrameOfReferenceUID."
        )
    return Pairing(tuple(cases), tuple(candidates))


def _look_at(series: _Series) -> None:
    """Note files and frame of reference, or why the series is out of the question."""
    row = series.row
    if not row.subject:
        series.reason = "its row has no subject"
    elif row.modality not in ("CT", "MR"):
        series.reason = "neither CT nor MR"
    elif row.modality == "MR" and not is_t1(row.description):
        series.reason = "its description does not say T1"
    elif not row.folder.is_dir():
        series.reason = "its folder is absent"
    else:
        files = sorted(path for path in row.folder.iterdir() if path.is_file())
        headers = (read_header(file, "FrameOfReferenceUID") for file in files)
        frames = (str(h.get("FrameOfReferenceUID") or "") for h in headers if h is not None)
        series.num_files = len(files)
        series.frame_uid = next(filter(None, frames), "")
        series.reason = "" if series.frame_uid else "no file of it names a frame of reference"


def _choose(subject: str, found: list[_Series]) -> Case | None:
    """Take the subject's best pair; give the others their reasons."""
    usable = [series for series in found if not series.reason]
    both = [
        (mr, ct)
        for mr in usable
        for ct in usable
        if (mr.row.modality, ct.row.modality) == ("MR", "CT") and mr.frame_uid == ct.frame_uid
    ]
    for series in usable:
        other = "T1 MR" if series.row.modality == "CT" else "CT"
        series.reason = f"no {other} in its frame of reference"
    if not both:
        return None
    for pair in both:
        for series in pair:
            series.reason = "another pair of this subject has more images"
    mr, ct = min(both, key=_rank)
    for series in (mr, ct):
        series.taken = True
        series.reason = "CT and T1 MR in one frame of reference"
    return Case(subject, "dicom", mr=mr.row.folder, ct=ct.row.folder)


def _rank(pair: tuple[_Series, _Series]) -> tuple[int, str, str]:
    mr, ct = pair
    return -(mr.num_files + ct.num_files), mr.row.series_uid, ct.row.series_uid


def _candidates(found: Iterable[_Series]) -> list[Candidate]:
    return [
        Candidate(
            subject=series.row.subject,
            series_uid=series.row.series_uid,
            modality=series.row.modality,
            description=series.row.description,
            taken=series.taken,
            reason=series.reason,
        )
        for series in found
    ]
