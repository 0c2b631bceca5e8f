"""A leaf as a worker receives it, and how it ended."""

import math

from sweeps.job import Job, Outcome, failed, read_outcome, write_outcome
from sweeps.stages import snapshots
from tests.tiny import tiny_run


def job_of(tmp_path, **settings) -> Job:
    return Job(
        leaf="exp3.drop",
        run=tiny_run(**settings),
        base="b",
        data="d",
        store="s",
        folder=str(tmp_path),
        snapshots=(3, 6),
    )


def outcome_of(job: Job, **facts) -> Outcome:
    return Outcome(
        **{
            "leaf": job.leaf,
            "status": "FINISHED",
            "reason": "all epochs done",
            "epochs": 6,
            "key": job.key(job.run.epochs),
            "last_stage": job.key(6),
            "best_epoch": 5,
            "best_value": 21.5,
            "seconds": 3.0,
            "final": {"val3d/mae_head": 100.0},
            **facts,
        }
    )


def test_a_job_survives_json(tmp_path):
    job = job_of(tmp_path, schedule={"lambda_ngf": {0: 20, 3: 0}})
    again = Job.model_validate_json(job.model_dump_json())
    assert again == job
    assert [again.key(n) for n in range(1, 7)] == [job.key(n) for n in range(1, 7)]


def test_an_outcome_comes_back_and_leaves_no_other_file(tmp_path):
    job = job_of(tmp_path)
    assert read_outcome(job) is None
    write_outcome(job, outcome_of(job))
    assert read_outcome(job) == outcome_of(job)
    assert [path.name for path in job.outcome.parent.iterdir()] == ["exp3.drop.json"]


def test_the_outcome_of_another_run_under_the_same_name_is_not_this_ones(tmp_path):
    write_outcome(job_of(tmp_path), outcome_of(job_of(tmp_path)))
    for settings in ({"epochs": 7}, {"schedule": {"lambda_ngf": {0: 20, 5: 0}}}):
        assert read_outcome(job_of(tmp_path, **settings)) is None
    assert read_outcome(job_of(tmp_path).model_copy(update={"base": "other"})) is None
    assert read_outcome(job_of(tmp_path)) is not None


def test_scores_that_are_undefined_survive(tmp_path):
    job = job_of(tmp_path)
    write_outcome(job, outcome_of(job, best_value=math.nan, final={"a": math.nan, "b": math.inf}))
    found = read_outcome(job)
    assert math.isnan(found.best_value)
    assert math.isnan(found.final["a"])
    assert found.final["b"] == math.inf


def test_a_failed_leaf_names_its_last_stage_if_it_has_one(tmp_path):
    job = job_of(tmp_path)
    assert failed(job, "loss is nan").last_stage == ""
    later = failed(job, "loss is nan", 4)
    assert (later.status, later.epochs, later.last_stage) == ("FAILED", 4, job.key(4))
    write_outcome(job, later)
    assert read_outcome(job).reason == "loss is nan"


def test_snapshots_are_forks_tens_and_the_last_epoch():
    assert snapshots(35, (2, 17, 35)) == (2, 10, 17, 20, 30, 35)
    assert snapshots(40, ()) == (10, 20, 30, 40)
    assert snapshots(6, (3,)) == (1, 2, 3, 4, 5, 6)
