import json

import pytest
from looks_folder import write_looks
from sweep_folder import stage, trial_row, trial_rows, write_info, write_table

from dashboards.load import load_sweep
from dashboards.pictures.choose import (
    NoSuchTrial,
    branches,
    left_out,
    moments_of,
    own_forks,
    parse_pair,
    shown_runs,
    two_to_compare,
)


@pytest.fixture
def looks_dir(sweep_dir):
    write_looks(sweep_dir)
    return sweep_dir


def keep_epochs(folder, trial, epochs):
    (folder / "looks" / trial).mkdir(parents=True, exist_ok=True)
    for epoch in epochs:
        (folder / "looks" / trial / f"epoch-{epoch:04d}.npz").touch()


def thesis_sweep(folder, kept):
    trunk = stage(1, 40, "trunk", 20.0)
    rows = [
        trial_row("exp3.keep", [trunk, stage(41, 70, "k", 20.0)], epochs=70, best_value=27.0),
        trial_row("exp3.drop", [trunk, stage(41, 70, "d", 0.0)], epochs=70, best_value=26.0),
    ]
    write_table(folder, "trials.parquet", rows)
    for row in rows:
        keep_epochs(folder, row["trial"], kept)
    return load_sweep(folder)


def test_the_thesis_shows_epochs_10_40_41_and_70(sweep_dir):
    sweep = thesis_sweep(sweep_dir, [10, 20, 30, 40, 41, 50, 60, 70])
    assert [moments_of(sweep, run) for run in sweep.runs] == [(10, 40, 41, 70)] * 2


def test_a_run_that_never_forked_shows_the_same_epochs_but_none_after_a_fork(sweep_dir):
    write_table(sweep_dir, "trials.parquet", [trial_row("exp1", [], epochs=70)])
    keep_epochs(sweep_dir, "exp1", range(10, 71, 10))
    sweep = load_sweep(sweep_dir)
    assert moments_of(sweep, sweep.runs[0]) == (10, 40, None, 70)


def test_where_an_epoch_was_not_kept_the_nearest_is_shown_the_earlier_of_two(sweep_dir):
    sweep = thesis_sweep(sweep_dir, [7, 13, 38, 42, 60])
    assert moments_of(sweep, sweep.runs[0]) == (7, 38, None, 60)


def test_an_epoch_is_shown_in_one_place_only(sweep_dir):
    sweep = thesis_sweep(sweep_dir, [41, 70])
    assert moments_of(sweep, sweep.runs[0]) == (None, None, 41, 70)


def test_each_branch_of_several_switches_shows_its_own_fork(sweep_dir):
    first, second = stage(1, 20, "a", 1.0), stage(21, 40, "b", 1.0)
    rows = [
        trial_row("keep", [first, second, stage(41, 70, "c", 1.0)], epochs=70),
        trial_row("late", [first, second, stage(41, 70, "d", 0.0)], epochs=70),
        trial_row("soon", [first, stage(21, 70, "e", 0.0)], epochs=70),
    ]
    write_table(sweep_dir, "trials.parquet", rows)
    for row in rows:
        keep_epochs(sweep_dir, row["trial"], [10, 20, 21, 30, 40, 41, 50, 60, 70])
    sweep = load_sweep(sweep_dir)
    assert [own_forks(sweep, run) for run in sweep.runs] == [(20, 40), (20, 40), (20,)]
    assert [([run.trial for run in b.runs], b.moments) for b in branches(sweep, sweep.runs)] == [
        (["keep", "late", "soon"], (10, None, None, None)),
        (["keep", "late"], (None, 40, None, None)),
        (["keep"], (None, None, 41, 70)),
        (["late"], (None, None, 41, 70)),
        (["soon"], (None, 20, 21, 70)),
    ]


def test_a_trunk_is_shown_once_and_each_branch_from_where_it_parts(looks_dir):
    sweep = load_sweep(looks_dir)
    found = branches(sweep, sweep.runs)
    assert [([run.trial for run in b.runs], b.moments) for b in found] == [
        (["never"], (1, 3, 4, 6)),
        (["exp.keep", "exp.drop"], (1, 3, None, None)),
        (["exp.keep"], (None, None, 4, 6)),
        (["exp.drop"], (None, None, 4, 6)),
    ]


