import warnings

import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, MRImageStorage

from data_prep.dicom import BadSeries, census
from data_prep.dicom_ct import Maker, series_grid, write_ct
from data_prep.volume import Volume
from tests.data_prep.mr_series import MAKER, SHAPE, write_mr


def ct_of(tmp_path, *, maker=MAKER, frame_uid=None, **mr):
    """First slices of an MR and of a pseudo-CT of it."""
    series = census(write_mr(tmp_path / "mr", **mr))
    air = Volume(np.full(SHAPE, -1000, np.int16), series_grid(series).affine)
    write_ct(air, tmp_path / "ct", like=series, maker=maker, frame_uid=frame_uid)
    return (pydicom.dcmread(tmp_path / name) for name in ("mr/6.dcm", "ct/ct-0001.dcm"))


def leaves(dataset):
    """Every value, those within sequences too, with its element."""
    for element in dataset.iterall():
        if element.VR != "SQ":
            yield element


def test_patient_study_frame_and_position_are_the_mrs(tmp_path):
    mr, ct = ct_of(tmp_path)
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyID",
        "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
        "StudyDescription", "FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition",
        "BodyPartExamined", "SpecificCharacterSet",
    ):  # fmt: skip
        assert ct[keyword].value == mr[keyword].value, keyword
        assert ct[keyword].value, keyword


def test_series_and_instances_are_new_and_far_from_the_mrs(tmp_path):
    mr, ct = ct_of(tmp_path)
    assert ct.SOPClassUID == ct.file_meta.MediaStorageSOPClassUID == CTImageStorage
    assert ct.SOPInstanceUID == ct.file_meta.MediaStorageSOPInstanceUID != mr.SOPInstanceUID
    assert ct.SeriesInstanceUID != mr.SeriesInstanceUID
    assert (mr.SeriesNumber, ct.SeriesNumber) == (3, 5003)


def test_no_other_value_of_the_mr_and_no_private_tag_comes_along(tmp_path):
    mr, ct = ct_of(tmp_path)
    assert any(element.tag.is_private for element in mr)
    assert not any(element.tag.is_private for element in leaves(ct))
    for keyword in (
        "EchoTime", "RepetitionTime", "FlipAngle", "MagneticFieldStrength", "ScanningSequence",
        "SequenceVariant", "ScanOptions", "MRAcquisitionType", "EchoTrainLength", "ProtocolName",
        "StationName", "InstitutionName",
    ):  # fmt: skip
        assert keyword in mr, keyword
        assert keyword not in ct, keyword
    assert (ct.KVP, ct.AcquisitionNumber) == (None, None)
    assert (ct.Manufacturer, ct.Modality) == ("pct-sweeps", "CT")


def test_a_private_tag_within_a_sequence_stays_behind_too(tmp_path):
    method = pydicom.Dataset()
    method.CodeValue, method.CodingSchemeDesignator, method.CodeMeaning = "113100", "DCM", "Basic"
    method.private_block(0x0029, "ACME SECRETS", create=True).add_new(1, "LO", "Secret")
    mr, ct = ct_of(tmp_path, DeidentificationMethodCodeSequence=[method])
    assert any(element.tag.is_private for element in mr.DeidentificationMethodCodeSequence[0])
    assert ct.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert not any(element.tag.is_private for element in leaves(ct))


def test_who_the_patient_is_stands_in_the_patients_tags_alone(tmp_path):
    _, ct = ct_of(tmp_path)
    for element in leaves(ct):
        told = any(word in str(element.value) for word in ("ecret", "SECRET", "19500203"))
        assert told == (element.keyword in ("PatientName", "PatientID", "PatientBirthDate")), (
            element
        )
    raw = (tmp_path / "ct" / "ct-0001.dcm").read_bytes()
    assert (raw.count(b"ecret"), raw.count(b"SECRET"), raw.count(b"19500203")) == (1, 1, 1)


def test_it_says_what_it_is_and_that_it_is_for_research(tmp_path):
    _, ct = ct_of(tmp_path)
    assert ct.ImageType == ["DERIVED", "SECONDARY", "AXIAL"]
    assert ct.ContentQualification == "RESEARCH"
    assert ct.SeriesDescription == "RESEARCH pseudo-CT"
    assert "Not for clinical use" in ct.ImageComments
    for part in (MAKER.name, MAKER.digest, MAKER.address, MAKER.software):
        assert part in ct.DerivationDescription
    assert (ct.ManufacturerModelName, ct.SoftwareVersions) == (MAKER.name, MAKER.software)
    assert ct.BurnedInAnnotation == "NO"
    assert ct.SeriesDate == ct.ContentDate == ct.InstanceCreationDate > ct.StudyDate
    assert (ct.WindowCenter, ct.WindowWidth) == (40, 400)


def test_it_refers_to_every_slice_of_the_mr(tmp_path):
    _, ct = ct_of(tmp_path)
    known = {pydicom.dcmread(file).SOPInstanceUID for file in (tmp_path / "mr").iterdir()}
    assert {item.ReferencedSOPInstanceUID for item in ct.SourceImageSequence} == known
    assert len(ct.SourceImageSequence) == SHAPE[2]
    for item in ct.SourceImageSequence:
        purpose = item.PurposeOfReferenceCodeSequence[0]
        assert item.ReferencedSOPClassUID == MRImageStorage
        assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("121322", "DCM")


def test_on_a_planning_cts_grid_it_takes_that_cts_frame(tmp_path):
    _, ct = ct_of(tmp_path, frame_uid="1.2.3.77")
    assert ct.FrameOfReferenceUID == "1.2.3.77"
    assert ct.PositionReferenceIndicator == ""
    assert ct.StudyInstanceUID == "1.2.3.4"


