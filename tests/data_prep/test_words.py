"""Messages count and compare as a person would."""

import shutil
from dataclasses import replace

import pytest

from data_prep import one_case
from data_prep.dicom import census, convert, describe, series_lines
from data_prep.fingerprint import fingerprint, lines
from data_prep.offset import Offset
from data_prep.phantom_dicom import write_cohort
from data_prep.pipeline import prepare
from data_prep.quality import verdict
from data_prep.shards import read_manifest
from data_prep.sources import find_cases
from data_prep.volume import load_nifti, save_nifti
from data_prep.words import apart, counted
from tests.data_prep.test_quality import GOOD


def test_one_is_singular():
    assert [counted(number, "mistake") for number in (0, 1, 2)] == [
        "0 mistakes", "1 mistake", "2 mistakes"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "limit", "expected"),
    [
        (0.62, 0.9, ("0.62", "0.90")),
        (0.899, 0.9, ("0.899", "0.900")),
        (0.89999, 0.9, ("0.89999", "0.90000")),
        (0.9 - 1e-12, 0.9, ("0.900000", "0.900000")),
    ],
)
def test_two_numbers_get_as_many_digits_as_tell_them_apart(value, limit, expected):
    assert apart(value, limit, places=2) == expected


def test_shares_are_told_apart_in_per_cent():
    assert apart(0.5, 0.8, "%") == ("50%", "80%")
    assert apart(0.7996, 0.8, "%") == ("79.96%", "80.00%")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"head_dice": 0.899}, "a Dice of 0.899, expected 0.900;"),
        ({"head_dice": 0.6}, "a Dice of 0.60, expected 0.90;"),
        ({"head_in_mr": 0.797}, "field of view, expected 80.0%"),
        ({"head_in_mr": 0.5}, "expected 80%; a slab that shows part of the head, a wrong pair, or"),
        ({"offset": Offset((1.52, 0.0, 0.0), 0.1)}, "MR lies 1.52 mm (+1.5, +0.0, +0.0"),
        ({"offset": Offset((1.52, 0.0, 0.0), 0.1)}, "expected at most 1.50 mm and 2 degrees"),
        ({"dense_outside": 0.101}, "above 2500 HU, expected 10.0% at most"),
    ],
)  # fmt: skip
def test_a_value_never_reads_like_the_limit_it_misses(changed, told):
    assert told in verdict(replace(GOOD, **changed)).reason


def test_a_series_is_described_without_the_marks_of_a_program(tmp_path):
    cohort = write_cohort(tmp_path / "c", num_cases=1, size=32, num_slices=12).parent
    series = census(next(cohort.glob("PHANTOM/*/*/1.*")))
    told = series_lines(describe(series, convert(series)))
    assert "shape          32 x 32 x 12" in told
    assert "spacing        8 x 8 x 16 mm" in told
    (percentiles,) = [line for line in told if line.startswith("percentiles")]
    assert percentiles.startswith("percentiles    p0 -10")
    assert percentiles.endswith(" HU")
    assert not [line for line in told if set("{}[]'") & set(line)]


def test_the_fingerprint_says_that_test_patients_have_no_slices(made):
    counts = read_manifest(made).num_slices
    told = lines(fingerprint(made))
    expected = f"train {counts['train']}, val {counts['val']}; test patients stay whole volumes"
    assert f"slices         {expected}" in told


def test_a_picture_says_refused_but_never_taken_for_a_twin_may_turn_up(
    own_collection, config, tmp_path, monkeypatch
):
    shutil.copytree(own_collection / "Secret-3", own_collection / "A-Twin")
    volume = load_nifti(own_collection / "Secret-0" / "mr.nii.gz")
    save_nifti(volume.with_array(volume.array[::-1]), own_collection / "Secret-0" / "mr.nii.gz")
    titles = []
    monkeypatch.setattr(one_case, "contact_sheet", lambda *_, title, path: write(path, title))

    def write(path, title):
        titles.append(title)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(title)

    prepare(find_cases("synthrad", own_collection), tmp_path / "d", config)
    assert sorted(titles) == ["A-Twin", "Secret-0: refused", "Secret-1", "Secret-2", "Secret-3"]
