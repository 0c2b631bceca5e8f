"""Train the leaves of a sweep: by Ray Tune and Ray Train, or in turn in this process."""

import logging
import os
from pathlib import Path
from typing import Any

from data_prep.errors import PctError
from pct.config import Run
from sweeps.job import Job, failed, read_outcome, write_outcome
from sweeps.source import Source
from sweeps.store import Store

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DO_NOT_TRACK": "true",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_worker_maximum_startup_concurrency": "8",
    # glibc gives big tensors back to the system on every free; keeping them saves page faults.
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
}


class Cramped(PctError):
    """A cluster on which a sweep would wait for ever."""


def set_environment() -> None:
    """Switch telemetry off and set what Ray reads at import; what the user has set stays."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def run_here(source: Source) -> None:
    """Train each leaf in this process, in turn: for tests and for debugging."""
    from sweeps.trial import train_leaf

    while jobs := source.more():
        for job in jobs:
            train_leaf(job, report=lambda row: None)
            source.settled(job.leaf)


def run_on_ray(
    source: Source,
    store: Store,
    folder: Path,
    *,
    need: Run,
    address: str = "local",
    max_concurrent: int | None = None,
) -> None:
    """Hand leaves to Ray Tune until their source is exhausted.

    `need` is the leaf that asks for most workers and threads. A leaf that fails does not stop the
    others; its outcome says why. A cluster too small for one leaf raises `Cramped` at once.
    """
    set_environment()
    import ray

    owned = not ray.is_initialized()
    if owned:
        connect(address)
    try:
        slots = num_slots(ray.cluster_resources(), need)
        tune_leaves(source, store, folder, max_concurrent=min(max_concurrent or slots, slots))
    finally:
        if owned:
            ray.shutdown()


def tune_leaves(
    source: Source,
    store: Store,
    folder: Path,
    *,
    max_concurrent: int,
    stop: dict[str, float] | None = None,
) -> None:
    """Run Tune on a connected Ray; `stop` ends each trial once a report reaches its bound."""
    from ray import tune

    from sweeps.search import Brancher

    tuner = tune.Tuner(
        # The trial's driver holds no CPU: it only waits for its workers, which need them all.
        tune.with_resources(run_leaf, {"cpu": 0, "memory": 64 * 2**20}),
        tune_config=tune.TuneConfig(
            search_alg=Brancher(source, store.has), num_samples=-1,
            max_concurrent_trials=max_concurrent,
            trial_name_creator=lambda trial: trial.config["leaf"],
            trial_dirname_creator=lambda trial: trial.config["leaf"],
        ),
        run_config=tune.RunConfig(
            name="tune", storage_path=str((folder / "ray").resolve()), verbose=0, stop=stop
        ),
    )  # fmt: skip
    for result in tuner.fit():
        job = Job.model_validate_json(result.config["job"])
        if result.error and read_outcome(job) is None:
            write_outcome(job, failed(job, str(result.error).strip().splitlines()[-1]))


def connect(address: str, **options: Any) -> None:
    """Start or join Ray. A bare `ray.init()` would join whatever cluster runs on this host."""
    import ray

    # The dashboard serves the state API, without which stopped trials leak their worker groups.
    local = {"include_dashboard": True, "dashboard_host": "127.0.0.1"} if address == "local" else {}
    ray.init(
        address=address,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": worker_environment()},
        **local,
        **options,
    )


def worker_environment() -> dict[str, str]:
    """What workers must find in their environment, whatever node they run on."""
    environment = {name: os.environ[name] for name in ENVIRONMENT}
    if cache := os.environ.get("PCT_CACHE"):
        environment["PCT_CACHE"] = os.path.abspath(cache)  # they run in folders of their own
    return environment


def num_slots(resources: dict[str, float], need: Run) -> int:
    """How many leaves fit on a cluster at once."""
    gpus = resources.get("GPU", 0.0)
    have, each = (gpus, 1) if gpus else (resources.get("CPU", 0.0), need.threads)
    slots = int(have // (need.workers * each))
    if not slots:
        kind = "GPU" if gpus else "CPU"
        raise Cramped(
            f"a leaf needs {need.workers} workers x {each} {kind}, the cluster has "
            f"{have:g} {kind}. Lower workers or threads, or join a larger cluster."
        )
    return slots


def run_leaf(config: dict[str, Any]) -> None:
    """A Tune trial: a `TorchTrainer` for what is left of a leaf, or one report when nothing is."""
    from ray import train, tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    job = Job.model_validate_json(config["job"])
    done = read_outcome(job)
    if done and done.status == "FINISHED":
        tune.report({"epoch": done.epochs, **done.final})
        return
    import ray

    use_gpu = ray.cluster_resources().get("GPU", 0) > 0
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"job": config["job"]},
        scaling_config=train.ScalingConfig(
            num_workers=job.run.workers, use_gpu=use_gpu,
            resources_per_worker=None if use_gpu else {"CPU": job.run.threads},
        ),
        run_config=train.RunConfig(
            name=f"{job.leaf}-{job.key(job.run.epochs)[:8]}",
            storage_path=str((Path(job.folder) / "ray" / "train").resolve()),
            failure_config=train.FailureConfig(max_failures=2),
            callbacks=[TuneReportCallback()],
        ),
    )  # fmt: skip
    trainer.fit()
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
