"""A census of one DICOM series' headers, before any converter is asked."""

import struct
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, MRImageStorage

from data_prep.errors import PctError

SAME_PLACE_MM = 0.01
"""Slices nearer than this along the normal are two images of one place."""

UNREADABLE = (BytesLengthException, LookupError, NotImplementedError, OverflowError, TypeError,
              ValueError)  # fmt: skip
"""What pydicom raises of a value that breaks the rules of its type, or has a type of no kind."""

_TAGS = (
    "SeriesInstanceUID", "Modality", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient",
    "ImageOrientationPatient", "EchoTime", "FrameOfReferenceUID", "NumberOfFrames", "SOPClassUID",
    "SOPInstanceUID", "InstanceNumber", "SliceThickness", "PixelRepresentation", "RescaleSlope",
    "RescaleIntercept",
)  # fmt: skip

_PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
"""What gives a slice its place, and how many numbers each holds."""


class BadSeries(PctError):
    """A folder that is not one upright, complete series. `reasons` name no folder."""

    def __init__(self, folder: Path, reasons: list[str]) -> None:
        self.folder = folder
        self.reasons = tuple(reasons)
        tilted = any(reason.startswith("gantry tilt") for reason in reasons)
        advice = "; straighten a tilted one with dcm2niix and take the NIfTI file" if tilted else ""
        super().__init__(
            f"{folder}: {'; '.join(reasons)}. Expected one complete, evenly spaced, upright series "
            f"of CT or MR. Export it anew{advice}."
        )


@dataclass(frozen=True)
class SliceHeader:
    """What the census keeps of one slice; positions and cosines in DICOM's LPS."""

    file: Path
    series_uid: str
    frame_uid: str
    modality: str
    shape: tuple[int, int]
    """Rows, columns."""
    pixel_mm: tuple[float, float]
    """Distance of rows, of columns."""
    position_mm: tuple[float, ...]
    cosines: tuple[float, ...]
    """Three along a row, three down a column."""
    echo_ms: float | None
    number: int | None
    """InstanceNumber."""
    thickness_mm: float | None
    rescale: tuple[float | None, float | None]
    """Slope and intercept from stored values."""
    syntax: str
    """UID of the transfer syntax: how the pixels are stored."""


