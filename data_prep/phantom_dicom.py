"""A cohort of phantoms as DICOM series in the folders of a TCIA download, with metadata.csv.

MR and CT of a subject show one anatomy in one frame of reference, each sampled on a grid of its
own: the MR is turned by a degree or two, has smaller voxels in-plane and another origin, as a
scanner would have it. Preparation has to resample, and the true alignment is exact.
"""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds
from scipy.spatial.transform import Rotation

from data_prep.errors import PctError
from data_prep.phantom import centred_grid, scan_ct, scan_mr
from data_prep.phantom_anatomy import draw_anatomy, label_tissues
from data_prep.volume import Grid, Volume

FIELD_OF_VIEW_MM = (256.0, 256.0, 192.0)
"""Of the CT; voxels shrink as `size` and `num_slices` grow."""

COLUMNS = (
    "Series UID", "Collection", "3rd Party Analysis", "Data Description URI", "Subject ID",
    "Study UID", "Study Description", "Study Date", "Series Description", "Manufacturer",
    "Modality", "SOP Class Name", "SOP Class UID", "Number of Images", "File Size",
    "File Location", "Download Timestamp",
)  # fmt: skip
"""Of metadata.csv, in the order of NBIA's data retriever."""

_DATE = "20200101"
_RECORD = "phantom.json"

_MR_TAGS = {
    "SOPClassUID": MRImageStorage, "Modality": "MR", "SeriesDescription": "T1 AX 3D SPGR",
    "SeriesNumber": 2, "ScanningSequence": "GR", "SequenceVariant": "SP", "ScanOptions": "",
    "MRAcquisitionType": "3D", "EchoTime": "3.4", "RepetitionTime": "8.2", "FlipAngle": "15",
    "EchoTrainLength": 1, "MagneticFieldStrength": "1.5", "PixelRepresentation": 0,
}  # fmt: skip
_CT_TAGS = {
    "SOPClassUID": CTImageStorage, "Modality": "CT", "SeriesDescription": "CT HEAD FRAME",
    "SeriesNumber": 1, "KVP": "120", "AcquisitionNumber": 1, "RescaleIntercept": "-1024",
    "RescaleSlope": "1", "RescaleType": "HU", "PixelRepresentation": 1,
}  # fmt: skip


class BadTarget(PctError):
    """The folder to write to holds something else."""


def write_cohort(
    to: Path,
    *,
    num_cases: int = 15,
    seed: int = 0,
    size: int = 256,
    num_slices: int = 48,
    on_case: Callable[[str], None] | None = None,
) -> Path:
    """Write `num_cases` subjects to the new folder `to`; return the path of its metadata.csv.

    Each has a CT of `size` x `size` x `num_slices` over `FIELD_OF_VIEW_MM` and an MR of as many
    voxels. Same arguments, same bytes. `on_case` hears each subject's name once it is written.
    The folder appears under its name when complete; one that holds the same cohort is left as it
    is, one that holds anything else raises `BadTarget`.
    """
    settings = {"num_cases": num_cases, "seed": seed, "size": size, "num_slices": num_slices}
    if _is_there(to, settings):
        return to / "metadata.csv"
    partial = to.with_name(f".{to.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    rows: list[dict[str, str]] = []
    for case in range(num_cases):
        subject = f"PHANTOM-{case:03d}"
        rows += _write_subject(partial, subject, seed * 1000 + case, (size, size, num_slices))
        if on_case is not None:
            on_case(subject)
    with (partial / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    (partial / _RECORD).write_text(json.dumps(settings, indent=1) + "\n")
    partial.replace(to)
    return to / "metadata.csv"


def _is_there(to: Path, settings: dict[str, int]) -> bool:
    if not to.exists() or (to.is_dir() and not any(to.iterdir())):
        return False
    record = to / _RECORD
    found = json.loads(record.read_text()) if record.is_file() else "something else"
    if found != settings:
        raise BadTarget(
            f"{to}: holds {found}, expected a cohort with {settings} or nothing. "
            "Remove it or name another folder."
        )
    return True


def _write_subject(
    root: Path, subject: str, seed: int, shape: tuple[int, int, int]
) -> list[dict[str, str]]:
    """Both series of one subject; their rows of metadata.csv."""
    anatomy = draw_anatomy(seed)
    ct_grid = centred_grid(shape, tuple(np.array(FIELD_OF_VIEW_MM) / shape))
    mr_grid = _mr_grid(ct_grid, seed)
    ct = scan_ct(label_tissues(anatomy, ct_grid), ct_grid, anatomy=anatomy, seed=seed)
    mr = scan_mr(label_tissues(anatomy, mr_grid), mr_grid, seed=seed)
    stored_ct = ct.with_array((ct.array + 1024).astype(np.int16))
    stored_mr = mr.with_array(np.rint(mr.array).astype(np.uint16))
    return [
        _write_series(root, subject, seed, volume, tags)
        for volume, tags in ((stored_ct, _CT_TAGS), (stored_mr, _MR_TAGS))
    ]


def _mr_grid(ct: Grid, seed: int) -> Grid:
    """Turned by up to two degrees about each axis, a finer pixel, thicker slices, its own start."""
    rng = np.random.default_rng([seed, 4])
    turn = Rotation.from_euler("zyx", rng.uniform(-2, 2, 3), degrees=True).as_matrix()
    spacing = np.array(ct.spacing_mm) * (0.95, 0.95, 1.05)
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    middle = rng.uniform((-2, 2, -2), (2, 6, 2))
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(ct.shape) - 1) / 2)
    return Grid(ct.shape, affine)


