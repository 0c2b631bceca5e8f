"""Rays through volumes whose surfaces have a formula."""

import numpy as np
import pytest

from dashboards.volumes.raycast import (
    Scene,
    averaged,
    brightest,
    depth_map,
    haze,
    seen_from,
    shaded,
)
from data_prep.volume import Volume

SIZE, RADIUS_MM, SPACING_MM = 41, 30.0, 2.0


def ball() -> Scene:
    """HU falling by 20 a mm from the middle, so that it is 0 on a sphere of 30 mm."""
    axis = (np.arange(SIZE) - SIZE // 2) * SPACING_MM
    d, r, c = np.meshgrid(axis, axis, axis, indexing="ij")
    return Scene((RADIUS_MM - np.sqrt(d**2 + r**2 + c**2)) * 20.0, (SPACING_MM,) * 3)


def pixel_centres(pixel_mm: float) -> tuple[np.ndarray, np.ndarray]:
    extent = (SIZE - 1) * SPACING_MM
    axis = np.arange(round(extent / pixel_mm) + 1) * pixel_mm - extent / 2
    return np.meshgrid(axis, axis, indexing="ij")


@pytest.mark.parametrize("pixel_mm", [2.0, 0.5])
def test_the_depth_of_a_sphere_is_that_of_its_formula(pixel_mm):
    depth = depth_map(ball(), 0.0, pixel_mm=pixel_mm)
    r, c = pixel_centres(pixel_mm)
    off_axis = np.hypot(r, c)
    facing = off_axis < 0.8 * RADIUS_MM
    expected = (SIZE // 2) * SPACING_MM - np.sqrt(RADIUS_MM**2 - off_axis[facing] ** 2)
    assert np.abs(depth[facing] - expected).max() < 0.05 * SPACING_MM
    assert np.isnan(depth[off_axis > RADIUS_MM + SPACING_MM]).all()


def test_a_surface_that_begins_in_the_first_voxel_is_at_depth_zero():
    assert depth_map(Scene(np.full((3, 4, 4), 500), (2.0,) * 3), 250.0, pixel_mm=2.0).max() == 0.0


def test_nothing_above_the_threshold_is_seen_nowhere():
    depth = depth_map(Scene(np.zeros((3, 4, 5)), (2.0,) * 3), 250.0, pixel_mm=2.0)
    assert depth.shape == (4, 5)
    assert np.isnan(depth).all()
    assert np.isnan(shaded(depth, pixel_mm=2.0)).all()


def test_only_the_first_crossing_counts():
    line = np.array([0, 0, 400, 0, 0, 900]).reshape(-1, 1, 1) * np.ones((1, 3, 3))
    depth = depth_map(Scene(line, (2.0, 1.0, 1.0)), 100.0, pixel_mm=1.0)
    np.testing.assert_allclose(depth, 2.0 * 1.25)


def test_a_tilted_plane_is_shaded_by_the_cosine_of_its_angle_to_the_light():
    light = np.array([0.84, 0.42, 0.34]) / np.linalg.norm([0.84, 0.42, 0.34])
    for down, right in ((0.0, 0.0), (-0.5, 0.2), (0.3, -0.4)):
        rows, columns = np.mgrid[:9, :9]
        # Offsets of 1e-3 mm keep the depth cue out: it fades by 0.2 % a mm.
        depth = ((down * rows + right * columns) * 1e-3).astype(np.float32)
        normal = np.array([1.0, -down, -right]) / np.sqrt(1 + down**2 + right**2)
        expected = 0.12 + 0.88 * max(0.0, float(normal @ light))
        np.testing.assert_allclose(shaded(depth, pixel_mm=1e-3), expected, rtol=1e-3)


def test_an_outline_is_no_steep_wall():
    flat = np.full((8, 8), np.nan, np.float32)
    flat[:, :5], flat[:, 5:7] = 10.0, 60.0
    lit = shaded(flat, pixel_mm=1.0)
    assert lit[:, :5].std() < 1e-6
    assert lit[4, 4] > lit[4, 5] > 0.8 * lit[4, 4]  # a flat thing behind: only the depth cue


@pytest.mark.parametrize(("depth_mm", "fog_mm"), [(9.0, 10.0), (np.nan, 40.0), (-1.0, 0.0)])
def test_fog_hides_by_its_length_up_to_the_surface(depth_mm, fog_mm):
    fog = Scene(np.ones((20, 5, 5), bool), (2.0, 2.0, 2.0))
    depth = np.full((5, 5), depth_mm, np.float32)
    hidden = haze(fog, depth, pixel_mm=2.0, clear_mm=25.0)
    np.testing.assert_allclose(hidden, 1 - np.exp(-fog_mm / 25.0), atol=1e-6)


def test_clear_air_hides_nothing():
    fog = Scene(np.zeros((20, 5, 5), bool), (2.0, 2.0, 2.0))
    hidden = haze(fog, np.full((5, 5), np.nan, np.float32), pixel_mm=2.0, clear_mm=25.0)
    assert (hidden == 0).all()


def test_the_brightest_value_along_a_ray_is_found_at_any_depth():
    array = np.zeros((6, 3, 4))
    array[4, 1, 2] = 7.0
    assert brightest(Scene(array, (1.0,) * 3), pixel_mm=1.0)[1, 2] == 7.0


def test_the_patient_is_turned_as_the_view_says():
    # One bright voxel at the right, at the front, at the top of a RAS volume.
    array = np.zeros((4, 5, 6))
    array[3, 4, 5] = 1.0
    volume = Volume(array, np.diag([1.0, 2.0, 3.0, 1.0]))
    places = {
        view: [int(at) for at in np.argwhere(seen_from(volume, view).array)[0]]
        for view in ("front", "left", "above")
    }
    assert places == {"front": [0, 0, 0], "left": [3, 0, 0], "above": [0, 0, 3]}
    assert seen_from(volume, "front").spacing_mm == (2.0, 3.0, 1.0)


def test_averaging_keeps_the_mean_and_cuts_what_is_left_over():
    picture = np.arange(30.0).reshape(5, 6)
    small = averaged(picture, 2)
    assert small.shape == (2, 3)
    assert small.mean() == picture[:4].mean()
