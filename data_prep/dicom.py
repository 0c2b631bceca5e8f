"""One DICOM series to one volume: a census of its headers, a strict check, then dicom2nifti."""

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from dicom2nifti.convert_dicom import dicom_array_to_nifti
from dicom2nifti.exceptions import ConversionError, ConversionValidationError
from numpy.typing import NDArray
from pydicom.datadict import keyword_dict
from pydicom.uid import UID

from data_prep.dicom_census import (
    UNREADABLE,
    BadSeries,
    SeriesCensus,
    census,
    slice_words,
    unwarned,
)
from data_prep.dicom_faults import TILT_TOLERANCE_DEG, check
from data_prep.volume import Volume, to_ras
from data_prep.words import counted

__all__ = ["BadSeries", "SeriesCensus", "census", "check", "convert", "describe", "read_series"]

_OWN_WORDS = (ConversionError, ConversionValidationError)
_REFUSALS = (*_OWN_WORDS, *UNREADABLE, AttributeError, RuntimeError)
"""AttributeError: dicom2nifti and pydicom take a tag that is absent for an attribute."""

_TAGS = (
    "SOPClassUID", "Modality", "Manufacturer", "ImageType", "SeriesInstanceUID", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelData",
)  # fmt: skip
"""What a plain series is converted by: dicom2nifti copies each dataset, so the rest costs a third
of its time. Without private tags it sees no fMRI or diffusion; the census has refused those."""


def read_series(folder: Path) -> Volume:
    """The one series in `folder` as a RAS volume: CT int16 HU, MR float32 raw units.

    Rescaled by slope and intercept, CT rounded to whole HU. No interpolation. A series that fails
    `check`, or that dicom2nifti refuses, raises `BadSeries`.
    """
    series = census(folder)
    check(series)
    return convert(series)


def convert(series: SeriesCensus) -> Volume:
    """As `read_series`, for a census that has passed `check`."""
    try:
        with unwarned():
            datasets = [_read(series, index) for index in range(len(series.slices))]
            _refuse_short(series, datasets)
            for number, dataset in enumerate(datasets, start=1):
                dataset.InstanceNumber = number  # dicom2nifti takes jumps in it for several stacks
            image = dicom_array_to_nifti(datasets, None, reorient_nifti=False)["NII"]
    except _REFUSALS as error:
        raise BadSeries(series.folder, [f"dicom2nifti refuses it ({_told(error)})"]) from error
    rows, columns = series.slices[0].shape
    expected = (columns, rows, len(series.slices))
    if image.shape != expected:
        raise BadSeries(series.folder, [f"dicom2nifti gave {image.shape}, expected {expected}"])
    volume = to_ras(Volume(np.asanyarray(image.dataobj), np.asarray(image.affine, np.float64)))
    return volume.with_array(_laid_out(volume.array, ct=series.slices[0].modality == "CT"))


def _laid_out(array: NDArray[Any], *, ct: bool) -> NDArray[Any]:
    """int16 HU or float32 in C order, from dicom2nifti's Fortran order of any type.

    A plane at a time: the memory of a whole volume in between costs more than the arithmetic.
    """
    out = np.empty(array.shape, np.int16 if ct else np.float32)
    for j in range(array.shape[1]):
        plane = array[:, j]
        if ct and plane.dtype != np.int16:
            plane = np.clip(np.rint(plane), -32768, 32767)
        out[:, j] = plane
    return out


def _told(error: Exception) -> str:
    """dicom2nifti's own words; of pydicom's, which may quote a header's text, the tags they name.

    >>> _told(ValueError("Unknown (0028,0004) 'Photometric Interpretation' value 'Secret^Name'"))
    'PhotometricInterpretation'
    """
    if isinstance(error, _OWN_WORDS):
        return str(error)
    words = re.sub(r"(?<=[a-z]) (?=[A-Z])", "", str(error))
    tags = [word for word in re.findall(r"\w+", words) if word in keyword_dict]
    return ", ".join(dict.fromkeys(tags)) or type(error).__name__


def _read(series: SeriesCensus, index: int) -> pydicom.Dataset:
    try:
        dataset = pydicom.dcmread(series.slices[index].file, specific_tags=list(_TAGS))
        if "PixelData" in dataset:
            return dataset
    except (EOFError, struct.error):  # it ends within a tag
        pass
    raise BadSeries(series.folder, [f"{slice_words(series, index)} holds no whole pixels"])


def _refuse_short(series: SeriesCensus, datasets: list[pydicom.Dataset]) -> None:
    """Name the first slice whose pixels end too early. Compressed ones have no fixed length."""
    short = []
    for index, dataset in enumerate(datasets):
        bits = int(dataset.get("BitsAllocated") or 0)
        samples = int(dataset.get("SamplesPerPixel") or 1)
        expected = dataset.Rows * dataset.Columns * samples * bits // 8
        found = len(dataset.PixelData or b"")
        if found < expected and not UID(series.slices[index].syntax).is_compressed:
            short.append((index, f"{found} of {expected} bytes"))
    if short:
        (first, words), num = short[0], len(short) - 1
        more = f", and {counted(num, 'more slice')} of {len(datasets)}" if num else ""
        told = f"{slice_words(series, first)}: pixels cut short, {words}{more}"
        raise BadSeries(series.folder, [told])


def describe(series: SeriesCensus, volume: Volume) -> dict[str, Any]:
    """Facts of a series and the `volume` that `convert` made of it, for a person.

    Nothing in them tells who the patient is.
    """
    ranks = (0, 1, 50, 99, 100)
    values = np.percentile(volume.array, ranks)
    return {
        "modality": series.slices[0].modality,
        "shape": list(volume.array.shape),
        "spacing_mm": [round(step, 4) for step in volume.spacing_mm],
        "orientation": _orientation_words(series.normal),
        "num_slices": len(series.slices),
        "num_stray": series.num_stray,
        "unit": "HU" if series.slices[0].modality == "CT" else "raw",
        "percentiles": {str(rank): float(v) for rank, v in zip(ranks, values, strict=True)},
    }


def series_lines(facts: dict[str, Any]) -> list[str]:
    """What `describe` found, for a person, one fact a line."""
    values = ", ".join(f"p{rank} {value:.5g}" for rank, value in facts["percentiles"].items())
    told = {
        "modality": facts["modality"],
        "shape": " x ".join(map(str, facts["shape"])),
        "spacing": " x ".join(f"{step:g}" for step in facts["spacing_mm"]) + " mm",
        "orientation": facts["orientation"],
        "slices": facts["num_slices"],
        "stray files": facts["num_stray"],
        "percentiles": f"{values} {facts['unit']}",
    }
    return [f"{name:<14} {text}" for name, text in told.items()]


def _orientation_words(normal: NDArray[np.float64]) -> str:
    axis = int(np.argmax(np.abs(normal)))
    plane = ("sagittal", "coronal", "axial")[axis]
    oblique = float(np.degrees(np.arccos(min(1.0, float(abs(normal[axis]))))))
    return plane if oblique < TILT_TOLERANCE_DEG else f"{plane}, {oblique:.1f} degrees oblique"
