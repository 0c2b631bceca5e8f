"""DICOM series as clinics export them: thinned out, cut short, compressed, without a rescale."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless, RLELossless

from data_prep.dicom import BadSeries, census, check, read_series
from data_prep.phantom_dicom import write_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = tmp_path_factory.mktemp("faults")
    return write_cohort(root / "cohort", num_cases=1, size=32, num_slices=12).parent


@pytest.fixture(params=["CT", "MR"])
def folder(request, cohort, tmp_path):
    return copy_of(cohort, request.param, tmp_path)


@pytest.fixture
def ct_folder(cohort, tmp_path):
    return copy_of(cohort, "CT", tmp_path)


def copy_of(cohort, modality, to):
    number = {"CT": 1, "MR": 2}[modality]
    source = next(cohort.glob(f"PHANTOM/PHANTOM-000/*/{number}.*"))
    return Path(shutil.copytree(source, to / modality))


def edit_all(folder, change):
    for file in sorted(folder.iterdir()):
        dataset = pydicom.dcmread(file)
        change(dataset)
        dataset.save_as(file)


def thin(folder):
    for file in sorted(folder.iterdir())[1::2]:
        file.unlink()


def refusal(folder):
    with pytest.raises(BadSeries) as caught:
        read_series(folder)
    return "; ".join(caught.value.reasons)


def test_every_second_slice_missing_is_told_by_the_instance_numbers(folder):
    thin(folder)
    assert "1 of every 2 slices is there: instance numbers step by 2, gaps are " in refusal(folder)


def test_a_ct_of_thick_overlapping_slices_may_not_lack_every_second_one(ct_folder):
    edit_all(ct_folder, lambda dataset: setattr(dataset, "SliceThickness", "40"))
    check(census(ct_folder))
    thin(ct_folder)
    assert "gaps are 32.00 mm at a thickness of 40.00 mm" in refusal(ct_folder)


@pytest.mark.parametrize(("step", "gap_mm"), [(1, 6.5), (1, 12.0), (2, 6.5), (-1, 6.5)])
def test_an_mr_with_the_usual_gaps_passes(cohort, tmp_path, step, gap_mm):
    folder = copy_of(cohort, "MR", tmp_path)

    def space(dataset):
        index = dataset.InstanceNumber
        dataset.InstanceNumber = 100 + step * index
        dataset.SliceThickness = "5"
        across = np.cross(dataset.ImageOrientationPatient[:3], dataset.ImageOrientationPatient[3:])
        dataset.ImagePositionPatient = [f"{x:.6f}" for x in across * gap_mm * index]

    edit_all(folder, space)
    assert read_series(folder).array.shape == (32, 32, 12)


def test_reversed_instance_numbers_change_nothing(cohort, folder):
    straight = read_series(folder)
    edit_all(folder, lambda d: setattr(d, "InstanceNumber", 13 - d.InstanceNumber))
    turned = read_series(folder)
    assert np.array_equal(turned.array, straight.array)
    assert np.array_equal(turned.affine, straight.affine)


@pytest.mark.parametrize("number", ["01", "06", "12"])
@pytest.mark.parametrize("length", [140, 300, 700, -2100, -1500, -500])
def test_a_file_cut_anywhere_never_gives_a_volume(ct_folder, number, length):
    file = ct_folder / f"1-{number}.dcm"
    file.write_bytes(file.read_bytes()[:length])
    words = refusal(ct_folder)
    assert ("files cut short before their pixels: 1" in words) == (length > 0)
    assert str(ct_folder) not in words


def test_a_ct_without_its_rescale_is_no_hu(ct_folder):
    file = ct_folder / "1-05.dcm"
    dataset = pydicom.dcmread(file)
    del dataset.RescaleSlope
    dataset.save_as(file)
    assert refusal(ct_folder) == (
        "1 of 12 slices with no RescaleSlope or RescaleIntercept, so without HU"
    )


@pytest.mark.parametrize("slope", ["NaN", "inf", "0"])
def test_a_rescale_that_is_no_number_is_refused(ct_folder, slope):
    file = ct_folder / "1-05.dcm"
    with pydicom.config.disable_value_validation():
        dataset = pydicom.dcmread(file)
        dataset.RescaleSlope = slope
        dataset.save_as(file)
    assert refusal(ct_folder) == "1 of 12 slices with a rescale that is 0 or no number"


def test_rle_compressed_pixels_are_decoded(folder):
    straight = read_series(folder)
    edit_all(folder, lambda dataset: dataset.compress(RLELossless))
    assert {item.syntax for item in census(folder).slices} == {RLELossless}
    assert np.array_equal(read_series(folder).array, straight.array)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_what_gdcm_compresses_without_loss_is_decoded(folder, tmp_path, syntax):
    gdcm = pytest.importorskip("gdcm")
    kinds = {JPEGLSLossless: "JPEGLSLossless", JPEG2000Lossless: "JPEG2000Lossless"}
    straight = read_series(folder)
    for file in folder.iterdir():
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), None
        reader.SetFileName(str(file))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kinds[syntax])))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(file))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
    assert {item.syntax for item in census(folder).slices} == {syntax}
    assert np.array_equal(read_series(folder).array, straight.array)


def test_a_syntax_that_nothing_decodes_is_named_with_its_package(ct_folder, monkeypatch):
    class Missing:
        is_available = False
        missing_dependencies = ("pylibjpeg - requires pylibjpeg>=2.0 and pylibjpeg-openjpeg>=2.0",)

    monkeypatch.setattr("data_prep.dicom_faults.get_decoder", lambda syntax: Missing)
    edit_all(ct_folder, lambda dataset: dataset.compress(RLELossless))
    edit_all(ct_folder, lambda d: setattr(d.file_meta, "TransferSyntaxUID", HTJ2KLossless))
    assert "pixels stored as High-Throughput JPEG 2000" in refusal(ct_folder)
    assert "pylibjpeg - requires pylibjpeg>=2.0 and pylibjpeg-openjpeg>=2.0" in refusal(ct_folder)


@pytest.mark.parametrize(
    "tag", ["PixelSpacing", "Rows", "ImageOrientationPatient", "ImagePositionPatient"]
)
def test_a_tag_that_every_slice_lacks_is_named(folder, tag):
    edit_all(folder, lambda dataset: delattr(dataset, tag))
    assert refusal(folder).endswith(f"among 12 other files: no {tag} in their headers")


def test_only_a_tilted_series_is_told_to_be_straightened(ct_folder):
    tilted = BadSeries(ct_folder, ["gantry tilt 14.0 degrees"])
    assert "straighten a tilted one with dcm2niix" in str(tilted)
    thin(ct_folder)
    with pytest.raises(BadSeries) as caught:
        read_series(ct_folder)
    assert str(caught.value).endswith("series of CT or MR. Export it anew.")
