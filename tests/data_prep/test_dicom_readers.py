"""What programs of others make of our series: pip's readers always, Debian's where installed."""

import shutil
import subprocess

import numpy as np
import pytest
from dicom2nifti.convert_dicom import dicom_series_to_nifti

from data_prep.dicom import census
from data_prep.dicom_ct import axial_grid_of, series_grid, write_ct
from data_prep.volume import Volume, load_nifti
from tests.data_prep.mr_series import MAKER, ORIENTATIONS, assert_same_place, pct_of, write_mr
from tests.readers import by_sitk


@pytest.fixture(params=ORIENTATIONS)
def orientation(request):
    return request.param


@pytest.fixture(params=["the MR's grid", "axial order"])
def written(request, orientation, tmp_path):
    """The folder of a series, and the pseudo-CT that was written to it."""
    series = census(write_mr(tmp_path / "mr", ORIENTATIONS[orientation]))
    grid = series_grid(series)
    pct = pct_of(series, axial_grid_of(grid) if request.param == "axial order" else grid)
    return write_ct(pct, tmp_path / "ct", like=series, maker=MAKER).folder, pct


def test_simpleitk_sees_every_voxel_where_it_was(written):
    folder, pct = written
    assert_same_place(by_sitk(folder), pct, hu=0.5)


def test_dicom2nifti_sees_every_voxel_where_it_was(written, tmp_path):
    folder, pct = written
    dicom_series_to_nifti(str(folder), str(tmp_path / "ct.nii.gz"), reorient_nifti=False)
    assert_same_place(load_nifti(tmp_path / "ct.nii.gz"), pct, hu=0.5)


def run(program, *arguments):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.debian
def test_dcm2niix_sees_every_voxel_where_it_was(written, tmp_path):
    folder, pct = written
    told = run("dcm2niix", "-z", "n", "-f", "ct", "-o", tmp_path, folder)
    warned = [line for line in told.splitlines() if "Warning" in line]
    assert [line for line in warned if "(0008,0070)" not in line] == []  # a maker it does not know
    assert_same_place(load_nifti(tmp_path / "ct.nii"), pct, hu=0.5)


@pytest.mark.debian
def test_dciodvfy_finds_no_error(written):
    for file in sorted(written[0].iterdir()):
        told = run("dciodvfy", file)
        assert "CTImage" in told
        assert "Error" not in told


@pytest.mark.debian
def test_dciodvfy_finds_no_error_where_the_mr_says_little(tmp_path):
    told_by_few = (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "StudyID", "AccessionNumber", "ReferringPhysicianName", "BodyPartExamined",
        "PositionReferenceIndicator", "SpecificCharacterSet",
    )  # fmt: skip
    series = census(write_mr(tmp_path / "mr", without=told_by_few))
    pct = Volume(np.zeros((4, 3, 2), np.int16), series_grid(series).affine)
    write_ct(pct, tmp_path / "ct", like=series, maker=MAKER)
    told = run("dciodvfy", tmp_path / "ct" / "ct-0001.dcm")
    assert "CTImage" in told
    assert "Error" not in told


@pytest.mark.debian
def test_dcentvfy_finds_mr_and_pseudo_ct_of_one_patient_and_study(written):
    folder, _ = written
    mr = folder.with_name("mr")
    assert run("dcentvfy", *sorted(folder.iterdir()), *sorted(mr.iterdir())) == ""
