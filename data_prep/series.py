"""One series of a download: what its row in the table and its files say of it."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.misc import is_dicom

from data_prep.about import HEADER_TAGS, About, of_header
from data_prep.dicom_census import read_header
from data_prep.metadata import SeriesRow

_T1 = re.compile(r"(?<![A-Z0-9])T1|MP-?RAGE|SPGR|BRAVO|VIBE|(?<![A-Z])(3D ?)?TFE", re.IGNORECASE)
_NOT_T1 = re.compile(r"T2|T1 ?(RHO|MAP)|(?<![A-Z])(LOC|SCOUT|SURVEY|SUB)", re.IGNORECASE)


@dataclass(frozen=True)
class Series:
    """A series that was looked at; `fault` says why no pair can hold it, empty where one can."""

    row: SeriesRow
    fault: str = ""
    files: tuple[Path, ...] = ()
    """Its DICOM files."""
    frame_uid: str = ""
    about: About = field(default_factory=About)


def is_t1(description: str) -> bool:
    """Whether a series description names a T1-weighted anatomical image.

    >>> [is_t1(name) for name in ("AX T1 3D SPGR +C", "T1 MPRAGE", "AX T2 FLAIR", "T1 LOC", "")]
    [True, True, False, False, False]
    """
    return bool(_T1.search(description)) and not _NOT_T1.search(description)


def look_at(row: SeriesRow) -> Series:
    """Count a series' files; of images, read the first header that names a frame of reference.

    Fewer files than the archive's count are a fault, since what is missing at an end of the stack
    shows nowhere else.
    """
    if not row.subject:
        return Series(row, "its row has no subject")
    if not row.folder.is_dir():
        return Series(row, "its folder is absent")
    found = sorted(path for path in row.folder.iterdir() if path.is_file())
    files = tuple(path for path in found if is_dicom(path))
    if row.num_images and len(files) < row.num_images:
        words = f"{len(files)} of {row.num_images} files are there: download it again"
        return Series(row, words, files)
    if row.modality not in ("CT", "MR"):
        return Series(row, "", files)
    for header in (read_header(file, "FrameOfReferenceUID", *HEADER_TAGS) for file in files):
        if header is not None and (frame_uid := str(header.get("FrameOfReferenceUID") or "")):
            return Series(row, "", files, frame_uid, of_header(header))
    return Series(row, "no file of it names a frame of reference", files)
