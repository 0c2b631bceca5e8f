"""Which grid the generator sees: axial in the patient, whatever the scanner did."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.schema import SliceGrid
from data_prep.volume import Grid, Volume, from_ras, ras_grid, resample, to_ras
from pct.geometry import axial_grid, network_grid
from pct.parts import grid_slabs, part_for

TRAINED = SliceGrid("resize", 32, 8.0, 5.0)


def tilted(degrees: float, *, shape=(20, 24, 10), step=(1.0, 1.0, 4.0)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xz", [degrees, degrees / 2], degrees=True).as_matrix()
    affine[:3, :3] *= step
    affine[:3, 3] = [-10, 5, 30]
    return Grid(shape, affine)


def stored(grid: Grid, code: str) -> Grid:
    """The same voxels with axes in another order: L, P and I run against R, A and S."""
    axes = [{"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}[letter] for letter in code]
    permute = np.zeros((4, 4))
    permute[axes, range(3)] = permute[3, 3] = 1
    for axis, letter in enumerate(code):
        if letter in "LPI":
            permute[axes[axis], axis] = -1
            permute[axes[axis], 3] = grid.shape[axes[axis]] - 1
    i, j, k = (grid.shape[axis] for axis in axes)
    return Grid((i, j, k), grid.affine @ permute)


def same(one: Grid, other: Grid) -> None:
    assert one.shape == other.shape
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-9)


@pytest.mark.parametrize("code", ["RAS", "LPS", "PIR", "ASL", "SRA"])
def test_however_it_is_stored_an_axial_volume_with_square_pixels_keeps_its_grid(code):
    grid = tilted(0.0)
    same(axial_grid(stored(grid, code)), grid)


@pytest.mark.parametrize("code", ["RAS", "LPS", "PIR", "ASL", "SRA"])
def test_to_ras_and_back_returns_each_voxel_to_its_place(code):
    grid = stored(tilted(9.0), code)
    volume = Volume(np.arange(np.prod(grid.shape)).reshape(grid.shape), grid.affine)
    same(to_ras(volume).grid, ras_grid(grid))
    np.testing.assert_array_equal(from_ras(to_ras(volume), grid).array, volume.array)


@pytest.mark.parametrize("degrees", [-10.0, 3.0, 10.0, 30.0])
def test_the_axial_grid_of_a_tilted_volume_is_straight_and_holds_all_of_it(degrees):
    grid = tilted(degrees)
    straight = axial_grid(grid)
    np.testing.assert_allclose(straight.affine[:3, :3], np.diag([1.0, 1.0, 4.0]))
    for corner in np.ndindex(2, 2, 2):
        place = grid.affine @ [*(np.array(corner) * (np.array(grid.shape) - 1)), 1]
        at = np.linalg.inv(straight.affine) @ place
        assert (at[:3] > -0.51).all()
        assert (at[:3] < np.array(straight.shape) - 0.49).all()


def test_sagittal_slices_become_axial_with_the_finer_side_as_pixel():
    grid = Grid((30, 200, 180), np.diag([5.0, 0.9, 0.8, 1.0]))  # 5 mm from left to right
    axial = axial_grid(grid)
    assert axial.spacing_mm == pytest.approx((0.9, 0.9, 0.8))
    assert axial.shape == (163, 200, 180)  # 145 mm / 0.9 mm, both ends held


def head_on(grid: Grid) -> Volume:
    mask = np.zeros(grid.shape, bool)
    mask[4:12, 6:20, 2:9] = True
    return Volume(mask, grid.affine)


def test_training_geometry_has_trainings_pixels_and_the_slices_of_the_target_or_of_training():
    head = head_on(tilted(0.0))
    alone = network_grid("train", head, onto=None, trained=TRAINED)
    assert alone.shape == (32, 32, 9)  # 36 mm every 5 mm, both ends held
    assert alone.spacing_mm == pytest.approx((8, 8, 5))
    ct = Grid(
        (64, 64, 21), np.array([[4, 0, 0, -99], [0, 4, 0, -99], [0, 0, 3, 7], [0, 0, 0, 1.0]])
    )
    onto = network_grid("train", head, onto=ct, trained=TRAINED)
    assert onto.shape == (32, 32, 21)
    assert onto.affine[2].tolist() == [0, 0, 3, 7]
    middle = (head.affine @ [7.5, 12.5, 0, 1])[:2]
    for grid in (alone, onto):
        np.testing.assert_allclose((grid.affine @ [15.5, 15.5, 0, 1])[:2], middle)


def test_native_geometry_has_the_pixels_of_the_target_or_of_the_mr():
    head = head_on(tilted(0.0))
    same(network_grid("native_tiles", head, onto=None, trained=TRAINED), head.grid)
    ct = tilted(0.0, shape=(50, 40, 30), step=(0.5, 0.5, 2.0))
    same(network_grid("native_tiles", head, onto=ct, trained=TRAINED), ct)


@pytest.mark.parametrize("degrees", [0.0, 8.0])
@pytest.mark.parametrize("step", [(0.6, 0.6, 2.0), (3.1, 3.1, 9.0)])
@pytest.mark.parametrize("order", [0, 1])
def test_slab_by_slab_from_the_part_it_needs_is_what_resampling_at_once_gives(
    degrees, step, order, monkeypatch
):
    monkeypatch.setattr("pct.metrics.slabs.SLAB", 3)
    rng = np.random.default_rng(0)
    source = tilted(degrees, shape=(40, 44, 30), step=(1.0, 1.2, 2.0))
    volume = Volume(rng.normal(size=source.shape).astype(np.float32), source.affine)
    volume = volume.with_array(volume.array > 0) if order == 0 else volume
    target = tilted(0.0, shape=(14, 15, 16), step=step)
    how = {"order": order, "fill": 0 if order == 0 else -7.0, "antialias": order == 1}
    whole = resample(volume, target, **how).array
    for which, slab in grid_slabs(target):
        part = part_for(volume, slab)
        np.testing.assert_allclose(resample(part, slab, **how).array, whole[:, :, which], atol=2e-4)


def test_the_part_of_a_slab_is_small_and_that_of_a_place_far_away_a_voxel():
    volume = Volume(np.zeros((50, 50, 400), np.uint8), np.eye(4))
    which, slab = list(grid_slabs(volume.grid))[5]
    assert which == slice(80, 96)
    assert part_for(volume, slab).array.shape == (50, 50, 20)  # two beyond at each end
    affine = np.eye(4)
    affine[:3, 3] = 1000
    away = Grid((4, 4, 4), affine)
    assert part_for(volume, away).array.size == 1
    assert set(np.unique(resample(part_for(volume, away), away, fill=5.0).array)) == {5.0}
