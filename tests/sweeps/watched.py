"""What the workers of a Ray really train: a line in a log an epoch begun, and a pause after it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from sweeps.job import Job
from tests.sweeps.inside import LOG, PAUSE, epoch_key, into_workers

ROOT = Path(__file__).parents[2]
HOOK = f"{into_workers.__module__}.{into_workers.__name__}"


@contextmanager
def watching(log: Path, *, pause: float) -> Iterator[None]:
    """Workers of a Ray started meanwhile write to `log`, and pause after each epoch."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(log, pause=pause).items():
            patch.setenv(name, value)
        yield


def environment(log: Path, *, pause: float) -> dict[str, str]:
    """Variables for a process that starts a Ray so watched."""
    return {
        "RAY_RUNTIME_ENV_HOOK": HOOK, "PYTHONPATH": str(ROOT), LOG: str(log), PAUSE: str(pause),
        "RAY_worker_niceness": "0",  # 15 by default: beside other work they would starve
    }  # fmt: skip


def begun(log: Path) -> list[str]:
    """Keys of the epochs begun so far, in order."""
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def workers_of(log: Path, job: Job) -> list[int]:
    """Processes that have begun epochs of a leaf as its first worker, in order."""
    own = {epoch_key(job.run, epoch) for epoch in range(1, job.run.epochs + 1)}
    lines = [line.split() for line in log.read_text().splitlines()]
    return list(dict.fromkeys(int(pid) for key, pid, _ in lines if key in own))


def planned(jobs: Sequence[Job]) -> set[str]:
    """Keys of the epochs that these leaves have, each once."""
    return {epoch_key(job.run, epoch) for job in jobs for epoch in range(1, job.run.epochs + 1)}


def marked(log: Path) -> list[psutil.Process]:
    """Processes that run with this log in their environment: a driver so watched, and its Ray."""
    return [process for process in psutil.process_iter() if _is_marked(process, log)]


def _is_marked(process: psutil.Process, log: Path) -> bool:
    try:
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and process.environ().get(LOG) == str(log)
    except psutil.Error:
        return False
