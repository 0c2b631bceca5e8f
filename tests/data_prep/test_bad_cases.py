"""One case that cannot be read is refused with a reason; the others go on."""

import gzip
import re
import shutil
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement

from data_prep.dicom import BadSeries, census, read_series
from data_prep.masks import head_from_mr
from data_prep.one_case import prepare_case
from data_prep.phantom import make_head
from data_prep.phantom_dicom import write_cohort
from data_prep.records import Job, PrepConfig
from data_prep.sources import Case
from data_prep.volume import BadVolume, Volume, load_nifti, save_nifti, to_ras

CONFIG = PrepConfig(size=32, pixel_mm=8.0, masks="threshold", ids="keep")
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    head = make_head(1, size=32, num_slices=12, spacing_mm=(8.0, 8.0, 16.0))
    save_nifti(head.mr, folder / "mr.nii.gz")
    save_nifti(head.ct, folder / "ct.nii.gz")
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    cohort = tmp_path_factory.mktemp("dicom") / "c"
    return write_cohort(cohort, num_cases=1, size=16, num_slices=6).parent


@pytest.fixture
def ct_folder(written, tmp_path):
    return Path(shutil.copytree(next(written.glob("PHANTOM/*/*/1.*")), tmp_path / "ct"))


def refused(tmp_path, mr, ct, kind="nifti"):
    """The reason that the case table would show."""
    (tmp_path / "work").mkdir()
    case = Case("one", kind, mr=mr, ct=ct)
    record = prepare_case(Job(case, "one", "key", [], tmp_path / "data", tmp_path / "work", CONFIG))
    assert record.status == "refused"
    return record.reason


def test_a_file_whose_compression_is_broken_is_refused(pair, tmp_path):
    whole = bytearray((pair / "mr.nii.gz").read_bytes())
    whole[600:4000] = bytes(3400)
    (tmp_path / "mr.nii.gz").write_bytes(whole)
    reason = refused(tmp_path, tmp_path / "mr.nii.gz", pair / "ct.nii.gz")
    assert reason.startswith("MR: cannot be read as NIfTI (Error -3 while decompressing")
    assert "Convert it anew" in reason


def rgb():
    return np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize("array", [rgb(), np.ones((4, 5, 6), np.complex64)])
def test_colours_and_complex_numbers_are_refused(pair, tmp_path, array):
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "mr.nii.gz")
    reason = refused(tmp_path, tmp_path / "mr.nii.gz", pair / "ct.nii.gz")
    assert reason.startswith("MR: holds ")
    assert "expected one real number a voxel. Export the magnitude" in reason


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_nifti_that_does_not_say_where_it_lies_is_refused(tmp_path, kind):
    image = kind(np.ones((4, 5, 6), np.float32), AFFINE)
    for name, sform, qform in (("both", 0, 0), ("sform", 1, 0), ("qform", 0, 1)):
        image.set_sform(AFFINE, code=sform)
        image.set_qform(AFFINE, code=qform)
        nib.save(image, tmp_path / f"{name}.nii.gz")
    with pytest.raises(BadVolume) as caught:
        load_nifti(tmp_path / "both.nii.gz")
    told = str(caught.value)
    assert told.startswith(f"{tmp_path / 'both.nii.gz'}: does not say where it lies (sform_code ")
    assert "expected one of them above 0" in told
    assert "convert it anew from DICOM" in told
    for name in ("sform", "qform"):
        assert np.allclose(load_nifti(tmp_path / f"{name}.nii.gz").affine, AFFINE)


def test_an_mr_that_shows_no_head_is_refused(pair, tmp_path):
    ct = load_nifti(pair / "ct.nii.gz")
    sheet = np.ones((128, 128, 96), np.float32)  # zeros would pass for padding
    sheet[64] = 100.0
    save_nifti(Volume(sheet, ct.affine @ np.diag([0.25, 0.25, 0.125, 1])), tmp_path / "mr.nii")
    reason = refused(tmp_path, tmp_path / "mr.nii", pair / "ct.nii.gz")
    assert reason.startswith("the MR shows no head: nothing of 6 mm or more lies above its thr")


def test_an_mr_without_a_head_says_so_to_prediction_too():
    sheet = np.zeros((24, 24, 24), np.float32)
    sheet[12] = 100.0
    with pytest.raises(BadVolume, match="the MR shows no head"):
        head_from_mr(Volume(sheet, np.eye(4)))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float16, np.int8])
def test_voxels_of_any_width_are_turned_to_ras(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    flipped = np.diag([-2.0, 2.0, 3.0, 1.0])
    turned = to_ras(Volume(array, flipped))
    assert turned.array.dtype == dtype
    assert np.array_equal(turned.array, array[::-1])
    assert turned.affine[0].tolist() == [2.0, 0.0, 0.0, -2.0]


def test_a_nifti_of_64_bit_integers_reads(tmp_path):
    array = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    nib.save(nib.Nifti1Image(array, AFFINE, dtype=np.int64), tmp_path / "ct.nii.gz")
    assert np.array_equal(to_ras(load_nifti(tmp_path / "ct.nii.gz")).array, array)


def edit_all(folder, change):
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        change(dataset)
        dataset.save_as(file)


def drop_bits(dataset):
    del dataset.BitsAllocated


def test_a_dicom_without_its_bit_depth_is_refused(ct_folder):
    edit_all(ct_folder, drop_bits)
    with pytest.raises(BadSeries, match=r"dicom2nifti refuses it \(.*Bits ?Allocated"):
        read_series(ct_folder)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("ImagePositionPatient", ["1", "2"]),
        ("ImageOrientationPatient", ["1", "0", "0"]),
        ("PixelSpacing", ["1"]),
    ],
)
def test_slices_with_too_few_numbers_for_their_place_are_strays(ct_folder, tag, value):
    edit_all(ct_folder, lambda dataset: setattr(dataset, tag, value))
    with pytest.raises(BadSeries, match="no slice with a position among 6 other files"):
        read_series(ct_folder)


