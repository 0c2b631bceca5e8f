"""Small volumes for a viewer lie where the large ones do."""

import numpy as np
import pytest

from data_prep.shards import list_cases, read_volumes
from data_prep.volume import Grid, Volume
from pct.preview import MR_SCALE, PREVIEW_MM, preview_case, preview_grid, preview_hu

AFFINE = np.array([[0.7, 0, 0, -80.0], [0, 0.7, 0, -90.0], [0, 0, 3.1, -40.0], [0, 0, 0, 1]])


def test_the_grid_has_cubes_of_2_mm_centred_on_the_same_point():
    grid = Grid((230, 256, 51), AFFINE)
    small = preview_grid(grid)
    assert small.spacing_mm == (PREVIEW_MM,) * 3
    centres = [g.affine[:3] @ [*((np.array(g.shape) - 1) / 2), 1] for g in (grid, small)]
    np.testing.assert_allclose(*centres, atol=1e-9)
    for n, m, mm in zip(grid.shape, small.shape, grid.spacing_mm, strict=True):
        assert 0 <= (n - 1) * mm - (m - 1) * PREVIEW_MM < PREVIEW_MM


def test_a_ramp_in_millimetres_is_the_same_ramp_on_the_small_grid():
    grid = Grid((120, 120, 30), AFFINE)
    x = np.arange(120) * 0.7 - 80.0
    ramp = Volume(np.broadcast_to((10 * x)[:, None, None], grid.shape).astype(np.float32), AFFINE)
    small = preview_hu(ramp)
    at = small.affine[0, 3] + PREVIEW_MM * np.arange(small.array.shape[0])
    assert small.array.dtype == np.int16
    np.testing.assert_allclose(small.array[3:-3, 5, 5], 10 * at[3:-3], atol=1.0)


def test_a_case_has_ct_mr_and_masks_on_one_grid(phantom_data):
    case = read_volumes(phantom_data, list_cases(phantom_data, "val")[0])
    small = preview_case(case)
    assert {one.grid.shape for one in small.values()} == {preview_grid(case.ct.grid).shape}
    assert np.abs(small["mr"].array).max() <= MR_SCALE
    inside, outside = small["head"].array == 1, small["head"].array == 0
    assert small["ct"].array[inside].mean() > -200 > small["ct"].array[outside].mean()
    assert 0 < small["skull"].array.sum() < inside.sum()
    voxel = np.prod(case.ct.spacing_mm)
    assert inside.sum() * PREVIEW_MM**3 == pytest.approx(case.head.array.sum() * voxel, rel=0.05)
