from itertools import pairwise

import pytest
from sweep_folder import history_rows, trial_row, write_table

from dashboards.curves.curves import MAX_LABELS, curve_figure, in_words, level_of
from dashboards.families import trial_colours
from dashboards.load import load_sweep


@pytest.fixture
def figure(sweep_dir):
    sweep = load_sweep(sweep_dir)
    return draw(sweep)


def draw(sweep, metric="val/psnr", level=None):
    colours = trial_colours(sweep)
    return curve_figure(sweep, metric, title="y", colours=colours, height=400, level=level)


def test_a_trunk_is_drawn_once_and_its_branches_go_on_from_its_last_point(figure):
    lines = [(trace.name, trace.line.dash, list(trace.x)) for trace in figure.data]
    assert lines == [
        ("never", "solid", [1, 2, 3, 4, 5, 6]),
        ("shared by exp.keep, exp.drop", "solid", [1, 2, 3]),
        ("exp.keep = always", "solid", [3, 4, 5, 6]),
        ("exp.drop", "solid", [3, 4, 5, 6]),
    ]


def test_the_choice_of_a_branch_keeps_its_trunk_and_a_twin_its_run(figure):
    assert [list(trace.meta) for trace in figure.data] == [
        ["never"], ["exp.keep", "exp.drop", "always"], ["exp.keep", "always"], ["exp.drop"],
    ]  # fmt: skip


def test_epochs_that_another_sweep_trained_are_dashed(sweep_dir):
    rows = [row | {"carried": row["carried"] or row["epoch"] <= 3} for row in history_rows()]
    write_table(sweep_dir, "history.parquet", rows)
    dashes = {trace.name: trace.line.dash for trace in draw(load_sweep(sweep_dir)).data}
    assert dashes["shared by exp.keep, exp.drop"] != "solid"
    assert dashes["exp.drop"] == "solid"


def test_those_who_do_not_see_a_curve_are_told_its_ends_and_forks(sweep_dir):
    words = in_words(load_sweep(sweep_dir), "val/psnr", title="PSNR (dB)")
    assert words.startswith("PSNR (dB) by epoch of 3 runs. Last values: never 26.7, exp.keep 27.3")
    assert words.endswith("Forks after epochs 3.")


def test_the_fork_is_marked_at_its_epoch(figure):
    assert [shape.x0 for shape in figure.layout.shapes] == [3]
    assert "fork 3" in [annotation.text for annotation in figure.layout.annotations]


def test_lines_are_labelled_at_their_ends_without_overlap(figure):
    labels = [a for a in figure.layout.annotations if not a.text.startswith("fork")]
    assert [label.text for label in labels] == ["exp.keep = always", "exp.drop", "never"]
    margin, (low, high) = figure.layout.margin, figure.layout.yaxis.range
    px_per_unit = (400 - margin.t - margin.b) / (high - low)
    places = [label.y * px_per_unit + label.yshift for label in labels]
    assert all(upper - lower > 13 for upper, lower in pairwise(places))


def test_labels_of_equal_lines_stay_above_the_axis_and_far_ones_stay_put(sweep_dir):
    rows = [row for row in history_rows() if row["metric"] == "val/psnr"]
    rows = [row | {"value": 20.0 + 5 * (row["trial"] == "never")} for row in rows]
    write_table(sweep_dir, "history.parquet", rows)
    figure = draw(load_sweep(sweep_dir))
    margin, (low, high) = figure.layout.margin, figure.layout.yaxis.range
    px_per_unit = (400 - margin.t - margin.b) / (high - low)
    labels = [a for a in figure.layout.annotations if not a.text.startswith("fork")]
    places = [(label.y - low) * px_per_unit + label.yshift for label in labels]
    assert labels[0].text == "never"
    assert labels[0].yshift == 0
    assert places[1] - places[2] > 13
    assert places[2] > 5


def test_a_twin_has_the_colour_of_its_run(sweep_dir):
    colours = trial_colours(load_sweep(sweep_dir))
    assert colours["always"] == colours["exp.keep"]
    assert len({colours[name] for name in ("never", "exp.keep", "exp.drop")}) == 3


def test_many_lines_bear_no_names_but_tell_them_when_pointed_at(sweep_dir):
    names = [f"t{i}" for i in range(MAX_LABELS + 1)]
    write_table(sweep_dir, "trials.parquet", [trial_row(name, []) for name in names])
    some = [row for row in history_rows() if row["trial"] == "never"]
    write_table(sweep_dir, "history.parquet", [r | {"trial": n} for n in names for r in some])
    figure = draw(load_sweep(sweep_dir))
    assert not figure.layout.annotations
    assert {trace.name for trace in figure.data} == set(names)
    assert all("%{fullData.name}" in trace.hovertemplate for trace in figure.data)


def test_a_value_that_is_not_a_number_is_left_out(sweep_dir):
    rows = history_rows()
    for row in rows:
        if row["trial"] == "never" and row["epoch"] == 2:
            row["value"] = float("nan")
    write_table(sweep_dir, "history.parquet", rows)
    assert list(draw(load_sweep(sweep_dir)).data[0].x) == [1, 3, 4, 5, 6]


def test_the_level_of_the_ct_itself_is_a_line_across(sweep_dir):
    known = {"trial": "never", "epoch": 1, "metric": "val/ngf_ct", "value": 0.77, "carried": False}
    write_table(sweep_dir, "history.parquet", [*history_rows(), known])
    sweep = load_sweep(sweep_dir)
    level = level_of(sweep, "val/ngf_ct", name="the CT itself")
    figure = draw(sweep, "val/ngf", level=level)
    assert figure.layout.shapes[-1].y0 == figure.layout.shapes[-1].y1 == 0.77
    assert figure.layout.yaxis.range[0] < 0.77 < min(min(trace.y) for trace in figure.data)


def test_a_metric_that_was_never_recorded_has_no_level(sweep_dir):
    assert level_of(load_sweep(sweep_dir), "val/ngf_ct", name="the CT itself") is None