@pytest.mark.parametrize(
    "tag", ["PixelSpacing", "ImagePositionPatient", "SliceThickness", "RescaleSlope"]
)
def test_a_slice_with_words_for_numbers_is_refused_and_not_passed_over(ct_folder, tag):
    last = sorted(ct_folder.iterdir())[-1]  # missing at an end, it would show nowhere else
    dataset = pydicom.dcmread(last)
    num = dataset[tag].VM
    dataset[tag]._value = ["Secret^Name"] * num if num > 1 else "Secret^Name"
    dataset.save_as(last)
    with pytest.raises(BadSeries, match="headers with words for numbers: 1") as caught:
        read_series(ct_folder)
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("Rows", [32, 32]), ("InstanceNumber", "inf"), ("EchoTime", ["1", "2"]),
        ("NumberOfFrames", "ab"), ("NumberOfFrames", ["1", "1"]), ("ImagePositionPatient", "nan"),
    ],
)  # fmt: skip
def test_a_slice_with_other_numbers_than_it_should_have_is_refused(ct_folder, tag, value):
    last = sorted(ct_folder.iterdir())[-1]
    dataset = pydicom.dcmread(last)
    dataset[tag] = DataElement(tag, dictionary_VR(tag), 1)
    dataset[tag]._value = 3 * ["nan"] if value == "nan" else value
    dataset.save_as(last)
    with pytest.raises(BadSeries, match="headers with words for numbers: 1"):
        read_series(ct_folder)


def test_whatever_bytes_of_a_header_change_it_is_read_or_refused_in_silence(ct_folder):
    """Up to four bytes each time, at any place before the pixels."""
    for file in sorted(ct_folder.iterdir())[4:]:
        file.unlink()
    file = min(ct_folder.iterdir())
    whole = file.read_bytes()
    random, end, refused = np.random.default_rng(7), whole.index(b"\xe0\x7f\x10\x00"), 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(300):
            changed = bytearray(whole)
            for place in random.integers(128, end, random.integers(1, 5)):
                changed[place] = random.integers(256)
            file.write_bytes(changed)
            found = census(ct_folder)
            others = (found.num_stray, found.num_multiframe, found.num_cut, found.num_unread)
            assert len(found.slices) + sum(others) == 4
            try:
                read_series(ct_folder)
            except BadSeries:
                refused += 1
    assert 0 < refused < 300


def test_a_dicom_without_a_transfer_syntax_is_refused(ct_folder):
    for file in ct_folder.iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.file_meta.TransferSyntaxUID
        dataset.save_as(file, enforce_file_format=False)
    with pytest.raises(BadSeries, match=r"dicom2nifti refuses it \(.*TransferSyntaxUID"):
        read_series(ct_folder)


@pytest.mark.parametrize("tag", ["RepetitionTime", "EchoTime"])
def test_an_mr_with_an_empty_time_reads_as_any_other(written, tmp_path, tag):
    folder = Path(shutil.copytree(next(written.glob("PHANTOM/*/*/2.*")), tmp_path / "mr"))
    whole = read_series(folder)
    edit_all(folder, lambda dataset: setattr(dataset, tag, None))
    assert np.array_equal(read_series(folder).array, whole.array)


def test_an_empty_count_of_samples_is_refused(ct_folder):
    edit_all(ct_folder, lambda dataset: setattr(dataset, "SamplesPerPixel", None))
    with pytest.raises(BadSeries, match="dicom2nifti refuses it"):
        read_series(ct_folder)


def test_a_library_that_quotes_a_header_is_not_quoted(ct_folder):
    edit_all(ct_folder, lambda one: setattr(one, "PhotometricInterpretation", "SECRET MRN12345"))
    with pytest.raises(BadSeries, match=r"refuses it \(PhotometricInterpretation\)") as caught:
        read_series(ct_folder)
    assert not re.search("SECRET|MRN12345", str(caught.value))


def test_a_bad_dicom_refuses_its_case_alone(ct_folder, written, tmp_path):
    edit_all(ct_folder, drop_bits)
    mr = next(written.glob("PHANTOM/*/*/2.*"))
    assert refused(tmp_path, mr, ct_folder, "dicom").startswith("CT: dicom2nifti refuses it")


def test_a_torn_download_is_refused(pair, tmp_path):
    whole = gzip.decompress((pair / "mr.nii.gz").read_bytes())
    (tmp_path / "mr.nii").write_bytes(whole[: len(whole) // 2])
    reason = refused(tmp_path, tmp_path / "mr.nii", pair / "ct.nii.gz")
    assert reason.startswith("MR: cannot be read as NIfTI (Expected ")
