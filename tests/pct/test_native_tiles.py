"""Prediction as the thesis does it, in tiles at the image's own scale; and what becomes of air."""

import numpy as np
import pytest
import torch

from data_prep.masks import head_from_mr
from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from data_prep.volume import Grid, Volume, to_ras
from pct.model import predicting
from pct.prediction.volume import predict_volume, prepare, run_generator
from tests.pct.identity import Returns, air, identity, model_that

GRID = SliceGrid("resize", 32, 8.0, 12.0)


@pytest.fixture(scope="module")
def mr() -> Volume:
    return make_head(3, size=64, num_slices=16, spacing_mm=(4.0, 4.0, 12.0)).mr


def blended(answer, image: np.ndarray, *, tile: int) -> np.ndarray:
    """Tiles at a quarter of their size, Gaussian weights, in a plain loop; edges get a tile too."""
    step, (height, width) = tile // 4, image.shape
    starts = [sorted({*range(0, n - tile, step), n - tile}) for n in (height, width)]
    near = np.exp(-0.5 * ((np.arange(tile) - (tile - 1) / 2) / (0.125 * tile)) ** 2)
    weight = np.maximum(np.outer(near, near), 1e-3)
    total, weights = np.zeros((height, width)), np.zeros((height, width))
    for y in starts[0]:
        for x in starts[1]:
            box = np.s_[y : y + tile, x : x + tile]
            out = answer(torch.from_numpy(image[box].astype(np.float32))[None, None])
            total[box] += weight * out[0, 0].numpy()
            weights[box] += weight
    return total / weights


@pytest.mark.parametrize("size", [(64, 64), (48, 40), (35, 32)])
def test_tiles_are_blended_by_a_gaussian_at_75_percent_overlap(size):
    def of_its_tile(slices: torch.Tensor) -> torch.Tensor:
        return torch.tanh(slices - slices.mean(dim=(1, 2, 3), keepdim=True))

    image = np.random.default_rng(0).uniform(-1, 1, (*size, 3)).astype(np.float32)
    found = run_generator(Returns(of_its_tile), image.transpose(1, 0, 2), tile=32)
    for k in range(3):
        expected = blended(of_its_tile, image[..., k], tile=32)
        np.testing.assert_allclose(found[..., k].T, expected, atol=5e-3)


def test_a_slice_of_the_tiles_size_passes_whole_and_once():
    shapes = []

    def remember(slices: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(slices.shape))
        return slices

    run_generator(Returns(remember), np.zeros((32, 32, 20), np.float32), tile=32)
    assert shapes == [(4, 1, 32, 32)] * 5


def test_tiles_of_several_slices_share_a_forward_pass():
    shapes = []

    def remember(slices: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(slices.shape))
        return slices

    run_generator(Returns(remember), np.zeros((64, 64, 2), np.float32), tile=32)
    assert shapes == [(4, 1, 32, 32)] * 12 + [(2, 1, 32, 32)]  # 5 x 5 tiles a slice


def test_a_slice_smaller_than_a_tile_is_set_in_air():
    seen = []

    def remember(slices: torch.Tensor) -> torch.Tensor:
        seen.append(slices.clone())
        return slices

    found = run_generator(Returns(remember), np.full((20, 12, 1), 0.5, np.float32), tile=32)
    np.testing.assert_allclose(found, 0.5, atol=1e-6)
    assert (seen[0] == 0.5).sum() == 20 * 12
    assert (seen[0] == -1).sum() == 32 * 32 - 20 * 12


def test_native_tiles_see_the_mrs_own_pixels_and_training_geometry_those_of_training(mr):
    native = model_that(identity, grid=GRID, geometry="native_tiles")
    prepared = prepare(native, mr)
    assert prepared.grid.shape == mr.array.shape
    np.testing.assert_allclose(prepared.grid.affine, mr.affine)
    head = head_from_mr(mr).array
    pct = predict_volume(native, mr)
    low, high = prepared.window
    expected = np.clip((mr.array - low) / (high - low), 0, 1) * 4000 - 1000
    np.testing.assert_allclose(pct.array[head], expected[head], atol=1)
    trained = predict_volume(predicting(native, geometry="train"), mr)
    assert np.abs(trained.array[head] - expected[head]).mean() > 50, "8 mm pixels blur"
    assert predicting(native).run == native.run


def test_native_tiles_onto_a_ct_see_the_cts_pixels(mr):
    affine = np.diag([2.5, 2.5, 9.0, 1.0])
    affine[:3, 3] = [-100, -100, -80]
    ct = Grid((80, 84, 18), affine)
    model = model_that(identity, grid=GRID, geometry="native_tiles")
    prepared = prepare(model, mr, onto=ct)
    assert prepared.grid.shape == ct.shape
    np.testing.assert_allclose(prepared.grid.affine, ct.affine)
    assert predict_volume(model, mr, onto=ct).array.shape == ct.shape


@pytest.mark.parametrize("geometry", ["train", "native_tiles"])
def test_beyond_the_mr_there_is_air_whatever_the_generator_makes_of_it(mr, geometry):
    grid = SliceGrid("resize", 100, 4.0, 12.0)  # wider than the MR, wherever its head is
    model = model_that(lambda slices: slices * 0 + 0.5, grid=grid, geometry=geometry)
    wide = mr.affine.copy()
    wide[:3, 3] -= wide[:3, :3] @ [5, 5, 2]
    i, j, k = mr.array.shape
    pct = predict_volume(model, mr, onto=Grid((i + 10, j + 10, k + 4), wide)).array
    inside = pct[5:-5, 5:-5, 2:-2]
    assert inside.size == mr.array.size
    assert (inside == 2000).all()
    assert (pct == 2000).sum() == inside.size
    assert (pct == -1000).sum() == pct.size - inside.size


def test_background_is_as_predicted_or_air_beyond_5_mm_of_the_head(mr):
    grid = SliceGrid("resize", 100, 4.0, 12.0)
    model = model_that(lambda slices: slices * 0 + 0.5, grid=grid)
    assert (predict_volume(model, mr).array == 2000).all()
    clean = predict_volume(predicting(model, background="air"), mr).array
    head = head_from_mr(to_ras(mr)).array
    assert (clean[head] == 2000).all()
    near = head.copy()  # 5 mm are a voxel of 4 mm in-plane, and no slice of 12 mm
    for shift in [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)]:
        near |= np.roll(head, shift, (0, 1))
    np.testing.assert_array_equal(clean == -1000, ~near)


def test_progress_is_told_in_slices_up_to_the_last(mr):
    told = []
    grid = SliceGrid("resize", 32, 8.0, 4.0)
    predict_volume(
        model_that(air, grid=grid), mr, on_slices=lambda done, total: told.append((done, total))
    )
    assert told == [(16, 46), (32, 46), (46, 46)]
