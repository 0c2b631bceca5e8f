"""The background against the distance from the head."""

import pandas as pd
import pytest
from sweep_folder import CASES, score_row, score_rows, trial_row, write_table

from dashboards.load import load_sweep
from dashboards.volumes.profile import profile, profile_figure, profile_html


def profile_row(trial, case, metric, value, split="val"):
    return score_row(trial, case, "mae_head", value, split) | {"metric": metric}


def write_profile(folder, trials=("never", "exp.keep"), cases=CASES):
    rows = [
        profile_row(trial, case, f"bg_{kind}_{mm}", base + 10 * k + 100 * n * (kind == "hu"))
        for n, trial in enumerate(trials)
        for k, case in enumerate(cases)
        for kind, base in (("hu", -1000.0), ("share", 0.0))
        for mm in ("000_010", "050_060", "110_120")
    ]
    write_table(folder, "scores.parquet", [*score_rows(), *rows])


def test_points_are_means_and_sds_over_cases_at_the_middle_of_their_bins(sweep_dir):
    write_profile(sweep_dir)
    points = profile(load_sweep(sweep_dir))
    rows = points[(points["trial"] == "exp.keep") & (points["curve"] == "bg_hu")]
    assert rows["distance_mm"].tolist() == [5.0, 55.0, 115.0]
    assert rows["mean"].tolist() == [-890.0] * 3
    assert rows["sd"].tolist() == pytest.approx([10.0] * 3)
    assert rows["cases"].tolist() == [3] * 3


def test_a_volume_that_does_not_reach_a_bin_does_not_count_in_it(sweep_dir):
    rows = [profile_row("never", case, "bg_hu_110_120", value)
            for case, value in zip(CASES, (-900.0, float("nan"), -800.0), strict=True)]  # fmt: skip
    write_table(sweep_dir, "scores.parquet", rows)
    points = profile(load_sweep(sweep_dir))
    assert points[["mean", "cases"]].to_numpy().tolist() == [[-850.0, 2]]


def test_the_test_split_is_not_looked_at(sweep_dir):
    rows = [profile_row("never", "p09", "bg_hu_000_010", -500.0, split="test")]
    write_table(sweep_dir, "scores.parquet", rows)
    assert profile(load_sweep(sweep_dir)).empty
    assert profile_html(load_sweep(sweep_dir)) == ""


def test_a_background_set_to_air_and_a_second_geometry_are_not_mixed_in(sweep_dir):
    predicted = [profile_row("never", case, "bg_hu_000_010", -800.0) for case in CASES]
    aired = [row | {"background": "air", "value": -1000.0} for row in predicted]
    tiled = predicted[0] | {"geometry": "native_tiles", "value": -300.0}
    write_table(sweep_dir, "scores.parquet", [tiled, *aired, *predicted])
    points = profile(load_sweep(sweep_dir))
    assert points[["mean", "cases"]].to_numpy().tolist() == [[-800.0, 3]]


def test_without_scores_there_is_no_profile(sweep_dir):
    assert profile_html(load_sweep(sweep_dir)) == ""
    (sweep_dir / "scores.parquet").unlink()
    assert profile_html(load_sweep(sweep_dir)) == ""


def test_a_line_a_run_with_its_colour_and_a_band(sweep_dir):
    write_profile(sweep_dir)
    sweep = load_sweep(sweep_dir)
    figure = profile_figure(sweep, profile(sweep))
    lines = [trace for trace in figure.data if trace.fill is None]
    assert [line.name for line in lines if line.showlegend] == ["never", "exp.keep = always"]
    assert lines[0].line.color != lines[1].line.color
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == len(lines) == 4
    # exp.keep, in HU: -890 +- 10, there and back
    assert list(bands[1].y) == pytest.approx([-880.0] * 3 + [-900.0] * 3)
    assert "Bands: one SD over cases." in profile_html(sweep)


def test_many_runs_and_lone_cases_have_no_bands(sweep_dir):
    write_profile(sweep_dir, cases=CASES[:1])
    lone = load_sweep(sweep_dir)
    assert "Bands" not in profile_html(lone)
    assert "Mean over 1 case" in profile_html(lone)
    names = [f"t{n}" for n in range(4)]
    write_table(
        sweep_dir, "trials.parquet", [trial_row(name, [], best_value=1.0) for name in names]
    )
    write_profile(sweep_dir, trials=names)
    sweep = load_sweep(sweep_dir)
    assert all(trace.fill is None for trace in profile_figure(sweep, profile(sweep)).data)


def test_clear_air_is_drawn_in_both(sweep_dir):
    write_profile(sweep_dir)
    sweep = load_sweep(sweep_dir)
    levels = [shape.y0 for shape in profile_figure(sweep, profile(sweep)).layout.shapes]
    assert levels == [-1000, 0]


def test_other_background_metrics_are_no_points_of_the_curve(sweep_dir):
    rows = [profile_row("never", "p01", metric, 1.0) for metric in ("fog_hu", "bg_hu_5_10")]
    write_table(sweep_dir, "scores.parquet", rows)
    assert isinstance(profile(load_sweep(sweep_dir)), pd.DataFrame)
    assert profile(load_sweep(sweep_dir)).empty