def _write_series(
    root: Path, subject: str, seed: int, volume: Volume, tags: dict[str, Any]
) -> dict[str, str]:
    """Axial slices of a RAS volume of stored values; the series' row of metadata.csv."""
    dataset = _header(subject, seed, tags)
    uid = str(dataset.SeriesInstanceUID)
    study = f"01-01-2020-NA-RADIOSURGERY-{dataset.StudyInstanceUID[-5:]}"
    series = f"{tags['SeriesNumber']}.000000-{tags['SeriesDescription']}-{uid[-5:]}"
    folder = Path("PHANTOM", subject, study, series)
    (root / folder).mkdir(parents=True)
    _set_geometry(dataset, volume)
    for k in range(volume.array.shape[2]):
        _set_slice(dataset, volume, k)
        dataset.save_as(root / folder / f"1-{k + 1:02d}.dcm", enforce_file_format=True)
    files = sorted((root / folder).iterdir())
    cells = (
        uid, "PHANTOM", "NO", "", subject, str(dataset.StudyInstanceUID), "RADIOSURGERY",
        "01-01-2020", tags["SeriesDescription"], dataset.Manufacturer, tags["Modality"],
        tags["SOPClassUID"].name, str(tags["SOPClassUID"]), str(len(files)),
        f"{sum(file.stat().st_size for file in files) / 1e6:.2f} MB",
        ".\\" + "\\".join(folder.parts), "2020-01-01T00:00:00.000",
    )  # fmt: skip
    return dict(zip(COLUMNS, cells, strict=True))


def _header(subject: str, seed: int, tags: dict[str, Any]) -> FileDataset:
    """What all slices of a series share, but for their place."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = tags["SOPClassUID"]
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    name = f"{subject} {seed}"
    common: dict[str, Any] = {
        "PatientName": f"Phantom^{subject[-3:]}", "PatientID": subject, "PatientBirthDate": "",
        "PatientSex": "O", "StudyInstanceUID": _uid(name, "study"), "StudyDate": _DATE,
        "StudyTime": "120000", "StudyID": "1", "StudyDescription": "RADIOSURGERY",
        "AccessionNumber": "", "ReferringPhysicianName": "", "SeriesDate": _DATE,
        "SeriesInstanceUID": _uid(name, tags["Modality"]), "Manufacturer": "pct phantom",
        "FrameOfReferenceUID": _uid(name, "frame"), "PositionReferenceIndicator": "",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "PatientPosition": "HFS",
        "BodyPartExamined": "HEAD", "BurnedInAnnotation": "NO", "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16,
        "HighBit": 15,
    }  # fmt: skip
    for keyword, value in (common | tags).items():
        setattr(dataset, keyword, value)
    return dataset


def _set_geometry(dataset: FileDataset, volume: Volume) -> None:
    """Orientation and spacing. Columns run to the patient's left, rows to the back (LPS)."""
    spacing = volume.spacing_mm
    cosines = np.diag([-1.0, -1.0, 1.0]) @ volume.affine[:3, :3] / spacing
    dataset.Columns, dataset.Rows = volume.array.shape[:2]
    dataset.ImageOrientationPatient = _decimals([*-cosines[:, 0], *-cosines[:, 1]])
    dataset.PixelSpacing = _decimals([spacing[1], spacing[0]])
    dataset.SliceThickness = format_number_as_ds(spacing[2])


def _set_slice(dataset: FileDataset, volume: Volume, k: int) -> None:
    """Pixels and place of slice `k`; its first pixel is the voxel most to the right and front."""
    columns, rows = volume.array.shape[:2]
    corner = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine @ (columns - 1, rows - 1, k, 1)
    uid = _uid(str(dataset.SeriesInstanceUID), str(k))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.InstanceNumber = k + 1
    dataset.ImagePositionPatient = _decimals(corner[:3])
    dataset.SliceLocation = format_number_as_ds(float(corner[2]))
    stored = volume.array[::-1, ::-1, k].T
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()


def _decimals(values: Any) -> list[str]:
    return [format_number_as_ds(float(value)) for value in values]


def _uid(*name: str) -> UID:
    return generate_uid(entropy_srcs=["pct phantom", *name])
