"""Small DICOM MR series whose every voxel has a value of its own, and pseudo-CTs of them."""

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from scipy.spatial.transform import Rotation

from data_prep.dicom import read_series
from data_prep.dicom_ct import Maker, series_grid
from data_prep.volume import Volume, from_ras

MAKER = Maker("t003@70", "ab" * 32, "models:/pct@champion", "pct-sweeps 0.1.0")

SHAPE = (11, 8, 6)
"""Columns, rows, slices."""

STEP_MM = (0.7, 1.1, 2.3)

CORNER_MM = (-31.7, 12.3, -44.9)
"""Of the first voxel, LPS."""


def turned(*angles):
    return Rotation.from_euler("zyx", angles, degrees=True).as_matrix()[:, :2].T.ravel()


ORIENTATIONS = {
    "axial": np.array([1, 0, 0, 0, 1, 0]),
    "oblique": turned(21.0, -13.0, 17.0),
    "nearly axial": turned(0.5, 1.0, -2.0),
    "sagittal": np.array([0, 1, 0, 0, 0, -1]),
    "coronal": np.array([1, 0, 0, 0, 0, -1]),
}
"""Direction cosines: along a row, down a column."""

TAGS = {
    "SOPClassUID": MRImageStorage, "Modality": "MR", "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": "Secret^Søren", "PatientID": "SECRET-4711", "PatientBirthDate": "19500203",
    "PatientSex": "M", "PatientAge": "070Y", "PatientPosition": "HFS", "BodyPartExamined": "BRAIN",
    "StudyInstanceUID": "1.2.3.4", "StudyDate": "20200102", "StudyTime": "101112", "StudyID": "7",
    "AccessionNumber": "A1", "ReferringPhysicianName": "Doe^Jane", "StudyDescription": "HEAD",
    "SeriesInstanceUID": "1.2.3.4.5", "SeriesNumber": 3, "SeriesDescription": "T1 of Secret",
    "SeriesDate": "20200102", "AcquisitionNumber": 1, "FrameOfReferenceUID": "1.2.3.4.6",
    "PositionReferenceIndicator": "NA", "Manufacturer": "ACME", "StationName": "SECRET-4711",
    "ManufacturerModelName": "Scanner", "SoftwareVersions": "9", "InstitutionName": "Secret home",
    "ProtocolName": "Secret", "EchoTime": "3.4", "RepetitionTime": "8.2", "FlipAngle": "15",
    "MagneticFieldStrength": "1.5", "ScanningSequence": "GR", "SequenceVariant": "SP",
    "ScanOptions": "", "MRAcquisitionType": "3D", "EchoTrainLength": 1, "SliceThickness": "2.3",
    "ImageType": ["ORIGINAL", "PRIMARY", "M"], "SamplesPerPixel": 1, "BitsAllocated": 16,
    "PhotometricInterpretation": "MONOCHROME2", "BitsStored": 16, "HighBit": 15,
    "PixelRepresentation": 0,
}  # fmt: skip


def values(shape=SHAPE):
    """Every voxel its own value from 0 up, and a marker in the first corner."""
    array = np.arange(np.prod(shape)).reshape(shape)
    array[0, 0, 0] = 3000
    return array


def write_mr(folder, cosines=ORIENTATIONS["axial"], *, reverse=False, without=(), **tags):
    """A series of `values`; file names and, if `reverse`, instance numbers run against the slices.

    A value of None leaves an empty tag, `without` names those that are absent.
    """
    folder.mkdir(parents=True)
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in (TAGS | tags).items():
        if keyword not in without:
            setattr(dataset, keyword, value)
    dataset.private_block(0x0029, "ACME SECRETS", create=True).add_new(1, "LO", "Secret^Søren")
    columns, rows, num = SHAPE
    dataset.Columns, dataset.Rows = columns, rows
    dataset.ImageOrientationPatient = [f"{x:.12f}" for x in cosines]
    dataset.PixelSpacing = [f"{STEP_MM[1]}", f"{STEP_MM[0]}"]
    normal = np.cross(cosines[:3], cosines[3:])
    for k in range(num):
        uid = generate_uid(entropy_srcs=["mr", str(k)])
        dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = uid
        if "SOPInstanceUID" not in without:
            dataset.SOPInstanceUID = uid
        dataset.InstanceNumber = num - k if reverse else k + 1
        position = np.array(CORNER_MM) + k * STEP_MM[2] * normal
        dataset.ImagePositionPatient = [f"{x:.9f}" for x in position]
        dataset.PixelData = values()[:, :, k].T.astype("<u2").tobytes()
        dataset.save_as(folder / f"{num - k}.dcm", enforce_file_format=True)
    return folder


def pct_of(series, grid=None):
    """A pseudo-CT of -1000 HU and up on the series' grid, or on another of its voxels."""
    raw = from_ras(read_series(series.folder), grid or series_grid(series))
    return raw.with_array(raw.array.astype(np.int16) - 1000)


def files(folder):
    """The files of a series by name."""
    return [pydicom.dcmread(file) for file in sorted(folder.iterdir())]


def by_the_standard(folder):
    """The series as a volume (column, row, slice), by DICOM PS3.3 C.7.6.2.1.1 and pydicom alone."""
    slices = [pydicom.dcmread(file) for file in folder.iterdir()]
    cosines = np.array(slices[0].ImageOrientationPatient, float)
    normal = np.cross(cosines[:3], cosines[3:])
    slices.sort(key=lambda one: np.array(one.ImagePositionPatient, float) @ normal)
    first, last = (np.array(slices[k].ImagePositionPatient, float) for k in (0, -1))
    rows_mm, columns_mm = map(float, slices[0].PixelSpacing)
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = cosines[:3] * columns_mm, cosines[3:] * rows_mm
    lps[:3, 2] = (last - first) / (len(slices) - 1)
    lps[:3, 3] = first
    pixels = np.stack([one.pixel_array.T for one in slices], axis=2)
    slope = float(slices[0].get("RescaleSlope", 1))
    intercept = float(slices[0].get("RescaleIntercept", 0))
    return Volume(pixels * slope + intercept, np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps)


def assert_same_place(found, expected, *, hu=0.0, mm=1e-3):
    """Each voxel of `expected` is in `found` at the same point of the patient, with its value."""
    assert found.array.size == expected.array.size
    index = np.indices(expected.array.shape).reshape(3, -1)
    points = expected.affine[:3, :3] @ index + expected.affine[:3, 3:]
    inverse = np.linalg.inv(found.affine)
    there = np.rint(inverse[:3, :3] @ points + inverse[:3, 3:]).astype(int)
    assert there.min() >= 0
    assert (there.max(axis=1) < found.array.shape).all()
    off_mm = found.affine[:3, :3] @ there + found.affine[:3, 3:] - points
    assert np.linalg.norm(off_mm, axis=0).max() < mm
    difference = found.array[tuple(there)] - expected.array.ravel().astype(float)
    assert np.abs(difference).max() <= hu
