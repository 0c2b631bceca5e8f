"""Train the leaves of a sweep: by Ray Tune and Ray Train, or in turn in this process."""

import logging
import os
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_prep.errors import PctError
from pct.config import Run
from sweeps.job import Job, failed, read_outcome, write_outcome
from sweeps.keeping import break_off
from sweeps.layout import Layout, lay_out_workers
from sweeps.release import Releases
from sweeps.source import Source
from sweeps.store.leases import Leases
from sweeps.store.store import Store

log = logging.getLogger(__name__)

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DO_NOT_TRACK": "true",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # An actor a leaf that looks for drained nodes: 2 CPU-s and 0.2 GB, to save less than an epoch.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_worker_maximum_startup_concurrency": "8",
    "RAY_worker_niceness": "0",  # Ray's 15 lets anything else on the machine go first
    # glibc gives big tensors back to the system on every free; keeping them saves page faults.
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
}

PAUSE_SECONDS = 0.5
"""Between two looks at what another sweep has committed."""

LOST_NODES = 3
"""How often a leaf is gone on with after its driver was lost."""


@dataclass(frozen=True)
class Where:
    """Where a sweep's leaves are trained."""

    here: bool = False
    """In this process, one after the other, without Ray."""
    address: str = "local"
    """Of a Ray cluster; `local` starts one on this machine."""
    max_concurrent: int | None = None
    gpus: float = 1.0
    """A worker's GPUs, where there are any."""


def set_environment() -> None:
    """Switch telemetry off and set what Ray reads at import; what the user has set stays."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def run_here(source: Source, store: Store, leases: Leases | None = None) -> None:
    """Train each leaf in this process, in turn: for tests, for debugging, for one small machine."""
    from sweeps.trial import train_leaf

    releases = Releases(source, store.which, leases)
    while not releases.over:
        task = releases.next()
        if task is None:  # another sweep on this store trains what is shared
            time.sleep(PAUSE_SECONDS)
            continue
        job = Job.model_validate_json(task.config["job"])
        try:
            train_leaf(job, report=lambda row: None)
        except (PctError, RuntimeError, MemoryError, OSError) as error:
            log.warning("%s failed: %s", job.leaf, error, exc_info=not isinstance(error, PctError))
            break_off(job, str(error))
        releases.ended(job.leaf)


def run_on_ray(
    source: Source,
    store: Store,
    folder: Path,
    *,
    runs: Collection[Run],
    where: Where = Where(),
    leases: Leases | None = None,
) -> None:
    """Hand leaves to Ray Tune until their source is exhausted.

    `runs` are all that may come, as far as workers and threads go. A leaf that fails does not stop
    the others; its outcome says why. A cluster too small for one of them raises `Cramped` at once.
    """
    set_environment()
    store.establish()  # its workers take a folder without a marker for one that is not mounted
    import ray

    owned = not ray.is_initialized()
    if owned:
        connect(where.address)
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        layout = lay_out_workers(nodes, runs, gpus=where.gpus)
        tune_leaves(
            Releases(source, store.which, leases), folder,
            layout=replace(layout, slots=min(where.max_concurrent or layout.slots, layout.slots)),
        )  # fmt: skip
    finally:
        if owned:
            ray.shutdown()


def tune_leaves(
    releases: Releases, folder: Path, *, layout: Layout, stop: dict[str, float] | None = None
) -> None:
    """Run Tune on a connected Ray; `stop` ends each trial once a report reaches its bound."""
    from ray import tune

    from sweeps.brancher import Brancher
    from sweeps.ray_leaf import run_leaf

    tuner = tune.Tuner(
        # The trial's driver holds no CPU: it only waits for its workers, which need them all.
        tune.with_resources(
            tune.with_parameters(run_leaf, layout=layout), {"cpu": 0, "memory": 64 * 2**20}
        ),
        tune_config=tune.TuneConfig(
            search_alg=Brancher(releases), num_samples=-1, max_concurrent_trials=layout.slots,
            trial_name_creator=lambda trial: trial.config["leaf"],
            trial_dirname_creator=lambda trial: trial.config["leaf"],
        ),
        run_config=tune.RunConfig(
            name="tune", storage_path=str((folder / "ray").resolve()), verbose=0, stop=stop,
            failure_config=tune.FailureConfig(max_failures=LOST_NODES),
        ),
    )  # fmt: skip
    for result in tuner.fit():
        job = Job.model_validate_json(result.config["job"])
        if result.error and read_outcome(job) is None:
            write_outcome(job, failed(job, str(result.error).strip().splitlines()[-1]))


def connect(address: str, **options: Any) -> None:
    """Start or join Ray. A bare `ray.init()` would join whatever cluster runs on this host."""
    import ray

    environment, local = worker_environment(), {}
    if address == "local":
        # The dashboard serves the state API, without which stopped trials leak their worker groups;
        # told no address, Ray asks the cluster that was last started on this host, dead or alive.
        port = _free_port()
        environment["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{port}"
        local = {
            "include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": port,
        }  # fmt: skip
    elif address != "auto":
        environment["RAY_ADDRESS"] = address
    ray.init(
        address=address,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": environment},
        **local,
        **options,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def worker_environment() -> dict[str, str]:
    """What workers must find in their environment, whatever node they run on."""
    environment = {name: os.environ[name] for name in ENVIRONMENT}
    if cache := os.environ.get("PCT_CACHE"):
        environment["PCT_CACHE"] = os.path.abspath(cache)  # they run in folders of their own
    return environment
