"""Pseudo-CTs that another program made: found, checked, laid on the CT's grid, scored."""

import numpy as np
import pytest
import SimpleITK

from data_prep.shards import list_cases, read_volumes
from data_prep.volume import Grid, Volume, resample, save_nifti
from pct.metrics.case import METRICS
from pct.scoring.cohort import GIVEN
from pct.scoring.pseudo_cts import BadPseudoCt, NoPseudoCts, entrant_of, find_pseudo_cts, lay
from pct.scoring.score import score_case
from pct.scoring.score_files import score_files, score_pct
from tests.pct.identity import air, model_that
from tests.pct.test_score import GRID

CASES = ["a", "b"]


@pytest.fixture(scope="module")
def case(phantom_data):
    return read_volumes(phantom_data, list_cases(phantom_data, "val")[0])


@pytest.fixture
def two_cases(phantom_data, monkeypatch):
    """The validation and the test case of the phantoms as one split."""
    both = [*list_cases(phantom_data, "val"), *list_cases(phantom_data, "test")]
    monkeypatch.setattr("pct.scoring.score_files.list_cases", lambda data, split: both)
    return both


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())


def save_mha(volume, path):
    image = SimpleITK.GetImageFromArray(volume.array.T)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    SimpleITK.WriteImage(image, str(path))


def test_files_are_found_by_case_in_either_layout(tmp_path):
    touch(tmp_path, "a.nii.gz", "b/pct.mha", "notes.txt", "c.nii", "b/ct.nii.gz")
    found = find_pseudo_cts(tmp_path, CASES, known=["a", "b", "c"])
    assert found.files == {"a": tmp_path / "a.nii.gz", "b": tmp_path / "b" / "pct.mha"}
    assert (found.missing, found.extra) == ((), ()), "c is a case of another split"


def test_missing_and_surplus_cases_are_named(tmp_path):
    touch(tmp_path, "a.nii.gz", "bb.nii.gz")
    found = find_pseudo_cts(tmp_path, CASES, known=CASES)
    assert (found.missing, found.extra) == (("b",), ("bb",))


def test_a_folder_without_any_case_or_with_two_files_for_one_is_refused(tmp_path):
    with pytest.raises(NoPseudoCts, match="no such folder"):
        find_pseudo_cts(tmp_path / "absent", CASES, known=CASES)
    touch(tmp_path, "x.nii.gz")
    with pytest.raises(NoPseudoCts, match="no pseudo-CT of a, b, but files named x"):
        find_pseudo_cts(tmp_path, CASES, known=CASES)
    touch(tmp_path, "a.nii.gz", "a/pct.nii.gz")
    with pytest.raises(BadPseudoCt, match=r"case a has two pseudo-CTs, .* Keep one"):
        find_pseudo_cts(tmp_path, CASES, known=CASES)


def test_other_files_are_another_entrant(tmp_path):
    touch(tmp_path, "a.nii.gz", "b.nii.gz")
    files = find_pseudo_cts(tmp_path, CASES, known=CASES).files
    before = entrant_of("nnsyn", files)
    assert entrant_of("nnsyn", dict(reversed(files.items()))) == before
    (tmp_path / "b.nii.gz").write_bytes(b"changed")
    assert entrant_of("nnsyn", files).digest != before.digest


@pytest.mark.parametrize("ending", [".nii.gz", ".mha"])
def test_the_ct_itself_has_no_error_and_is_not_resampled(tmp_path, case, ending):
    path = tmp_path / f"pct{ending}"
    (save_mha if ending == ".mha" else save_nifti)(case.ct, path)
    laid = lay(path, case)
    assert (laid.resampled, laid.covered) == (False, 1.0)
    values = score_pct(laid.pct, case)
    assert values["mae_head"] == 0
    assert values["dice_hu250"] == 1


def test_another_orientation_is_the_same_image(tmp_path, case):
    turned = Volume(case.ct.array[::-1, :, ::-1].transpose(1, 0, 2), flipped(case.ct))
    save_nifti(turned, tmp_path / "pct.nii.gz")
    laid = lay(tmp_path / "pct.nii.gz", case)
    assert not laid.resampled
    np.testing.assert_array_equal(laid.pct.array, case.ct.array.clip(-1024, 3071))


def flipped(volume):
    last_i, _, last_k = np.array(volume.array.shape) - 1
    index = np.array([[0, -1, 0, last_i], [1, 0, 0, 0], [0, 0, -1, last_k], [0, 0, 0, 1.0]])
    return volume.affine @ index


