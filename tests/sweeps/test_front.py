"""The front, against a loop over all pairs, and as lines for a terminal."""

import random

import pandas as pd

from sweeps.search.front import front, front_lines

ROWS = [
    # point, state, feasible, mae, ssim, leak
    (0, "COMPLETE", True, 90.0, 0.80, 0.1),
    (1, "COMPLETE", True, 80.0, 0.70, 0.1),
    (2, "COMPLETE", True, 95.0, 0.75, 0.1),
    (3, "COMPLETE", False, 70.0, 0.95, 0.3),
    (4, "FAIL", None, None, None, None),
    (5, "RUNNING", None, None, None, None),
]


def table(rows=ROWS) -> pd.DataFrame:
    found = pd.DataFrame(rows, columns=["point", "state", "feasible", "mae", "ssim", "leak"])
    return found.astype({"feasible": "boolean", "mae": float, "ssim": float, "leak": float})


def write(folder, points, **aims) -> list[str]:
    points = points.assign(reason="", leaf=[f"p{n:02d}-a" for n in points["point"]])
    points.insert(3, "$ngf", 20.5)
    minimise, maximise = aims.get("minimise", ["mae"]), aims.get("maximise", ["ssim"])
    points["on_front"] = front(points, minimise=minimise, maximise=maximise)
    points.attrs = {"minimise": minimise, "maximise": maximise, "constrain": {"leak": 0.2}}
    points.to_parquet(folder / "points.parquet")
    return front_lines(folder)


def test_only_complete_points_within_their_constraints_make_the_front():
    assert list(front(table(), minimise=["mae"], maximise=["ssim"])) == [True, True] + 4 * [False]


def test_the_front_of_one_aim_is_its_best_point_and_its_equals():
    rows = [*ROWS[:3], (6, "COMPLETE", True, 80.0, 0.1, 0.1)]
    assert list(front(table(rows), minimise=["mae"])) == [False, True, False, True]


def test_the_front_equals_a_loop_over_all_pairs():
    rng = random.Random(0)
    for _ in range(50):
        rows = [
            (n, "COMPLETE", rng.random() < 0.8, rng.randint(0, 6), rng.randint(0, 6), 0.1)
            for n in range(rng.randint(1, 25))
        ]
        good = [(row[3], row[4]) for row in rows if row[2]]
        expected = [
            row[2]
            and not any(
                mae <= row[3] and ssim >= row[4] and (mae, ssim) != (row[3], row[4])
                for mae, ssim in good
            )
            for row in rows
        ]
        assert list(front(table(rows), minimise=["mae"], maximise=["ssim"])) == expected


def test_a_front_before_any_point_is_empty():
    assert list(front(table([]), minimise=["mae"])) == []


def test_the_lines_show_the_front_the_best_by_the_first_aim_first(tmp_path):
    assert write(tmp_path, table()) == [
        "front of 6 points (1 beyond a constraint, 1 failed, 1 not settled):",
        "  point  $ngf  mae (lower)  ssim (higher)  leak (at most 0.2)  best leaf",
        "  1      20.5  80           0.7            0.1                 p01-a",
        "  0      20.5  90           0.8            0.1                 p00-a",
    ]


def test_a_single_aim_that_is_maximised_shows_the_highest(tmp_path):
    lines = write(tmp_path, table(), minimise=[], maximise=["ssim"])
    assert lines[0].startswith("best of 6 points")
    assert [line.split()[0] for line in lines[2:]] == ["0"]


def test_no_point_within_the_constraints_is_said(tmp_path):
    assert write(tmp_path, table(ROWS[3:])) == [
        "front of 3 points (1 beyond a constraint, 1 failed, 1 not settled):",
        "  none is complete and within its constraints",
    ]


def test_a_sweep_without_a_search_has_no_front(tmp_path):
    assert front_lines(tmp_path) == []