@dataclass(frozen=True)
class SeriesCensus:
    """Headers of the slices below `folder`, sorted along the first one's normal."""

    folder: Path
    slices: tuple[SliceHeader, ...]
    num_stray: int
    """Files passed over: not DICOM, or without a position (reports, DICOMDIR)."""
    num_multiframe: int
    """Enhanced objects with many frames, which are not read."""
    num_cut: int = 0
    """CT or MR images that end before their pixels, as an interrupted copy leaves them."""
    num_unread: int = 0
    """Slices with words where their header should have numbers, or with what cannot be read."""
    lacking: tuple[str, ...] = ()
    """Tags of place or size that images among the files passed over do not have."""

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the first slice, LPS."""
        return _normal(self.slices[0])

    @cached_property
    def along_mm(self) -> NDArray[np.float64]:
        """Place of each slice along the normal."""
        return np.array([item.position_mm for item in self.slices]) @ self.normal

    @cached_property
    def gaps_mm(self) -> NDArray[np.float64]:
        """Distance of each slice to the next, along the normal."""
        return np.diff(self.along_mm)

    @property
    def tilt_deg(self) -> float:
        """Angle between the normal and the direction in which the slices travel."""
        travel = np.subtract(self.slices[-1].position_mm, self.slices[0].position_mm)
        length = float(np.linalg.norm(travel))
        if length < SAME_PLACE_MM:
            return 0.0
        return float(np.degrees(np.arccos(np.clip(abs(travel @ self.normal) / length, 0, 1))))


def census(folder: Path) -> SeriesCensus:
    """Read the headers of all files below `folder`, pixels left alone.

    A folder that is absent raises `BadSeries`; one without slices gives an empty census.
    """
    if not folder.is_dir():
        raise BadSeries(folder, ["no such folder"])
    return census_of(folder, sorted(path for path in folder.rglob("*") if path.is_file()))


def census_of(folder: Path, files: Iterable[Path]) -> SeriesCensus:
    """As `census`, of these files alone; faults are told of `folder`."""
    slices: list[SliceHeader] = []
    lacking: set[str] = set()
    others: Counter[str] = Counter()
    for file in files:
        header = read_header(file, *_TAGS)
        kept = _kept(file, header)
        if isinstance(kept, SliceHeader):
            slices.append(kept)
        elif kept == "stray":
            lacking |= _lacking(header)
        if isinstance(kept, str):
            others[kept] += 1
    if slices:
        normal = _normal(slices[0])
        slices.sort(key=lambda item: float(np.dot(item.position_mm, normal)))
    return SeriesCensus(
        folder,
        tuple(slices),
        num_stray=others["stray"],
        num_multiframe=others["multiframe"],
        num_cut=others["cut"],
        num_unread=others["unread"],
        lacking=tuple(sorted(lacking)),
    )


def slice_words(series: SeriesCensus, index: int) -> str:
    """The slice at `index` by number and place: `slice 19 of 48 (z = 57.0 mm)`.

    The place is DICOM's patient coordinate along the axis nearest to the normal.
    """
    axis = int(np.argmax(np.abs(series.normal)))
    place_mm = series.slices[index].position_mm[axis]
    return f"slice {index + 1} of {len(series.slices)} ({'xyz'[axis]} = {place_mm:.1f} mm)"


def read_header(file: Path | BinaryIO, *tags: str) -> pydicom.Dataset | None:
    """The named tags of a DICOM file without its pixels, or all; None for one that is not DICOM.

    Of one that ends within its header, what can be read. A value that cannot be read as what it
    says it is comes as no bytes.
    """
    with unwarned():
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(tags))
        except (InvalidDicomError, EOFError):
            return None
        except struct.error:  # it ends within the length of a tag
            return pydicom.Dataset()
        except UNREADABLE:  # in what says how the rest is written
            spoilt = pydicom.Dataset()
            spoilt.add_new("SOPClassUID", "OB", b"")
            return spoilt
        _read_values(header.file_meta)
        _read_values(header)
    return header


@contextmanager
def unwarned() -> Iterator[None]:
    """Let pydicom read without its warnings, which quote values that break DICOM's rules."""
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read_values(dataset: pydicom.Dataset) -> None:
    """Read each value, which pydicom would do when it is first asked for."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except UNREADABLE:
            dataset.add_new(tag, "OB", b"")
            continue
        for item in element.value if element.VR == "SQ" else ():
            _read_values(item)


def _is_cut(header: pydicom.Dataset) -> bool:
    """Whether an image ends before PixelRepresentation, which every image has just before pixels.

    The class of the object, itself perhaps cut short, tells images from reports.
    """
    meta = getattr(header, "file_meta", {})
    kind = str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
    is_image = any(known.startswith(kind) for known in (CTImageStorage, MRImageStorage))
    return is_image and "PixelRepresentation" not in header


def _has_place(header: pydicom.Dataset) -> bool:
    """Whether a slice says, in as many numbers as DICOM asks for, where its pixels lie."""
    try:
        lengths = [len(header.get(tag) or ()) for tag in _PLACE]
    except (TypeError, ValueError):  # one value where several belong; words for numbers
        return False
    return lengths == list(_PLACE.values()) and bool(header.get("Rows") and header.get("Columns"))


def _lacking(header: pydicom.Dataset | None) -> set[str]:
    """Tags without which an image has no place or size; none of what is no image of CT or MR."""
    if header is None or header.get("SOPClassUID") not in (CTImageStorage, MRImageStorage):
        return set()
    return {tag for tag in (*_PLACE, "Rows", "Columns") if header.get(tag) in (None, "", 0)}


def _kept(
    file: Path, header: pydicom.Dataset | None
) -> SliceHeader | Literal["stray", "multiframe", "cut", "unread"]:
    """What is kept of a slice's header; of another file, what it is."""
    if header is None:
        return "stray"
    if any(isinstance(element.value, bytes) for element in header):
        return "unread"
    if _is_cut(header):
        return "cut"
    try:
        if int(header.get("NumberOfFrames") or 1) > 1:
            return "multiframe"
        return _slice_header(file, header) if _has_place(header) else "stray"
    except (AttributeError, OverflowError, TypeError, ValueError):
        return "unread"


def _slice_header(file: Path, header: pydicom.Dataset) -> SliceHeader:
    position_mm, cosines, spacing_mm = (tuple(map(float, header[tag].value)) for tag in _PLACE)
    syntax = header.file_meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian
    if not np.isfinite([*position_mm, *cosines, *spacing_mm]).all() or not syntax.is_valid:
        raise ValueError(file)
    tags = ("EchoTime", "InstanceNumber", "SliceThickness", "RescaleSlope", "RescaleIntercept")
    echo, number, thickness, *rescale = (
        None if (value := header.get(tag)) in (None, "") else float(value) for tag in tags
    )
    return SliceHeader(
        file=file,
        series_uid=str(header.get("SeriesInstanceUID", "")),
        frame_uid=str(header.get("FrameOfReferenceUID", "")),
        modality=str(header.get("Modality", "")),
        shape=(int(header.Rows), int(header.Columns)),
        pixel_mm=(spacing_mm[0], spacing_mm[1]),
        position_mm=position_mm,
        cosines=cosines,
        echo_ms=None if echo is None else round(echo, 3),
        number=None if number is None else int(number),
        thickness_mm=thickness,
        rescale=(rescale[0], rescale[1]),
        syntax=str(syntax),
    )


def _normal(item: SliceHeader) -> NDArray[np.float64]:
    return np.cross(item.cosines[:3], item.cosines[3:]).astype(np.float64)
