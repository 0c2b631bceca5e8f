import io

import numpy as np
import pytest
from PIL import Image

from data_prep.picture import (
    BONE,
    BRAIN,
    ERROR,
    FULL_HU,
    HEAD_COLOUR,
    colour_table,
    contact_sheet,
    draw_grid,
    error_tile,
    hu_tile,
    mr_tile,
    outline,
    planes_sheet,
    small_png,
    spread,
    tile,
)
from data_prep.volume import Volume


def test_the_patients_right_is_drawn_on_the_left_and_the_front_on_top():
    ct = np.full((4, 6), -1000.0)
    ct[3, 5] = 3000.0  # most anterior, most to the right
    assert (hu_tile(ct)[0, 0] == 255).all()
    assert hu_tile(ct).sum() == 3 * 255


@pytest.mark.parametrize(
    ("window", "dark", "bright"), [(BONE, -600, 1400), (BRAIN, 0, 80), (FULL_HU, -1000, 3000)]
)
def test_a_window_spans_from_black_to_white_and_clips_beyond(window, dark, bright):
    drawn = hu_tile(
        np.array([[dark - 500, dark, (dark + bright) / 2, bright, bright + 500]]), window=window
    )
    assert drawn[0, ::-1, 0].tolist() == [0, 0, 128, 255, 255]


def test_an_mr_window_is_given_in_raw_units():
    assert mr_tile(np.array([[10.0, 30.0]]), window=(10.0, 30.0))[0, ::-1, 1].tolist() == [0, 255]


def test_an_error_is_dark_where_nought_blue_below_and_orange_above():
    low, none, high = error_tile(np.array([[-250.0, 0.0, 250.0]]), limit_hu=500)[0, ::-1].tolist()
    assert max(none) < 30
    assert low[2] > low[0] + 100
    assert high[0] > high[2] + 100


def test_an_outline_marks_the_edge_and_nothing_within():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    drawn = outline(hu_tile(np.full((9, 9), -1000.0)), mask, HEAD_COLOUR)
    assert (drawn == HEAD_COLOUR).all(axis=2).sum() == 16
    assert (drawn[3:6, 3:6] == 0).all()


def test_a_row_is_a_png_wide_enough_for_its_tiles(tmp_path):
    path = tmp_path / "new" / "row.png"
    draw_grid([[hu_tile(np.zeros((64, 64)))] * 3], titles=["a", "b", "c"], path=path)
    with Image.open(path) as picture:
        assert picture.width == 3 * 256 + 4 * 6
        assert picture.height == 256 + 6 + 24
    assert [item.name for item in path.parent.iterdir()] == ["row.png"]


def test_a_grid_keeps_the_aspect_of_oblong_slices(tmp_path):
    draw_grid([[hu_tile(np.zeros((50, 100)))]], path=tmp_path / "one.png", tile_px=100)
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width == 200 + 2 * 6


def test_equal_contact_sheets_are_equal_files(tmp_path):
    rng = np.random.default_rng(0)
    mr, ct = rng.normal(size=(8, 32, 32)), rng.normal(size=(8, 32, 32)) * 500
    head = np.zeros((8, 32, 32), bool)
    head[1:7, 5:25, 5:25] = True
    for name in ("a.png", "b.png"):
        contact_sheet(mr, ct, head, head, title="p1: taken", path=tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_slices_are_spread_evenly_and_away_from_the_ends():
    assert spread(np.arange(60), 6) == [5, 15, 25, 35, 45, 55]
    assert spread(np.array([3, 9]), 6) == [3, 9]


def test_planes_have_square_pixels_and_show_the_front_on_the_left(tmp_path):
    ct = np.full((40, 40, 10), -1000.0)
    ct[20, 30:, 5:] = 3000.0  # the upper front
    ct[0, 0, 0] = np.nan
    image = Volume(ct, np.diag([1.0, 1.0, 4.0, 1.0]))
    planes_sheet({"MR": image, "CT": image}, title="p1: refused", path=tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (3 * 256 + 4 * 6, 24 + 2 * (256 + 6))
        sagittal = np.asarray(picture.crop((530, 300, 786, 540)).convert("L"))
    assert sagittal[:100, :50].mean() > 200
    assert sagittal[:100, 80:].mean() < 5
    assert sagittal[140:].mean() < 5


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan, -np.inf])
def test_a_constant_image_can_be_drawn(tmp_path, value):
    planes_sheet(
        {"MR": Volume(np.full((3, 4, 1), value, np.float32), np.diag([1.0, 1.0, 9e9, 1.0]))},
        title="p1: refused",
        path=tmp_path / "a.png",
    )
    assert (tmp_path / "a.png").stat().st_size < 100_000


@pytest.mark.parametrize("window", [BRAIN, ERROR])
def test_a_small_png_holds_the_pixels_of_the_tile_in_a_byte_each(window):
    image = np.random.default_rng(0).normal(20.0, 200.0, (9, 7))
    with Image.open(io.BytesIO(small_png(image, window))) as stored:
        assert stored.mode == ("P" if window.diverging else "L")
        assert (np.asarray(stored.convert("RGB")) == tile(image, window)).all()


def test_the_colours_of_a_window_go_from_its_lowest_to_its_highest_value():
    table = colour_table(ERROR)
    assert (table[0] == error_tile(np.array([[-500.0]]))[0, 0]).all()
    assert (table[255] == error_tile(np.array([[500.0]]))[0, 0]).all()


def test_each_tile_bears_its_own_label(tmp_path):
    black = hu_tile(np.full((64, 64), -1000))
    draw_grid([[black] * 2] * 2, labels=[["a", "b"], ["", "d"]], path=tmp_path / "labelled.png")
    drawn = np.asarray(Image.open(tmp_path / "labelled.png")).astype(int).sum(axis=2)
    half = 256 + 6
    lit = [
        [drawn[6 + r * half :][:40, 6 + c * half :][:, :40].max() for c in (0, 1)] for r in (0, 1)
    ]
    assert [[value > 200 for value in row] for row in lit] == [[True, True], [False, True]]
