"""What a worker uses of its machine: a line an epoch, which the driver sends to tracking."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import time

import psutil

from sweeps import spool
from sweeps.job import Job


def path_of(job: Job, worker: int) -> Path:
    """The spool of one worker's use."""
    return job.spool.parent / "usage" / f"{job.leaf}.worker{worker}.jsonl"


def metric_of(worker: int) -> str:
    """A metric that stands in each of its lines."""
    return f"system/worker{worker}/cpu_percent"


def meter(job: Job, worker: int) -> Callable[[int], None]:
    """A function to be called after every epoch: it notes the use since the last call.

    100 cpu_percent are one core. A known epoch, of a resumed run, is passed over.
    """
    process, path = psutil.Process(), path_of(job, worker)
    path.parent.mkdir(parents=True, exist_ok=True)
    spool.begin(path, job.last_key)
    process.cpu_percent()  # the first call begins to count

    def note(epoch: int) -> None:
        with process.oneshot():
            use = {
                "cpu_percent": process.cpu_percent(),
                "memory_mb": process.memory_info().rss / 1e6,
                **_gpu(),
            }
        named = {f"system/worker{worker}/{name}": value for name, value in use.items()}
        spool.add_epochs(path, [{"epoch": epoch, "time": time(), **named}], carried=False)

    return note


def _gpu() -> dict[str, float]:
    """Memory at its highest; how busy, where NVIDIA's package tells."""
    import torch

    if not torch.cuda.is_available():
        return {}
    use = {"gpu_memory_mb": torch.cuda.max_memory_allocated() / 1e6}
    if find_spec("pynvml"):
        use["gpu_percent"] = float(torch.cuda.utilization())
    return use
