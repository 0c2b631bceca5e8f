"""A small TCIA download, and what tests add to it: series, registrations, structure sets."""

import csv
import shutil

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    SpatialRegistrationStorage,
    generate_uid,
)


def rows_of(cohort):
    with (cohort / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write_rows(cohort, rows):
    with (cohort / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def folder_of(cohort, row):
    return cohort / row["File Location"].replace("\\", "/")


def add_copy(cohort, rows, index, uid, **tags):
    """A further series made from row `index`; its row."""
    row = dict(rows[index], **{"Series UID": uid})
    row["File Location"] = rows[index]["File Location"] + f"-{uid}"
    shutil.copytree(folder_of(cohort, rows[index]), folder_of(cohort, row))
    for file in folder_of(cohort, row).iterdir():
        dataset = pydicom.dcmread(file)
        dataset.SeriesInstanceUID = uid
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        dataset.save_as(file)
    return row


def frame_of(cohort, row):
    return str(pydicom.dcmread(next(folder_of(cohort, row).iterdir())).FrameOfReferenceUID)


def add_object(cohort, like, uid, modality, dataset):
    """Write a one-file series; its row, of the subject of row `like`."""
    row = dict(like, **{"Series UID": uid, "Modality": modality, "Number of Images": "1"})
    row["File Location"] = like["File Location"] + f"-{modality}-{uid}"
    folder_of(cohort, row).mkdir(parents=True)
    save(dataset, folder_of(cohort, row) / "1.dcm")
    return row


def save(dataset, path):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole = FileDataset(str(path), dataset, file_meta=meta, preamble=b"\0" * 128)
    whole.save_as(path, enforce_file_format=True)


def registration(own_frame, moves):
    """A spatial registration: `moves` lists frames with the matrices (16 values) that move them."""
    dataset = Dataset()
    dataset.SOPClassUID = SpatialRegistrationStorage
    dataset.FrameOfReferenceUID = own_frame
    dataset.RegistrationSequence = [_item(frame, matrices) for frame, *matrices in moves]
    return dataset


def _item(frame, matrices):
    item, inner = Dataset(), Dataset()
    item.FrameOfReferenceUID = frame
    inner.MatrixSequence = []
    for values in matrices:
        one = Dataset()
        one.FrameOfReferenceTransformationMatrix = [f"{x:.8g}" for x in np.ravel(values)]
        one.FrameOfReferenceTransformationMatrixType = "RIGID"
        inner.MatrixSequence.append(one)
    item.MatrixRegistrationSequence = [inner]
    return item


def shifted(x=0.0, y=0.0, z=0.0, turn=None):
    """A rigid matrix."""
    matrix = np.eye(4)
    if turn is not None:
        matrix[:3, :3] = turn
    matrix[:3, 3] = x, y, z
    return matrix


def structures(frame, contours, *, name="Head", kind="CLOSED_PLANAR", interpreted=""):
    """A structure set of one ROI; `contours` are arrays (n, 3) in LPS mm."""
    dataset, roi, drawn, seen = Dataset(), Dataset(), Dataset(), Dataset()
    dataset.SOPClassUID = RTStructureSetStorage
    roi.ROINumber = drawn.ReferencedROINumber = seen.ReferencedROINumber = 3
    roi.ROIName, roi.ReferencedFrameOfReferenceUID = name, frame
    seen.RTROIInterpretedType = interpreted
    drawn.ContourSequence = []
    for points in contours:
        one = Dataset()
        one.ContourGeometricType = kind
        one.NumberOfContourPoints = len(points)
        one.ContourData = [f"{x:.3f}" for x in np.ravel(points)]
        drawn.ContourSequence.append(one)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [roi], [drawn]
    dataset.RTROIObservationsSequence = [seen]
    return dataset


def signed_download(cohort, *, name, number, **also):
    """Move a cohort's series to folders and files called after patients, who are in all headers.

    Patients are `number`-0 and so on; `also` are further tags. Returns the cohort.
    """
    rows = rows_of(cohort)
    for index, row in enumerate(rows):
        row["Subject ID"] = f"{number}-{index // 2}"
        place = f"{name}/{row['Subject ID']}/{row['Modality']}-{name}"
        for count, path in enumerate(sorted(folder_of(cohort, row).iterdir())):
            dataset = pydicom.dcmread(path)
            dataset.PatientName, dataset.PatientID = name, row["Subject ID"]
            for keyword, value in also.items():
                setattr(dataset, keyword, value)
            to = cohort / place / f"{name}-{number}-{count:02d}.dcm"
            to.parent.mkdir(parents=True, exist_ok=True)
            dataset.save_as(to)
        row["File Location"] = place
    shutil.rmtree(cohort / "PHANTOM")
    write_rows(cohort, rows)
    return cohort
