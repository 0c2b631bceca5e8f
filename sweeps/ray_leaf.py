"""A leaf inside Ray: its Tune trial, which drives a group of Train workers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.errors import PctError
from sweeps import spool
from sweeps.job import Job, read_outcome
from sweeps.keeping import break_off
from sweeps.layout import Layout
from sweeps.store.store import Store

if TYPE_CHECKING:
    from ray.train import TrainingFailedError

LOST_WORKERS = 2
"""How often a leaf is gone on with after its workers broke off."""


def run_leaf(config: dict[str, Any], layout: Layout) -> None:
    """A Tune trial: a `TorchTrainer` for what is left of a leaf, or one report when nothing is."""
    from ray import train, tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    job = Job.model_validate_json(config["job"])
    if done := read_outcome(job):
        tune.report({"epoch": done.epochs, **done.final})
        return
    tell_trial_id(job, tune.get_context().get_trial_id())
    scaling = train.ScalingConfig(
        num_workers=job.run.workers, use_gpu=layout.gpus > 0,
        resources_per_worker=layout.worker(job.run),
    )  # fmt: skip
    how = train.RunConfig(
        name=f"{job.leaf}-{job.last_key[:8]}",
        storage_path=str((Path(job.folder) / "ray" / "train").resolve()),
        failure_config=train.FailureConfig(max_failures=LOST_WORKERS),
        callbacks=[TuneReportCallback()],
    )
    given = {"job": config["job"]}
    try:
        TorchTrainer(
            train_worker, train_loop_config=given, scaling_config=scaling, run_config=how
        ).fit()
    except train.TrainingFailedError as error:
        if read_outcome(job) is None:  # else it broke off after it had ended
            break_off(job, reason_of(error))
    # One that failed by itself ends as any other: an error is what Tune tries again.
    if read_outcome(job) is None:
        raise RuntimeError("the leaf ended without an outcome")


def tell_trial_id(job: Job, trial_id: str) -> None:
    """Under which name Ray's logs know this leaf; its workers have not begun to write yet."""
    spool.begin(job.spool, job.last_key)
    spool.append(job.spool, {"kind": "ray", "trial": trial_id})


def train_worker(config: dict[str, Any]) -> None:
    """One worker of a leaf, inside Ray Train.

    What is a user's to mend ends the leaf: trying again would fail again.
    """
    from ray import train
    from ray.train.torch import get_device

    from sweeps.trial import train_leaf

    job = Job.model_validate_json(config["job"])
    if read_outcome(job):  # one of several workers has ended the leaf
        return
    # The driver has made it: a folder without its marker is one that is not mounted here.
    store = Store(job.store, must_exist=True)
    try:
        train_leaf(job, report=train.report, device=get_device(), store=store)
    except PctError as error:
        break_off(job, str(error))
        if job.run.workers > 1:
            raise  # so that Ray ends the others, which may wait for this one


def reason_of(error: "TrainingFailedError") -> str:
    """What the worker that broke off first says, in a line."""
    failures = getattr(error, "worker_failures", {})
    text = str(failures[min(failures)] if failures else error)
    return next((line for line in reversed(text.splitlines()) if line.strip()), text)