def test_another_grid_is_resampled_and_a_part_of_the_head_is_told(tmp_path, case):
    affine = case.ct.affine.copy()
    affine[:3, :3] *= 0.5
    fine = resample(case.ct, Grid(tuple(2 * n for n in case.ct.array.shape), affine), fill=-1000)
    save_nifti(fine, tmp_path / "fine.nii.gz")
    laid = lay(tmp_path / "fine.nii.gz", case)
    assert laid.resampled
    assert score_pct(laid.pct, case)["mae_head"] < 1
    slices = case.ct.array.shape[2]
    save_nifti(case.ct.with_array(case.ct.array[:, :, : slices // 2]), tmp_path / "half.nii.gz")
    half = lay(tmp_path / "half.nii.gz", case)
    head = case.head.array
    assert half.covered == pytest.approx(head[:, :, : slices // 2].sum() / head.sum())
    assert half.pct.array[:, :, slices // 2 :].max() == -1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda hu: hu / 2000, "are not HU. Scale them back"),
        (lambda hu: hu + 1024, "its lowest value is 24, in HU air is -1000. Subtract the offset"),
        (lambda hu: np.where(hu > 500, np.nan, hu), r"holds \d+ voxels that are NaN or infinite"),
    ],
)
def test_what_is_not_in_hu_is_refused_with_its_values(tmp_path, case, change, message):
    values = change(case.ct.array.clip(-1000, 2000).astype(np.float32))
    save_nifti(case.ct.with_array(values), tmp_path / "pct.nii.gz")
    with pytest.raises(BadPseudoCt, match=message):
        lay(tmp_path / "pct.nii.gz", case)


def test_an_image_that_lies_elsewhere_is_refused_with_both_extents(tmp_path, case):
    affine = case.ct.affine.copy()
    affine[0, 3] += 5000
    save_nifti(Volume(case.ct.array, affine), tmp_path / "pct.nii.gz")
    with pytest.raises(BadPseudoCt, match=r"nothing but air where the head of head-\d is: it lies"):
        lay(tmp_path / "pct.nii.gz", case)


def test_our_own_prediction_saved_and_given_back_scores_the_same(tmp_path, case):
    from pct.prediction.volume import predict_volume

    model = model_that(lambda mr: mr, grid=GRID)
    save_nifti(predict_volume(model, case.mr, onto=case.ct.grid), tmp_path / "pct.nii.gz")
    assert score_pct(lay(tmp_path / "pct.nii.gz", case).pct, case) == score_case(model, case)


def test_a_case_without_a_usable_file_is_counted_with_its_reason(tmp_path, phantom_data, two_cases):
    first, second = two_cases
    save_nifti(read_volumes(phantom_data, first).ct, tmp_path / f"{first}.nii.gz")
    found = find_pseudo_cts(tmp_path, two_cases, known=two_cases)
    given = score_files(found, phantom_data, "val", name="nnsyn")
    values = {(s.case, s.metric): s.value for s in given.scores}
    assert values[first, "mae_head"] == 0
    assert np.isnan(values[second, "mae_head"])
    assert len(given.scores) == 2 * len({metric for _, metric in values})
    assert {s.unit for s in given.scores if s.metric == "edge_bone"} == {METRICS["edge_bone"].unit}
    assert {(s.geometry, s.background, s.trial) for s in given.scores} == {(GIVEN, GIVEN, "nnsyn")}
    assert not given.is_whole
    assert given.notes("nnsyn") == [f"nnsyn: {second}: no pseudo-CT in the folder."]


def test_if_no_case_can_be_scored_all_reasons_are_told(tmp_path, phantom_data, two_cases):
    first, second = two_cases
    (tmp_path / f"{first}.nii.gz").write_bytes(b"no image")
    found = find_pseudo_cts(tmp_path, two_cases, known=two_cases)
    with pytest.raises(NoPseudoCts, match=rf"cannot be read as NIfTI.*{second}: no pseudo-CT"):
        score_files(found, phantom_data, "val", name="nnsyn")


def test_air_everywhere_is_scored_as_our_model_of_air(case):
    nothing = case.ct.with_array(np.full_like(case.ct.array, -1000))
    expected = score_case(model_that(air, grid=GRID), case)
    assert score_pct(nothing, case) == pytest.approx(expected, rel=0, abs=0, nan_ok=True)
