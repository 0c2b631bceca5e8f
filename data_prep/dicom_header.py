"""The header of a pseudo-CT: whose it is, as its MR says, and what it is, as we say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_for_tag
from pydicom.uid import CTImageStorage

from data_prep.dicom_census import BadSeries, SeriesCensus, read_header
from data_prep.words import counted

PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "TypeOfPatientID", "PatientBirthDate",
    "PatientBirthTime", "PatientSex", "OtherPatientIDs", "OtherPatientNames", "EthnicGroup",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
)  # fmt: skip
"""The patient module, but for its comments in free text."""

STUDY = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID",
    "AccessionNumber", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight",
)  # fmt: skip
"""The study modules, so that the study is the same whichever of its series is asked."""

PLACE = ("PatientPosition", "BodyPartExamined")
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
"""What was once compressed with a loss must say so for ever after."""

EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber", "PatientPosition",
    "PositionReferenceIndicator", "KVP", "AcquisitionNumber",
)  # fmt: skip
"""What DICOM wants to be there even where nothing is known (type 2)."""

WRITTEN = (
    "InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime", "ContentDate",
    "ContentTime",
)  # fmt: skip
"""When a pseudo-CT was written: all in which the same again differs."""

ONE = ("PatientID", "PatientName", "StudyInstanceUID")
"""What all slices of an MR must have in common for a pseudo-CT to be filed."""

_SOURCE_IMAGE = ("121322", "DCM", "Source image for image processing operation")
_REFERRED = ("SOPClassUID", "SOPInstanceUID")
_WINDOW_HU = ("40", "400")
"""Centre and width: soft tissue, with bone at its upper end."""


@dataclass(frozen=True)
class Maker:
    """Who made a pseudo-CT."""

    name: str
    """Of the model: trial@epoch."""
    digest: str
    """Of its weights."""
    address: str
    """Where it came from."""
    software: str
    """Name and version of the program."""


def header_of(like: SeriesCensus, maker: Maker, frame_uid: str | None) -> pydicom.Dataset:
    """What all slices of a pseudo-CT share, but for their grid and the series' UID.

    Patient, study, position and frame of reference (or another, `frame_uid`) are those of the MR
    `like`, as they stand there; of private tags and of how the MR was taken, nothing. What DICOM
    wants and the MR lacks stays empty. An MR without a study, a frame or instance UIDs, or of more
    than one patient or study, raises `BadSeries`.
    """
    # A value that breaks DICOM's rules is the MR's own; a warning would quote it.
    with disable_value_validation():
        found = _read(like, frame_uid)
        dataset = _kept(found, frame_uid)
        headers = [read_header(item.file, *ONE, *_REFERRED) for item in like.slices]
        known = [header or pydicom.Dataset() for header in headers]
        _expect_one(like, known)
        dataset.SourceImageSequence = _sources(like, known)
        dataset.SeriesNumber = _series_number(found)
        _tell(dataset, maker)
        dataset.remove_private_tags()
    return dataset


def differing(wanted: pydicom.Dataset, file: Path, *, but: Sequence[str] = ()) -> list[str] | None:
    """Keywords of the tags that a file has otherwise than a header that may be saved.

    None of a file that is not DICOM. Pixels, the time of writing and the tags `but` do not count.
    """
    found = read_header(file)
    if found is None:
        return None
    buffer = BytesIO()
    wanted.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    same = read_header(buffer) or pydicom.Dataset()
    tags = sorted({*same.keys(), *found.keys()})
    words = {
        tag: keyword_for_tag(tag) or str(tag) for tag in tags if same.get(tag) != found.get(tag)
    }
    return [word for word in words.values() if word not in (*WRITTEN, *but)]


def _kept(found: pydicom.Dataset, frame_uid: str | None) -> pydicom.Dataset:
    """What is the MR's, and what of it is not known."""
    dataset = pydicom.Dataset()
    for keyword in ("SpecificCharacterSet", *PATIENT, *STUDY, *PLACE, *LOSSY):
        if keyword in found:
            dataset[keyword] = found[keyword]
    dataset.FrameOfReferenceUID = frame_uid or found.FrameOfReferenceUID
    if dataset.FrameOfReferenceUID == found.get("FrameOfReferenceUID"):
        dataset.PositionReferenceIndicator = found.get("PositionReferenceIndicator")
    for keyword in EMPTY:
        if keyword not in dataset:
            setattr(dataset, keyword, None)
    if not dataset.get("BodyPartExamined"):
        dataset.BodyPartExamined = "HEAD"  # without one, DICOM asks which side of the body it is
    return dataset


