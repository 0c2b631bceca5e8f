import numpy as np
import pytest
from looks_folder import PIXEL_MM, write_looks
from sweep_folder import CASES, stage, trial_row, write_table

from dashboards.load import load_sweep
from dashboards.pictures.looks import Look, read_cases
from dashboards.pictures.plates import (
    IN_BRAIN,
    WITHIN_200,
    Plate,
    comparison_plate,
    error_of,
    error_plate,
    evolution_plate,
    in_head,
)
from dashboards.pictures.roi import Roi
from data_prep.picture import Window


@pytest.fixture
def looks_dir(sweep_dir):
    write_looks(sweep_dir)
    return sweep_dir


def first_plate(folder, rois=()):
    sweep, look = load_sweep(folder), read_cases(folder)["p01"]
    return evolution_plate(sweep, sweep.runs, look, rois)


def captions(row):
    return [cell.caption if cell else "" for cell in row.cells]


def test_rows_are_branches_with_like_moments_below_each_other(looks_dir):
    plate = first_plate(looks_dir)
    assert [cell.caption for cell in plate.reference] == ["MR", "CT"]
    assert [(row.name, captions(row)) for row in plate.rows] == [
        ("never", ["epoch 1", "epoch 3", "epoch 4", "epoch 6", "error, epoch 6"]),
        (
            "exp.keep = always",
            ["epoch 1, shared", "epoch 3, shared", "epoch 4", "epoch 6", "error, epoch 6"],
        ),
        ("exp.drop, from its fork on", ["", "", "epoch 4", "epoch 6", "error, epoch 6"]),
    ]


def test_without_a_fork_no_place_is_left_for_the_epoch_after_it(sweep_dir):
    write_looks(sweep_dir, trials=("short", "long"), epochs=(1, 2, 3, 6))
    (sweep_dir / "looks/short/epoch-0006.npz").unlink()
    rows = [
        trial_row("short", [stage(1, 3, "s", 0.0)], epochs=3, best_epoch=3),
        trial_row("long", [stage(1, 6, "l", 0.0)]),
    ]
    write_table(sweep_dir, "trials.parquet", rows)
    assert [captions(row) for row in first_plate(sweep_dir).rows] == [
        ["epoch 1", "epoch 2", "epoch 3", "error, epoch 3"],
        ["epoch 1", "epoch 3", "epoch 6", "error, epoch 6"],
    ]


def test_all_runs_show_the_same_slice_and_the_error_is_pct_minus_ct(looks_dir):
    plate = first_plate(looks_dir)
    *_, last, error = plate.rows[0].cells
    assert (error.image == last.image.astype(int) - plate.look.ct_hu).all()
    assert {cell.image.shape for row in plate.rows for cell in row.cells if cell} == {
        plate.look.ct_hu.shape
    }


def test_an_error_beyond_what_16_bits_hold_does_not_wrap():
    look = Look("p01", np.zeros((1, 1)), np.full((1, 1), -30000, np.int16), None, 1.0, 0)
    assert error_of(np.full((1, 1), 30000, np.int16), look) == 60000


def test_mean_error_and_mae_are_taken_inside_the_head_alone():
    head = np.array([[True, True, False]])
    look = Look("p01", np.zeros((1, 3)), np.zeros((1, 3)), head, 1.0, 0)
    assert in_head(np.array([[-90.0, 10.0, 9000.0]]), look) == (
        "mean \N{MINUS SIGN}40 HU, MAE 50 HU"
    )
    assert in_head(np.zeros((0, 3)), Look("p", head, head, head[:0], 1.0, 0)) == (
        "no head in this slice"
    )


def test_two_runs_stand_beside_the_ct_with_what_they_differ_by(looks_dir):
    sweep, look = load_sweep(looks_dir), read_cases(looks_dir)["p02"]
    never, keep, _ = sweep.runs
    plate = comparison_plate(sweep, (keep, never), look, (Roi(0.0, 0.0),))
    (row,) = plate.rows
    a, b, a_error, b_error = row.cells
    assert captions(row) == [
        "exp.keep = always", "never", "exp.keep = always \N{MINUS SIGN} CT",
        "never \N{MINUS SIGN} CT",
    ]  # fmt: skip
    assert (a_error.image == a.image.astype(int) - look.ct_hu).all()
    assert (b_error.image == b.image.astype(int) - look.ct_hu).all()
    (looks_dir / "looks/never/best.npz").unlink()
    assert comparison_plate(sweep, (keep, never), look, ()) is None


def test_error_maps_are_those_of_best_checkpoints_with_their_numbers(looks_dir):
    sweep, look = load_sweep(looks_dir), read_cases(looks_dir)[CASES[0]]
    (looks_dir / "looks/exp.drop/best.npz").unlink()
    (row,) = error_plate(sweep, sweep.runs, look).rows
    assert [caption.split(":")[0] for caption in captions(row)] == ["never", "exp.keep = always"]
    error = row.cells[0].image
    assert f"MAE {np.abs(error[look.head]).mean():.0f} HU" in row.cells[0].caption


def test_error_maps_stand_in_rows_of_equal_length(sweep_dir):
    names = ["t0", "t1", "t2", "t3", "t4"]
    write_looks(sweep_dir, trials=names)
    write_table(sweep_dir, "trials.parquet", [trial_row(name, []) for name in names])
    sweep, look = load_sweep(sweep_dir), read_cases(sweep_dir)["p01"]
    lengths = [[len(row.cells) for row in error_plate(sweep, sweep.runs[:n], look).rows]
               for n in (1, 3, 4, 5)]  # fmt: skip
    assert lengths == [[1], [3], [2, 2], [3, 2]]
    assert error_plate(sweep, (), look) is None


def test_views_keep_their_windows_whatever_is_in_the_picture():
    assert IN_BRAIN.window("hu") == Window(0.0, 80.0)
    assert IN_BRAIN.window("error") == Window(-500.0, 500.0, diverging=True)
    assert WITHIN_200.window("error") == Window(-200.0, 200.0, diverging=True)
    assert IN_BRAIN.window("mr") == WITHIN_200.window("mr") == Window(-1.0, 1.0)


def test_the_frame_holds_the_head_20_mm_around_it_and_every_region():
    head = np.zeros((100, 100), bool)
    head[40:50, 30:60] = True
    look = Look("p01", head, head, head, PIXEL_MM, 0)
    assert Plate(look, (), (), (), ()).frame == (slice(35, 55), slice(25, 65))
    far = Roi(x_mm=168.0, y_mm=-152.0, size_mm=40.0)  # ten pixels, columns 87-96, rows 7-16
    assert Plate(look, (), (), (far,), ()).frame == (slice(7, 55), slice(25, 97))
    empty = Look("p01", head, head, np.zeros_like(head), PIXEL_MM, 0)
    assert Plate(empty, (), (), (), ()).frame == (slice(0, 100), slice(0, 100))
