"""What a point is worth: final scores, or the median of the last looks after the fork."""

import math

import pytest

from sweeps import spool
from sweeps.job import write_outcome
from sweeps.recipe import Leaf
from sweeps.search.judge import forked_at, judge, leaf_value
from sweeps.search.space import Search
from tests.sweeps.made_up import outcome_of
from tests.sweeps.random_trees import jobs_of
from tests.tiny import tiny_run

PSNR = "val/psnr_masked"
UP = Search.model_validate({"maximise": [PSNR]})


def leaf_of(folder, values, *, name="leaf", **settings):
    """A finished leaf whose history holds these values of PSNR, epoch by epoch."""
    run = tiny_run(**{"epochs": 12, **settings})
    (job,) = jobs_of([Leaf(name, run, {})])
    job = job.model_copy(update={"folder": str(folder)})
    spool.begin(_made(job.spool), job.key(job.run.epochs))
    rows = [{"epoch": i + 1, "time": 0.0, PSNR: value} for i, value in enumerate(values)]
    spool.add_epochs(job.spool, rows, carried=False)
    outcome = outcome_of(job, {"val3d/mae_head": 90.0}, epochs=len(values))
    write_outcome(job, outcome)
    return job, outcome


def _made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_history_counts_by_the_median_of_its_last_five_looks_never_by_its_best(tmp_path):
    values = [50, 50, 50, 50, 50, 50, 50, 24, 21, 99, 22, 23]
    job, outcome = leaf_of(tmp_path, values)
    assert leaf_value(job, outcome, PSNR) == 23


def test_only_looks_after_the_fork_count_and_they_may_be_fewer(tmp_path):
    fork = {"schedule": {"lambda_ngf": {0: 20, 9: 0}}}
    job, outcome = leaf_of(tmp_path, [30] * 9 + [20, 22, 21], **fork)
    assert leaf_value(job, outcome, PSNR) == 21


def test_a_leaf_that_stopped_before_its_fork_is_judged_by_what_it_trained(tmp_path):
    late = {"schedule": {"lambda_ngf": {0: 20, 9: 0}}, "warmup_epochs": 2}
    job, outcome = leaf_of(tmp_path, [90, 90, 20, 21, 22, 23], **late)
    assert leaf_value(job, outcome, PSNR) == 21.5


@pytest.mark.parametrize(("epochs", "expected"), [(12, 7), (7, 4), (4, 2), (2, 0)])
def test_the_fork_is_the_last_change_that_was_reached(epochs, expected):
    schedule = {"lambda_ngf": {0: 20, 7: 0}, "lr_g": {0: 2e-4, 4: 1e-4}}
    assert forked_at(tiny_run(epochs=12, warmup_epochs=2, schedule=schedule), epochs) == expected


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_look_that_is_not_finite_rules_the_leaf_out(tmp_path, bad):
    job, outcome = leaf_of(tmp_path, [20] * 11 + [bad])
    assert math.isnan(leaf_value(job, outcome, PSNR))
    verdict = judge([job], UP)
    assert (verdict.leaf, verdict.reason) == (None, "leaf: no finite val/psnr_masked")


def test_final_scores_are_those_of_the_outcome(tmp_path):
    job, outcome = leaf_of(tmp_path, [20] * 12)
    assert leaf_value(job, outcome, "val3d/mae_head") == 90
    assert math.isnan(leaf_value(job, outcome, "val3d/dice_skull"))


def test_the_best_leaf_is_the_highest_where_one_maximises(tmp_path):
    jobs = [leaf_of(tmp_path, [v] * 12, name=f"l{v}", seed=v)[0] for v in (20, 25, 22)]
    assert judge(jobs, UP).leaf == "l25"
    assert judge(jobs, UP).values == {PSNR: 25}


def test_the_second_aim_decides_between_equals_only(tmp_path):
    both = Search.model_validate({"minimise": ["val3d/mae_head"], "maximise": [PSNR]})
    jobs = [leaf_of(tmp_path, [v] * 12, name=f"l{v}", seed=v)[0] for v in (20, 25)]
    assert judge(jobs, both).leaf == "l25"
    (job, _) = leaf_of(tmp_path, [1] * 12, name="sharp", seed=3)
    write_outcome(job, outcome_of(job, {"val3d/mae_head": 89.0}, epochs=12))
    assert judge([*jobs, job], both).leaf == "sharp"


def test_a_point_without_an_outcome_says_so(tmp_path):
    (job,) = jobs_of([Leaf("leaf", tiny_run(), {})])
    job = job.model_copy(update={"folder": str(tmp_path)})
    assert judge([job], UP).reason == "no leaf has ended"
