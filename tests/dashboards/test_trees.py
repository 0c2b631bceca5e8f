import xml.etree.ElementTree as ET

from sweep_folder import stage, trial_row, trial_rows, write_table

from dashboards.families import trial_colours
from dashboards.load import load_sweep
from dashboards.trees import AXIS_TITLE, CHAR, SHARED, WIDTH, lay_out, stage_tree_svg


def bars_of(folder):
    return {bar.stage.key: bar for bar in lay_out(load_sweep(folder).runs)}


def test_a_shared_trunk_is_drawn_once_with_its_branches_below(sweep_dir):
    bars = bars_of(sweep_dir)
    assert sorted(bars) == ["a", "b", "drop", "keep", "trunk"]
    assert bars["trunk"].shared_by == 2
    assert (bars["keep"].row, bars["drop"].row) == (bars["trunk"].row, bars["trunk"].row + 1)
    assert (bars["keep"].parent_row, bars["drop"].parent_row) == (None, bars["trunk"].row)


def test_bars_say_what_changes_and_nothing_else(sweep_dir):
    labels = {key: bar.label for key, bar in bars_of(sweep_dir).items()}
    assert labels == {
        "a": "lambda_ngf 0", "b": "",
        "trunk": "lambda_ngf 20", "keep": "lambda_ngf 20", "drop": "lambda_ngf 0",
    }  # fmt: skip


def test_a_branch_lies_below_its_trunk_whatever_the_order_of_the_trials(sweep_dir):
    rows = trial_rows()
    write_table(sweep_dir, "trials.parquet", [rows[1], rows[0], rows[2]])
    bars = bars_of(sweep_dir)
    assert [bars[key].row for key in ("trunk", "drop", "a")] == [0, 1, 2]


def test_epochs_that_nobody_finished_are_pale(sweep_dir):
    rows = trial_rows()
    rows[0] |= {"status": "FAILED", "epochs": 4}
    write_table(sweep_dir, "trials.parquet", rows)
    bars = bars_of(sweep_dir)
    assert (bars["a"].reached, bars["b"].reached, bars["keep"].reached) == (3, 4, 6)


def test_the_svg_is_well_formed_and_its_bars_are_as_long_as_their_epochs(sweep_dir):
    write_table(
        sweep_dir,
        "trials.parquet",
        [trial_row("a<b&c", [stage(1, 2, "x", 1.0), stage(3, 6, "y", 0.0)])],
    )
    sweep = load_sweep(sweep_dir)
    svg = ET.fromstring(stage_tree_svg(sweep, colours=trial_colours(sweep)))
    widths = [float(rect.attrib["width"]) + 2 for rect in svg.iter("rect")]
    assert abs(widths[2] / widths[0] - 2) < 0.01
    assert "a<b&c" in [text.text for text in svg.iter("text")]


def test_shared_bars_are_grey_and_own_ones_have_their_runs_colour(sweep_dir):
    sweep = load_sweep(sweep_dir)
    colours = trial_colours(sweep)
    svg = ET.fromstring(stage_tree_svg(sweep, colours=colours))
    fills = [
        (group.find("title").text.split(":")[0], group.find("rect").attrib["fill"])
        for group in svg.iter("g")
    ]
    assert fills == [
        ("epochs 1-3", colours["never"]),
        ("epochs 4-6", colours["never"]),
        ("epochs 1-3, shared by 2 runs", SHARED),
        ("epochs 4-6", colours["exp.keep"]),
        ("epochs 4-6", colours["exp.drop"]),
    ]


def test_a_sweep_without_stages_has_no_tree(sweep_dir):
    write_table(sweep_dir, "trials.parquet", [trial_row("a", [])])
    sweep = load_sweep(sweep_dir)
    assert stage_tree_svg(sweep, colours={}) == ""


def test_the_title_of_the_axis_lies_within_the_picture_however_short_the_names(sweep_dir):
    write_table(sweep_dir, "trials.parquet", [trial_row("a", [stage(1, 6, "x", 1.0)])])
    svg = ET.fromstring(stage_tree_svg(load_sweep(sweep_dir), colours={}))
    (title,) = [text for text in svg.iter("text") if text.text == AXIS_TITLE]
    assert float(title.attrib["x"]) + CHAR * len(AXIS_TITLE) <= WIDTH
