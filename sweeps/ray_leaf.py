"""A leaf inside Ray: its Tune trial, which drives a group of Train workers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.job import Job, failed, read_outcome, write_outcome
from sweeps.stages import committed_epochs
from sweeps.store import Store

if TYPE_CHECKING:
    from ray.train import TrainingFailedError

LOST_WORKERS = 2
"""How often a leaf is gone on with after its workers broke off."""


def run_leaf(config: dict[str, Any], each: dict[str, float]) -> None:
    """A Tune trial: a `TorchTrainer` for what is left of a leaf, or one report when nothing is."""
    from ray import train, tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    job = Job.model_validate_json(config["job"])
    done = read_outcome(job)
    if done and done.status == "FINISHED":
        tune.report({"epoch": done.epochs, **done.final})
        return
    if done:  # Tune tries again what a lost node broke off, not what failed by itself
        raise RuntimeError(done.reason)
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"job": config["job"]},
        scaling_config=train.ScalingConfig(
            num_workers=job.run.workers, use_gpu="GPU" in each, resources_per_worker=each
        ),
        run_config=train.RunConfig(
            name=f"{job.leaf}-{job.last_key[:8]}",
            storage_path=str((Path(job.folder) / "ray" / "train").resolve()),
            failure_config=train.FailureConfig(max_failures=LOST_WORKERS),
            callbacks=[TuneReportCallback()],
        ),
    )
    try:
        trainer.fit()
    except train.TrainingFailedError as error:
        reached = committed_epochs(job.course, Store(job.store).has)
        write_outcome(job, failed(job, reason_of(error), reached))
    outcome = read_outcome(job)
    if outcome is None or outcome.status == "FAILED":
        raise RuntimeError(outcome.reason if outcome else "the leaf ended without an outcome")


def train_worker(config: dict[str, Any]) -> None:
    """One worker of a leaf, inside Ray Train."""
    from ray import train
    from ray.train.torch import get_device

    from sweeps.trial import train_leaf

    job = Job.model_validate_json(config["job"])
    train_leaf(job, report=train.report, device=get_device())


def reason_of(error: "TrainingFailedError") -> str:
    """What the worker that broke off first says, in a line."""
    failures = getattr(error, "worker_failures", {})
    text = str(failures[min(failures)] if failures else error)
    return next((line for line in reversed(text.splitlines()) if line.strip()), text)
