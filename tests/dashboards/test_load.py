import subprocess
import sys

import pytest
from sweep_folder import stage, trial_row, trial_rows, write_info, write_table

from dashboards.load import NoSweep, load_sweep


def test_a_sweep_is_read_as_it_was_written(sweep_dir):
    sweep = load_sweep(sweep_dir)
    assert [trial.trial for trial in sweep.trials] == ["never", "exp.keep", "exp.drop", "always"]
    drop = sweep.trials[2]
    assert (drop.forked_from, drop.forked_at, drop.own_epochs) == ("exp.keep", 3, 3)
    assert [(s.first, s.last, s.values["lambda_ngf"]) for s in drop.stages] == [
        (1, 3, 20),
        (4, 6, 0),
    ]
    assert drop.stages[0].key == sweep.trials[1].stages[0].key


def test_twins_are_one_run_under_two_names(sweep_dir):
    sweep = load_sweep(sweep_dir)
    assert [sweep.names_of(run) for run in sweep.runs] == ["never", "exp.keep = always", "exp.drop"]


def test_runs_are_ranked_by_the_selection_rule_and_failed_ones_left_out(sweep_dir):
    assert [run.trial for run in load_sweep(sweep_dir).ranked] == ["exp.keep", "exp.drop", "never"]
    write_info(sweep_dir, select={"metric": "val/l1", "mode": "min"})
    rows = trial_rows()
    rows[0] |= {"status": "FAILED", "best_value": float("nan")}
    write_table(sweep_dir, "trials.parquet", rows)
    assert [run.trial for run in load_sweep(sweep_dir).ranked] == ["exp.drop", "exp.keep"]


def test_forks_are_where_stages_part_not_where_a_run_was_resumed(sweep_dir):
    assert load_sweep(sweep_dir).fork_epochs == (3,)
    rows = [trial_row("one", [stage(1, 2, "a", 0.0), stage(3, 6, "b", 0.0)], forked_at=2)]
    write_table(sweep_dir, "trials.parquet", rows)
    assert load_sweep(sweep_dir).fork_epochs == ()


@pytest.mark.parametrize("name", ["sweep.json", "trials.parquet", "history.parquet"])
def test_a_missing_file_is_named_with_the_command_that_writes_it(sweep_dir, name):
    (sweep_dir / name).unlink()
    with pytest.raises(NoSweep, match=rf"{name} is missing.*`pct sweep RECIPE.*--to .*demo`"):
        load_sweep(sweep_dir)


def test_a_sweep_without_scores_has_no_score_rows(sweep_dir):
    (sweep_dir / "scores.parquet").unlink()
    assert load_sweep(sweep_dir).scores.empty


@pytest.mark.parametrize("name", ["sweep.json", "trials.parquet", "scores.parquet"])
def test_a_damaged_file_is_named(sweep_dir, name):
    (sweep_dir / name).write_text("{nonsense")
    with pytest.raises(NoSweep, match=rf"{name} cannot be used.*again"):
        load_sweep(sweep_dir)


def test_a_missing_column_is_named(sweep_dir):
    write_table(sweep_dir, "history.parquet", [{"trial": "a", "epoch": 1, "value": 1.0}])
    with pytest.raises(NoSweep, match="lacks the columns metric, carried"):
        load_sweep(sweep_dir)


def test_the_report_loads_neither_torch_nor_ray():
    code = "import sys, dashboards.cli; print({'torch', 'ray', 'monai'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
