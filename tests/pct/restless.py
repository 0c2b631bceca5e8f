"""A tiny run in which everything that a state keeps is on and at work, and checkpoints of it."""

import io
import random
from typing import Any

import numpy as np
import torch

from pct.config import Run
from pct.state import TrainState
from pct.train import EpochEnd, TrainingData, fit
from tests.tiny import tiny_run


def full_run(**settings: Any) -> Run:
    """A tiny run with everything on that keeps a state or draws a random number."""
    return tiny_run(**{**RESTLESS, **settings})


RESTLESS: dict[str, Any] = {
    "ema_decay": 0.8,
    "clip_norm": 20.0,
    "augment": {"rotate_deg": 8, "scale": 0.1, "shift": 0.05, "gamma": 0.2, "bias": 0.2},
    # Its best epoch comes before the checkpoint, so that the checkpoint must carry it.
    "schedule": {"lr_g": {0: 2e-3, 3: 2e-2}},
}


def draw_noise(event: EpochEnd, state: TrainState) -> None:
    """Let every source of randomness in the process act on the weights."""
    bias = next(state.generator.parameters())
    with torch.no_grad():
        bias += 1e-3 * (torch.rand(()) + np.random.rand() + random.random())


def train(state: TrainState, run, data: TrainingData, *, until: int) -> TrainState:
    return fit(state, run, data, until=until, listeners=[draw_noise])


def scramble_process() -> None:
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def opened(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


def edit(data: bytes, **parts: Any) -> bytes:
    content = torch.load(io.BytesIO(data), weights_only=True)
    content.update(parts)
    return saved(content)