def _read(like: SeriesCensus, frame_uid: str | None) -> pydicom.Dataset:
    """The tags that are kept, of the first slice, once it is known that they can be."""
    tags = ("SpecificCharacterSet", *PATIENT, *STUDY, *PLACE, *LOSSY, "SeriesNumber")
    frame = ("FrameOfReferenceUID", "PositionReferenceIndicator")
    found = read_header(like.slices[0].file, *tags, *frame)
    if found is None:
        raise BadSeries(like.folder, ["its first slice is no DICOM file any more"])
    copied = (*PATIENT, *STUDY, *PLACE, *LOSSY)
    unread = [keyword for keyword in copied if isinstance(found.get(keyword), bytes)]
    reasons = [f"{', '.join(unread)} cannot be read"] if unread else []
    if not found.get("StudyInstanceUID"):
        reasons.append("no StudyInstanceUID, under which a pseudo-CT is filed")
    num_frames = len({item.frame_uid for item in like.slices})
    if not frame_uid and (num_frames > 1 or not found.get("FrameOfReferenceUID")):
        told = f"{num_frames} frames of reference" if num_frames > 1 else "no FrameOfReferenceUID"
        reasons.append(f"{told}, so a pseudo-CT has no known place in the patient")
    if reasons:
        raise BadSeries(like.folder, reasons)
    return found


def _expect_one(like: SeriesCensus, headers: Sequence[pydicom.Dataset]) -> None:
    """Refuse slices of several patients or studies, told by their counts alone."""
    counts = {tag: len({str(header.get(tag) or "") for header in headers}) for tag in ONE}
    if several := [f"{num} values of {tag}" for tag, num in counts.items() if num > 1]:
        told = f"{', '.join(several)} among its slices, expected one patient's and one study's"
        raise BadSeries(like.folder, [told])


def _sources(like: SeriesCensus, headers: Sequence[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """A reference to every slice of the MR: its window and its head are found in all of them."""
    known = [header for header in headers if all(map(header.get, _REFERRED))]
    if len(known) < len(headers):
        num = counted(len(headers) - len(known), "slice")
        raise BadSeries(like.folder, [f"{num} without SOPClassUID or SOPInstanceUID to refer to"])
    purpose = pydicom.Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = _SOURCE_IMAGE
    references = []
    for header in known:
        reference = pydicom.Dataset()
        reference.ReferencedSOPClassUID = header.SOPClassUID
        reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
        reference.PurposeOfReferenceCodeSequence = [purpose]
        references.append(reference)
    return references


def _series_number(found: pydicom.Dataset) -> int:
    """Far from the MR's, and another for each MR of a study of fewer than 10,000."""
    try:
        return (int(found.get("SeriesNumber") or 0) + 5000) % 10000
    except (TypeError, ValueError):  # words for a number
        return 5000


def _tell(dataset: pydicom.Dataset, maker: Maker) -> None:
    """What the images are, who made them and when; how pixels are stored."""
    now = datetime.now()
    told: dict[str, object] = {
        "SOPClassUID": CTImageStorage, "Modality": "CT",
        "ImageType": ["DERIVED", "SECONDARY", "AXIAL"], "ContentQualification": "RESEARCH",
        "SeriesDescription": "RESEARCH pseudo-CT",
        "ImageComments": "Pseudo-CT made from MR for research. Not for clinical use.",
        "DerivationDescription": _plain(
            f"Pseudo-CT in HU made from MR by the model {maker.name} (sha256 {maker.digest}, from "
            f"{maker.address}) with {maker.software}. For research only.", 1024
        ),
        "Manufacturer": "pct-sweeps", "ManufacturerModelName": _plain(maker.name, 64),
        "SoftwareVersions": _plain(maker.software, 64), "BurnedInAnnotation": "NO",
        "WindowCenter": _WINDOW_HU[0], "WindowWidth": _WINDOW_HU[1], "RescaleType": "HU",
        "RescaleSlope": "1", "RescaleIntercept": "0", "SamplesPerPixel": 1, "BitsAllocated": 16,
        "PhotometricInterpretation": "MONOCHROME2", "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 1,
    }  # fmt: skip
    for keyword in ("InstanceCreation", "Series", "Content"):
        told |= {f"{keyword}Date": f"{now:%Y%m%d}", f"{keyword}Time": f"{now:%H%M%S}"}
    for keyword, value in told.items():
        setattr(dataset, keyword, value)


def _plain(text: str, length: int) -> str:
    """Text that any character set can hold and that is one value, cut to `length`.

    >>> _plain("models:/müll" + chr(92) + "pct@champion", 17)
    'models:/m?ll/pct@'
    """
    return text.encode("ascii", "replace").decode().replace("\\", "/")[:length]
