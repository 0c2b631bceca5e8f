import numpy as np
import pytest
from scipy import ndimage

from data_prep.masks import THRESHOLD, dilate_in_plane, head_and_skull, head_from_mr
from data_prep.phantom import make_head
from data_prep.phantom_fixtures import Fixtures
from data_prep.volume import BadVolume, Volume

GRID = {"size": 128, "num_slices": 40, "spacing_mm": (2.0, 2.0, 5.0)}


@pytest.fixture(scope="module")
def phantom():
    return make_head(3, **GRID)


@pytest.fixture(scope="module")
def framed():
    """The same head as radiosurgery sees it."""
    return make_head(3, **GRID, fixtures=Fixtures(touching_post=True, streaks=True, rods=True))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def away_mm(phantom):
    return ndimage.distance_transform_edt(~phantom.head.array, sampling=phantom.ct.spacing_mm)


def test_the_head_of_a_ct_is_found_without_couch_and_frame(phantom):
    masks = head_and_skull(phantom.ct, backend="threshold")
    away = away_mm(phantom)
    assert (phantom.ct.array[away > 3] > 500).sum() > 300
    assert not masks.head.array[away > 3].any()
    assert dice(masks.head.array, phantom.head.array) > 0.999
    assert masks.backend == THRESHOLD == "threshold-2"


def test_a_post_against_the_scalp_and_streaks_cost_neither_head_nor_skull(framed):
    masks = head_and_skull(framed.ct, backend="threshold")
    away = away_mm(framed)
    post = (framed.ct.array > 1000) & (away > 0)
    assert (post & (away < 3)).sum() > 50
    assert not masks.head.array[away > 3].any()
    assert dice(masks.head.array, framed.head.array) > 0.999
    assert dice(masks.skull.array, framed.skull.array) > 0.97
    lost = framed.head.array & ~masks.head.array
    assert lost.sum() < 0.001 * framed.head.array.sum()


def test_pins_through_the_skin_pull_the_head_neither_out_nor_in(phantom):
    pierced = phantom.ct.array.copy()
    inside = np.flatnonzero(phantom.head.array[:, 64, 24])
    for start in (inside[0] - 12, inside[-1] - 3):  # 24 mm outside, 8 mm inside
        pierced[start : start + 16, 64:66, 24] = 2900
    plain = head_and_skull(phantom.ct, backend="threshold").head.array
    found = head_and_skull(phantom.ct.with_array(pierced), backend="threshold").head.array
    assert not found[away_mm(phantom) > 3].any()
    assert (plain & ~found).sum() < 30


def test_the_skull_lies_in_the_head_and_fits_the_bone(phantom):
    masks = head_and_skull(phantom.ct, backend="threshold")
    assert not (masks.skull.array & ~masks.head.array).any()
    assert dice(masks.skull.array, phantom.skull.array) > 0.9


def test_air_in_sinuses_belongs_to_the_head(phantom):
    head = head_and_skull(phantom.ct, backend="threshold").head.array
    cavities = phantom.head.array & (phantom.ct.array < -500)
    assert cavities.sum() > 100
    assert (head & cavities).sum() > 0.95 * cavities.sum()


def test_a_ct_of_air_gives_empty_masks():
    masks = head_and_skull(Volume(np.full((32, 32, 8), -1000, np.int16), np.eye(4)))
    assert not masks.head.array.any()
    assert not masks.skull.array.any()


def test_the_head_of_an_mr_is_found_under_a_strong_bias_field(phantom):
    ramp = np.linspace(0.3, 3.0, phantom.mr.array.shape[0], dtype=np.float32)[:, None, None]
    for field in (1.0, ramp, ramp[::-1]):
        found = head_from_mr(phantom.mr.with_array(phantom.mr.array * field))
        assert dice(found.array, phantom.head.array) > 0.97


def test_rods_of_a_marker_box_are_no_head(phantom, framed):
    rods = (framed.mr.array > 2 * phantom.mr.array + 100) & ~phantom.head.array
    assert rods.sum() > 2000
    ghost = framed.mr.array + 0.08 * np.roll(framed.mr.array, 40, axis=1)
    for array in (framed.mr.array, ghost):
        found = head_from_mr(framed.mr.with_array(array)).array
        assert dice(found, phantom.head.array) > 0.99
        assert not (found & (away_mm(phantom) > 10)).any()


def test_the_head_of_a_slab_is_found_up_to_its_ends(framed):
    slab = framed.mr.with_array(framed.mr.array[:, :, 16:28])
    truth = framed.head.array[:, :, 16:28]
    found = head_from_mr(slab).array
    for k in (0, 11):
        assert dice(found[..., k], truth[..., k]) > 0.99
    assert dice(found, truth) > 0.99


def test_bright_vessels_do_not_thin_the_head_of_an_mr(phantom):
    rng = np.random.default_rng(0)
    vessels = ndimage.binary_dilation(rng.random(phantom.mr.array.shape) > 0.9995)
    bright = np.where(vessels & phantom.head.array, 5.0, 1.0) * phantom.mr.array
    assert dice(head_from_mr(phantom.mr.with_array(bright)).array, phantom.head.array) > 0.99


def test_the_head_of_an_mr_does_not_depend_on_its_unit(phantom):
    found = head_from_mr(phantom.mr).array
    assert (found == head_from_mr(phantom.mr.with_array(phantom.mr.array * 0.25)).array).all()


def test_a_constant_mr_holds_no_head():
    with pytest.raises(BadVolume, match="the MR is constant or not finite"):
        head_from_mr(Volume(np.ones((16, 16, 8), np.float32), np.eye(4)))


@pytest.mark.parametrize("slice_axis", [0, 2])
def test_in_plane_dilation_widens_by_a_square_and_leaves_other_slices(slice_axis):
    mask = np.zeros((7, 8, 9), bool)
    mask[0, 4, 4] = mask[3, 7, 5] = True
    planes = np.moveaxis(mask, slice_axis, 0)
    expected = np.zeros_like(planes)
    for n, row, column in np.argwhere(planes):
        expected[n, max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = True
    found = np.moveaxis(dilate_in_plane(mask, slice_axis=slice_axis), slice_axis, 0)
    assert np.array_equal(found, expected)