def test_an_mr_without_a_frame_can_be_put_into_a_cts(tmp_path):
    _, ct = ct_of(tmp_path, frame_uid="1.2.3.77", without=["FrameOfReferenceUID"])
    assert ct.FrameOfReferenceUID == "1.2.3.77"


def test_what_the_mr_does_not_tell_of_the_patient_stays_empty(tmp_path):
    absent = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyID")
    _, ct = ct_of(tmp_path, without=[*absent, "PatientAge", "SpecificCharacterSet"])
    for keyword in absent:
        assert not ct[keyword].value, keyword
    assert "PatientAge" not in ct


def test_an_mr_that_does_not_name_the_body_part_is_taken_for_a_head(tmp_path):
    _, ct = ct_of(tmp_path, BodyPartExamined=None)
    assert ct.BodyPartExamined == "HEAD"


@pytest.mark.parametrize(
    ("absent", "words"),
    [
        ("StudyInstanceUID", "no StudyInstanceUID, under which a pseudo-CT is filed"),
        ("FrameOfReferenceUID", "no FrameOfReferenceUID, so a pseudo-CT has no known place"),
        ("SOPInstanceUID", "6 slices without SOPClassUID or SOPInstanceUID to refer to"),
        ("SOPClassUID", "6 slices without SOPClassUID or SOPInstanceUID to refer to"),
    ],
)
def test_an_mr_that_nothing_can_be_filed_with_is_refused(tmp_path, absent, words):
    with pytest.raises(BadSeries, match=rf"mr: {words}.*Export it anew"):
        ct_of(tmp_path, without=[absent])
    assert not (tmp_path / "ct").exists()


def test_two_frames_of_reference_are_refused(tmp_path):
    folder = write_mr(tmp_path / "mr")
    other = pydicom.dcmread(folder / "2.dcm")
    other.FrameOfReferenceUID = "1.2.3.4.66"
    other.save_as(folder / "2.dcm")
    series = census(folder)
    air = Volume(np.zeros(SHAPE, np.int16), series_grid(series).affine)
    with pytest.raises(BadSeries, match="2 frames of reference, so a pseudo-CT has no known"):
        write_ct(air, tmp_path / "ct", like=series, maker=MAKER)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PatientID": "other"}, "2 values of PatientID among its slices, expected one patient's"),
        ({"PatientName": "Other^One"}, "2 values of PatientName among"),
        ({"StudyInstanceUID": "1.2.9"}, "2 values of StudyInstanceUID among"),
        ({"PatientID": None, "PatientName": ""}, "2 values of PatientID, 2 values of PatientName"),
    ],
)
def test_a_series_of_two_patients_or_studies_is_refused_by_counts_alone(tmp_path, tags, words):
    folder = write_mr(tmp_path / "mr")
    other = pydicom.dcmread(folder / "2.dcm")
    for keyword, value in tags.items():
        setattr(other, keyword, value)
    other.save_as(folder / "2.dcm")
    series = census(folder)
    air = Volume(np.zeros(SHAPE, np.int16), series_grid(series).affine)
    with pytest.raises(BadSeries, match=words) as refused:
        write_ct(air, tmp_path / "ct", like=series, maker=MAKER)
    assert not any(word in str(refused.value) for word in ("ther", "SECRET", "1.2."))
    assert not (tmp_path / "ct").exists()


def test_a_name_in_japanese_is_the_same_bytes_as_in_the_mr(tmp_path):
    name = "Yamada^Tarou=山田^太郎"
    mr, ct = ct_of(tmp_path, SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name)
    assert str(ct.PatientName) == str(mr.PatientName) == name
    first = "山田".encode("iso2022_jp")[:7]
    for file in ("mr/6.dcm", "ct/ct-0001.dcm"):
        assert first in (tmp_path / file).read_bytes()


def test_values_that_break_dicoms_rules_are_kept_and_not_quoted(tmp_path):
    folder = write_mr(tmp_path / "mr")
    for file in folder.iterdir():
        with pydicom.config.disable_value_validation():
            dataset = pydicom.dcmread(file)
            dataset.PatientBirthDate, dataset.PatientID = "about 1950", "secret" * 20
            dataset.StudyInstanceUID = "study 1"
            dataset["SeriesNumber"] = pydicom.DataElement("SeriesNumber", "LO", "one")
            dataset.save_as(file)
    series = census(folder)
    air = Volume(np.zeros(SHAPE, np.int16), series_grid(series).affine)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_ct(air, tmp_path / "ct", like=series, maker=MAKER)
    with pydicom.config.disable_value_validation():
        ct = pydicom.dcmread(tmp_path / "ct" / "ct-0001.dcm")
        assert (ct.PatientBirthDate, ct.PatientID) == ("about 1950", "secret" * 20)
        assert ct.StudyInstanceUID == "study 1"
    assert ct.SeriesNumber == 5000


def test_a_loss_in_the_mrs_pixels_is_confessed(tmp_path):
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "8"}
    _, ct = ct_of(tmp_path, **lossy, LossyImageCompressionMethod="ISO_15444_1")
    assert (ct.LossyImageCompression, ct.LossyImageCompressionRatio) == ("01", 8)


def test_a_long_or_foreign_name_of_a_model_fits_its_tags(tmp_path):
    maker = Maker("ü" * 80, "ab" * 32, "C:\\models\\" + "x" * 2000, "pct\\sweeps")
    _, ct = ct_of(tmp_path, maker=maker, without=["SpecificCharacterSet"])
    assert ct.ManufacturerModelName == "?" * 64
    assert ct.SoftwareVersions == "pct/sweeps"
    assert len(ct.DerivationDescription) == 1024
