"""From any MR to a pseudo-CT on its own grid: nothing is moved, mirrored or turned."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from data_prep.errors import PctError
from data_prep.intensity import mr_window
from data_prep.masks import head_from_mr
from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from data_prep.volume import Grid, Volume, resample, to_ras
from pct.prediction.volume import (
    BadMr,
    BrokenOutput,
    HeadElsewhere,
    predict_volume,
    prepare,
    run_generator,
)
from tests.pct.identity import air, identity, model_that

GRID = SliceGrid("resize", 64, 4.0, 12.0)


@pytest.fixture(scope="module")
def mr() -> Volume:
    """A head whose voxels differ little from their neighbours, so interpolation does no harm."""
    volume = make_head(3, size=64, num_slices=16, spacing_mm=(4.0, 4.0, 12.0)).mr
    return volume.with_array(ndimage.gaussian_filter(volume.array, (2.0, 2.0, 0.7)))


def turned(affine: np.ndarray, degrees: float) -> np.ndarray:
    """The same voxels in a patient turned about the x axis."""
    angle = np.deg2rad(degrees)
    rotation = np.eye(4)
    rotation[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return rotation @ affine


def as_stored(mr: Volume, how: str) -> Volume:
    """The same head in the same place, stored in another way."""
    array, affine = mr.array, mr.affine
    if how == "flipped":
        flip = np.diag([-1.0, -1.0, 1.0, 1.0])
        flip[:2, 3] = np.array(array.shape[:2]) - 1
        return Volume(np.ascontiguousarray(array[::-1, ::-1]), affine @ flip)
    if how == "sagittal":
        order = [1, 2, 0]
        swap = np.zeros((4, 4))
        swap[order, range(3)] = swap[3, 3] = 1
        return Volume(np.ascontiguousarray(array.transpose(order)), affine @ swap)
    if how == "oblique":
        return Volume(array, turned(affine, 12.0))
    if how == "finer":
        fine = affine.copy()
        fine[:3, :3] /= 2
        return resample(
            mr,
            Grid((2 * array.shape[0], 2 * array.shape[1], 2 * array.shape[2]), fine),
            fill=float(array.min()),
        )
    return mr


def errors(pct: Volume, mr: Volume) -> tuple[float, list[float]]:
    """Mean |pct - mr| in the head in HU, as stored and with either image mirrored along an axis."""
    head = ndimage.binary_erosion(head_from_mr(to_ras(mr)).array, iterations=2)
    truth, found = to_ras(mr), to_ras(pct)
    low, high = mr_window(truth.array, head_from_mr(truth).array)
    expected = np.clip((truth.array - low) / (high - low), 0, 1) * 4000 - 1000

    def mean_error(array: np.ndarray) -> float:
        return float(np.abs(array - expected)[head].mean())

    return mean_error(found.array), [mean_error(np.flip(found.array, axis)) for axis in range(3)]


@pytest.mark.parametrize("how", ["axial", "flipped", "sagittal", "oblique", "finer"])
def test_a_generator_that_returns_its_input_gives_the_mr_back_in_place(mr, how):
    stored = as_stored(mr, how)
    # A tilted volume is resampled twice: slices as far apart as 12 mm would blur it.
    grid = SliceGrid("resize", 64, 4.0, 6.0) if how == "oblique" else GRID
    pct = predict_volume(model_that(identity, grid=grid), stored)
    assert pct.array.shape == stored.array.shape
    assert pct.array.dtype == np.int16
    np.testing.assert_array_equal(pct.affine, stored.affine)
    error, mirrored = errors(pct, stored)
    assert error < 75, "of a range of 4000 HU"
    assert min(mirrored) > 3 * error


def test_a_point_in_the_mr_stays_where_it_is(mr):
    marked = mr.array.copy()
    marked[20:26, 36:42, 9] = mr.array.max() * 1.5  # more than the thousandth that is clipped
    for how in ("axial", "flipped", "sagittal", "oblique"):
        stored = as_stored(mr.with_array(marked), how)
        pct = predict_volume(model_that(identity, grid=GRID), stored)
        brightest = np.array(np.nonzero(pct.array > 0.9 * pct.array.max())).mean(axis=1)
        place = stored.affine[:3, :3] @ brightest + stored.affine[:3, 3]
        expected = (turned(mr.affine, 12.0) if how == "oblique" else mr.affine) @ [22.5, 38.5, 9, 1]
        assert np.linalg.norm(place - expected[:3]) < 3, how


def test_the_generator_sees_slices_as_in_training_y_to_anterior_and_x_to_the_right(mr):
    seen = []

    def remember(slices: torch.Tensor) -> torch.Tensor:
        seen.append(slices)
        return slices

    model = model_that(remember, grid=GRID)
    volumes = []
    for how in ("axial", "flipped", "sagittal"):
        seen.clear()
        predict_volume(model, as_stored(mr, how))
        volumes.append(torch.cat(seen))
    first, *others = volumes
    for other in others:
        torch.testing.assert_close(other, first, atol=1e-4, rtol=0)
    prepared = prepare(model, mr)
    unit = prepared.unit(prepared.grid)
    assert torch.equal(first[:, 0], torch.from_numpy(unit.transpose(2, 1, 0)))


def test_the_network_grid_is_the_training_grid_whatever_the_mrs_spacing(mr):
    for how in ("axial", "finer", "sagittal", "oblique"):
        prepared = prepare(
            model_that(identity, grid=SliceGrid("resize", 48, 5.0, 9.0)), as_stored(mr, how)
        )
        assert prepared.grid.spacing_mm == pytest.approx((5.0, 5.0, 9.0))
        unit = prepared.unit(prepared.grid)
        assert unit.shape[:2] == (48, 48)
        assert np.abs(unit).max() <= 1


def test_beyond_the_field_of_view_of_the_model_there_is_air(mr):
    small = SliceGrid("crop", 16, 4.0, 12.0)
    pct = predict_volume(model_that(lambda slices: slices * 0 + 0.5, grid=small), mr)
    assert set(np.unique(pct.array)) >= {-1000, 2000}
    assert (pct.array == 2000).sum() <= 16 * 16 * 16
    assert pct.array[0, 0, 0] == -1000


def test_a_prediction_can_be_laid_on_another_grid(mr):
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[:3, 3] = -40
    onto = Grid((16, 17, 18), affine)
    pct = predict_volume(model_that(air, grid=GRID), mr, onto=onto)
    assert pct.array.shape == (16, 17, 18)
    np.testing.assert_array_equal(pct.affine, affine)
    assert np.unique(pct.array).tolist() == [-1000]


def test_the_window_is_that_of_the_head_or_of_the_whole_volume_as_trained(mr):
    by_head = prepare(model_that(identity, grid=GRID), mr)
    by_volume = prepare(
        model_that(identity, grid=GRID, data={"mr_window": "volume", "size": 32}), mr
    )
    head = head_from_mr(mr).array
    for prepared, where in ((by_head, head), (by_volume, np.ones_like(head))):
        low, high = mr_window(mr.array, where)
        at = resample(mr, prepared.grid, fill=float(mr.array.min()), antialias=True).array
        expected = np.clip((at - low) * 2 / (high - low) - 1, -1, 1)
        np.testing.assert_allclose(prepared.unit(prepared.grid), expected, atol=1e-5)
    assert by_head.window != by_volume.window


def test_a_gain_of_the_scanner_changes_nothing(mr):
    model = model_that(identity, grid=GRID)
    louder = predict_volume(model, mr.with_array(mr.array * 3))
    assert np.abs(louder.array - predict_volume(model, mr).array).max() <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_mr_with_holes_is_refused_with_their_number(mr, value):
    array = mr.array.copy()
    array[3, 4, 5:8] = value
    with pytest.raises(BadMr, match=r"the MR holds 3 voxels that are NaN or infinite. Repair or"):
        predict_volume(model_that(identity, grid=GRID), mr.with_array(array))


def test_a_constant_mr_is_refused(mr):
    with pytest.raises(PctError, match=r"the MR is constant"):
        predict_volume(model_that(identity, grid=GRID), mr.with_array(np.full_like(mr.array, 7)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_generator_that_gives_no_numbers_is_refused_with_its_slices(mr, value):
    seen = []

    def breaks(slices: torch.Tensor) -> torch.Tensor:
        out = slices.clone()
        for number in range(len(slices)):
            seen.append(number)
            if len(seen) in (6, 9):
                out[number, 0, 20, 30:32] = value
        return out

    expected = r"model exp1@6: .* NaN or infinite values in slice 6, 9 of \d+; .*another model"
    with pytest.raises(BrokenOutput, match=expected):
        predict_volume(model_that(breaks, grid=GRID), mr)


def test_a_grid_that_holds_nothing_of_the_head_is_refused_before_any_slice_is_predicted(mr):
    def never(slices: torch.Tensor) -> torch.Tensor:
        raise AssertionError

    affine = mr.affine.copy()
    affine[0, 3] += 1000.0
    with pytest.raises(HeadElsewhere, match=r"none of the MR's head lies on the grid of 16x17x18"):
        predict_volume(model_that(never, grid=GRID), mr, onto=Grid((16, 17, 18), affine))


@pytest.mark.parametrize("tile", [64, 48])
def test_slices_are_predicted_alike_in_any_number_of_chunks(monkeypatch, mr, tile):
    model = model_that(lambda slices: slices * 0.5, grid=GRID)
    prepared = prepare(model, mr)
    unit = prepared.unit(prepared.grid)
    whole = run_generator(model.generator, unit, tile=tile)
    monkeypatch.setattr("pct.prediction.volume.CHUNK", 3)
    again = run_generator(model.generator, unit, tile=tile)
    np.testing.assert_allclose(again, whole, atol=1e-6)
    np.testing.assert_allclose(whole, unit * 0.5, atol=1e-6)


@pytest.mark.parametrize("slice_mm", [12.0, 5.0, 7.0, 9.5])
def test_end_slices_are_not_mixed_with_air_whatever_the_slice_distance(mr, slice_mm):
    flat = mr.with_array(
        np.where(np.arange(mr.array.shape[0])[:, None, None] > 20, 900.0, 0.0)
        * np.ones_like(mr.array)
    )
    grid = SliceGrid("resize", 64, 4.0, slice_mm)
    pct = predict_volume(model_that(identity, grid=grid, data={"mr_window": "volume"}), flat)
    middle = pct.array[:, :, pct.array.shape[2] // 2]
    for end in (0, -1):
        np.testing.assert_allclose(pct.array[:, :, end], middle, atol=1)
