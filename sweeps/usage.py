"""What a worker uses of its machine: a line an epoch, which the driver sends to tracking."""

import logging
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import time

import psutil

from sweeps import spool
from sweeps.job import Job

log = logging.getLogger(__name__)


def path_of(job: Job, worker: int) -> Path:
    """The spool of one worker's use."""
    return job.spool.parent / "usage" / f"{job.leaf}.worker{worker}.jsonl"


def metric_of(worker: int) -> str:
    """A metric that stands in each of its lines."""
    return f"system/worker{worker}/cpu_percent"


def meter(job: Job, worker: int) -> Callable[[int], None]:
    """A function to be called after every epoch: it notes the use since the last call.

    100 cpu_percent are one core. A known epoch, of a resumed run, is passed over. What cannot be
    measured or written is left out: no training ends for it.
    """
    process, write = psutil.Process(), _writer(job, worker)
    tells_percent = _gpu_percent() is not None
    write([])
    process.cpu_percent()  # the first call begins to count

    def note(epoch: int) -> None:
        with process.oneshot():
            use = {
                "cpu_percent": process.cpu_percent(),
                "memory_mb": process.memory_info().rss / 1e6,
                **_gpu_memory(),
            }
        if tells_percent and (percent := _gpu_percent()) is not None:
            use["gpu_percent"] = percent
        named = {f"system/worker{worker}/{name}": value for name, value in use.items()}
        write([{"epoch": epoch, "time": time(), **named}])

    return note


def _writer(job: Job, worker: int) -> Callable[[list[dict[str, float]]], None]:
    """Appends rows to the worker's spool; the first that cannot be written is warned of."""
    path, begun, warned = path_of(job, worker), False, False

    def write(rows: list[dict[str, float]]) -> None:
        nonlocal begun, warned
        try:
            if not begun:  # after an error too: it cuts off a line that was half-written
                path.parent.mkdir(parents=True, exist_ok=True)
                spool.begin(path, job.last_key)
            spool.add_epochs(path, rows, carried=False)
            begun = True
        except (OSError, spool.DamagedSpool) as error:
            if not warned:
                log.warning("what worker %d of %s uses is not noted: %s", worker, job.leaf, error)
            begun, warned = False, True

    return write


def _gpu_memory() -> dict[str, float]:
    """At its highest."""
    import torch

    if not torch.cuda.is_available():
        return {}
    return {"gpu_memory_mb": torch.cuda.max_memory_allocated() / 1e6}


def _gpu_percent() -> float | None:
    """How busy it is; None without NVIDIA's package, or where the driver refuses to tell."""
    import torch

    if not torch.cuda.is_available() or not find_spec("pynvml"):
        return None
    try:
        refused = (RuntimeError, ImportError, import_module("pynvml").NVMLError)
    except ImportError:
        return None
    try:
        return float(torch.cuda.utilization())
    except refused:  # a slice of a GPU (MIG, vGPU) has no percentage
        return None