def test_runs_without_kept_slices_have_no_branch(looks_dir):
    for path in (looks_dir / "looks/never").iterdir():
        path.unlink()
    sweep = load_sweep(looks_dir)
    assert {run.trial for b in branches(sweep, sweep.runs) for run in b.runs} == {
        "exp.keep", "exp.drop",
    }  # fmt: skip


def test_of_many_runs_the_best_are_shown_in_the_order_of_the_recipe(sweep_dir):
    values = [20.0, 29.0, 21.0, 28.0, 27.0, 26.0, 25.0, 24.0]
    rows = [trial_row(f"t{i}", [], best_value=value) for i, value in enumerate(values)]
    write_table(sweep_dir, "trials.parquet", rows)
    sweep = load_sweep(sweep_dir)
    shown = shown_runs(sweep)
    assert [run.trial for run in shown] == ["t1", "t3", "t4", "t5", "t6", "t7"]
    told = left_out(sweep, shown, where="looks")
    assert told == (
        f"Shown are the best 6 of 8 runs by val/psnr; the others lie in {sweep_dir.name}/looks."
    )
    assert left_out(sweep, sweep.runs, where="looks") == ""


def test_a_failed_run_is_shown_after_the_finished_ones(sweep_dir):
    rows = trial_rows()
    rows[0] |= {"status": "FAILED", "best_value": None}
    write_table(sweep_dir, "trials.parquet", rows)
    sweep = load_sweep(sweep_dir)
    assert [run.trial for run in shown_runs(sweep, limit=2)] == ["exp.keep", "exp.drop"]
    assert [run.trial for run in shown_runs(sweep)] == ["never", "exp.keep", "exp.drop"]


def compared(folder, asked=None):
    pair = two_to_compare(load_sweep(folder), asked)
    return pair and tuple(run.trial for run in pair)


def test_the_best_two_of_different_families_are_compared(sweep_dir):
    assert compared(sweep_dir) == ("exp.keep", "never")  # exp.drop is better than never


def test_within_one_family_its_best_two_are_compared(sweep_dir):
    write_table(sweep_dir, "trials.parquet", trial_rows()[1:])
    assert compared(sweep_dir) == ("exp.keep", "exp.drop")
    write_table(sweep_dir, "trials.parquet", trial_rows()[2:3])
    assert compared(sweep_dir) is None


def test_the_arms_of_the_declared_claim_come_first(sweep_dir):
    claim = {"a": "never", "b": "exp.drop", "on": "ssim_masked"}
    (sweep_dir / "claim.json").write_text(json.dumps(claim))
    assert compared(sweep_dir) == ("never", "exp.drop")


def test_an_arm_with_branches_or_seeds_stands_for_its_best_run(sweep_dir):
    claim = {"a": "never", "b": "exp", "on": "ssim_masked"}
    (sweep_dir / "claim.json").write_text(json.dumps(claim))
    assert compared(sweep_dir) == ("never", "exp.keep")


def test_an_arm_that_did_not_run_leaves_the_best_two(sweep_dir):
    claim = {"a": "never", "b": "elsewhere", "on": "ssim_masked"}
    (sweep_dir / "claim.json").write_text(json.dumps(claim))
    assert compared(sweep_dir) == ("exp.keep", "never")


def test_trials_asked_for_are_compared_and_a_twin_stands_for_its_run(sweep_dir):
    assert compared(sweep_dir, ("always", "exp.drop")) == ("exp.keep", "exp.drop")


def test_two_names_are_read_from_the_command_line():
    assert parse_pair("exp1, exp3.drop") == ("exp1", "exp3.drop")
    for text in ("exp1", "exp1,", "a,b,c", ""):
        with pytest.raises(NoSuchTrial, match=r"expected two trials, as in exp1,exp3\.drop"):
            parse_pair(text)


def test_a_trial_that_is_not_there_or_the_same_is_refused(sweep_dir):
    with pytest.raises(NoSuchTrial, match=r"--compare exp9: no trial.*never, exp.keep"):
        compared(sweep_dir, ("never", "exp9"))
    with pytest.raises(NoSuchTrial, match=r"both are the run exp\.keep"):
        compared(sweep_dir, ("always", "exp.keep"))


def test_a_rule_that_minimises_ranks_the_other_way(sweep_dir):
    write_info(sweep_dir, select={"metric": "val/l1", "mode": "min"})
    assert compared(sweep_dir) == ("never", "exp.drop")
