"""An MR series of any orientation, written plainly, with the name and id of a patient in it."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from data_prep.volume import Volume

NAME, ID = "Secret^Name", "MRN12345"
DESCRIPTION = "T1 for Dr Private"


def write_mr(folder: Path, volume: Volume, *, uid: str = "mr", **tags: Any) -> Path:
    """Slices of a volume with the array axes (column, row, slice), from the last to the first.

    `uid` names study, frame and series; `tags` stand over those of all slices.
    """
    folder.mkdir(parents=True)
    columns, rows, num_slices = volume.array.shape
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    cosines = lps[:3, :3] / volume.spacing_mm
    assert np.linalg.det(cosines) == 1 or abs(np.linalg.det(cosines) - 1) < 1e-9
    for k in range(num_slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[uid, "slice", str(k)])
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        values = {
            "SOPClassUID": MRImageStorage,
            "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "StudyInstanceUID": generate_uid(entropy_srcs=[uid, "study"]),
            "SeriesInstanceUID": generate_uid(entropy_srcs=[uid, "series"]),
            "FrameOfReferenceUID": generate_uid(entropy_srcs=[uid, "frame"]),
            "PatientName": NAME, "PatientID": ID, "PatientBirthDate": "19500607",
            "PatientSex": "O", "StudyDate": "20190321", "StudyTime": "", "StudyID": "",
            "AccessionNumber": "", "ReferringPhysicianName": "", "Modality": "MR",
            "SeriesNumber": 4, "SeriesDescription": DESCRIPTION, "PatientPosition": "HFS",
            "InstanceNumber": num_slices - k, "Rows": rows, "Columns": columns,
            "PixelSpacing": [volume.spacing_mm[1], volume.spacing_mm[0]],
            "SliceThickness": volume.spacing_mm[2],
            "ImageOrientationPatient": [round(x, 12) for x in cosines[:, :2].T.ravel()],
            "ImagePositionPatient": [round(x, 6) for x in (lps @ (0, 0, k, 1))[:3]],
            "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0,
            "PixelData": np.rint(volume.array[:, :, k].T).astype("<u2").tobytes(),
        }  # fmt: skip
        for keyword, value in {**values, **tags}.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / f"slice-{k:03d}.dcm", enforce_file_format=True)
    return folder
