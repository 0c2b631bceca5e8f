import math
from collections import Counter

from big_sweep import EPOCHS, write_big_sweep
from sweep_folder import history_rows, stage, trial_row, trial_rows, write_table

from dashboards.curves.curves import has_metric
from dashboards.curves.section import psnr_html
from dashboards.curves.segments import points_of, segments
from dashboards.load import load_sweep


def test_no_epoch_of_a_shared_trunk_is_drawn_twice_and_none_is_lost(tmp_path):
    write_big_sweep(tmp_path / "big", num_trials=8)
    sweep = load_sweep(tmp_path / "big")
    lines = segments(sweep, "val/psnr")
    seen = Counter(
        (trial, epoch)
        for line in lines
        for trial in line.trials
        for epoch in line.epochs[0 if line.epochs[0] == 1 else 1 :]
    )
    assert seen == Counter((t.trial, e) for t in sweep.trials for e in range(1, EPOCHS + 1))
    own = sum(len(line.epochs) - (line.epochs[0] != 1) for line in lines)
    assert own == sum(trial.own_epochs for trial in sweep.trials)


def test_lines_hold_the_values_of_each_trial_that_shares_them(tmp_path):
    write_big_sweep(tmp_path / "big", num_trials=4)
    sweep = load_sweep(tmp_path / "big")
    whole = points_of(sweep, "loss/l1")
    for line in segments(sweep, "loss/l1"):
        for trial in line.trials:
            assert set(zip(line.epochs, line.values, strict=True)) <= set(whole[trial])


def test_a_branch_goes_on_where_a_sibling_broke_off_in_the_shared_stage(sweep_dir):
    rows = trial_rows()
    write_table(sweep_dir, "trials.parquet", rows[1:])
    history = [r for r in history_rows() if r["trial"] != "exp.keep" or r["epoch"] <= 2]
    write_table(sweep_dir, "history.parquet", history)
    lines = {line.run.trial: line.epochs for line in segments(load_sweep(sweep_dir), "val/psnr")}
    assert lines["exp.keep"] == (1, 2)
    assert lines["exp.drop"][-1] == 6


def test_a_term_that_was_switched_off_for_a_while_leaves_a_gap(sweep_dir):
    parts = [stage(1, 2, "a", 20.0), stage(3, 4, "b", 0.0), stage(5, 6, "c", 20.0)]
    other = [*parts[:2], stage(5, 6, "d", 10.0)]
    write_table(sweep_dir, "trials.parquet", [trial_row("x", parts), trial_row("y", other)])
    rows = [
        {"trial": trial, "epoch": epoch, "metric": "loss/ngf", "value": 0.9, "carried": False}
        for trial in "xy"
        for epoch in (1, 2, 5, 6)
    ]
    write_table(sweep_dir, "history.parquet", rows)
    assert [line.epochs for line in segments(load_sweep(sweep_dir), "loss/ngf")] == [
        (1, 2), (5, 6), (5, 6),
    ]  # fmt: skip


def test_infinite_values_are_no_points_and_break_no_line(sweep_dir):
    rows = history_rows()
    for row in rows:
        if row["epoch"] == 4 or row["metric"] == "val/ngf":
            row["value"] = math.inf
    write_table(sweep_dir, "history.parquet", rows)
    sweep = load_sweep(sweep_dir)
    assert {epoch for line in segments(sweep, "val/psnr") for epoch in line.epochs} == {
        1, 2, 3, 5, 6,
    }  # fmt: skip
    assert not has_metric(sweep, "val/ngf")
    assert '"y":[' in psnr_html(sweep)
