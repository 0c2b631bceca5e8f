"""`precision: auto` settled once, by trying both where the hardware knows bfloat16."""

import statistics
import time
from pathlib import Path
from typing import Literal

from pct.config import Run

Precision = Literal["float32", "bfloat16"]

STEPS = 3
"""Timed steps of each precision, after one that warms up."""

SIZE = 128
"""Pixels along a side of the slice that is tried: the ratio hardly depends on it, the time does."""

WORTH = 1.1
"""How many times faster bfloat16 must be: below, the coarser numbers buy nothing."""


def settle_precision(run: Run) -> Precision:
    """bfloat16 with an NVIDIA GPU, or on a CPU that multiplies in it and proves faster so.

    The answer may differ from call to call where both are equally fast: ask once and write it down.
    """
    if Path("/proc/driver/nvidia/version").exists():
        return "bfloat16"
    return faster(time_steps(run)) if cpu_knows_bfloat16() else "float32"


def cpu_knows_bfloat16(facts: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU has instructions for it. Without them bfloat16 is emulated, and slow."""
    words = set(facts.read_text().split()) if facts.exists() else set()
    return bool(words & {"avx512_bf16", "amx_bf16"})


def faster(seconds: dict[Precision, float]) -> Precision:
    """bfloat16 if it is so much faster that it is worth it."""
    return "bfloat16" if seconds["float32"] > WORTH * seconds["bfloat16"] else "float32"


def time_steps(run: Run) -> dict[Precision, float]:
    """Median seconds of a training step on one slice in either precision, taken in turns."""
    import torch

    from pct.batches import Batch
    from pct.objective import weights_at
    from pct.state import start
    from pct.train import train_step

    torch.set_num_threads(run.threads)
    size = min(run.data.size, SIZE)
    state = start(run.model_copy(update={"init": None}))  # any weights take as long
    state.generator.train()
    image = torch.linspace(-1, 1, size * size).view(1, 1, size, size)
    one = torch.ones(1)
    batch = Batch(image, -image, torch.ones_like(image), patient=one, pixel_mm=one)
    weights = weights_at(run, run.epochs - 1)  # after the warm-up, in which D may rest
    kinds: tuple[Precision, ...] = ("float32", "bfloat16")
    seconds: dict[Precision, list[float]] = {kind: [] for kind in kinds}
    for _ in range(STEPS + 1):
        for kind in kinds:
            began = time.perf_counter()
            train_step(state, batch, weights, run.model_copy(update={"precision": kind}))
            seconds[kind].append(time.perf_counter() - began)
    return {kind: statistics.median(values[1:]) for kind, values in seconds.items()}
