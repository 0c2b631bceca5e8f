"""Training state, whole: all that a fork needs to equal the run that never stopped."""

import hashlib
import io
import pickle
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data_prep.errors import PctError
from pct.config import NUMERICS, Run
from pct.cost import refuse_above_budget
from pct.ema import Ema, begin_average
from pct.given import load_given
from pct.networks import Discriminator, Generator
from pct.schedule import number_at
from pct.world import gather, rank, world_size

PARTS = (
    "epoch", "generator", "discriminator", "adam_g", "adam_d", "ema", "best", "history", "randoms",
)  # fmt: skip
"""What a saved state holds, beside the numerics it was computed with."""


class BadState(PctError):
    """A checkpoint that is torn, foreign, or from another number of workers."""


@dataclass
class Best:
    """The best generator so far by the run's selection metric."""

    epoch: int
    value: float
    weights: dict[str, Tensor]


@dataclass
class TrainState:
    """Both networks and optimisers, G's average, finished epochs, the best generator, the history.

    Random states of torch, numpy and Python belong to it too; they are taken from and given back
    to the process by `to_bytes` and `from_bytes`, one set a worker.
    """

    generator: Generator
    discriminator: Discriminator
    adam_g: torch.optim.Adam
    adam_d: torch.optim.Adam
    ema: Ema | None
    """The moving average of G, where the run has one."""
    epoch: int = 0
    best: Best | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    """A row an epoch: `epoch`, `time` (UTC seconds) and every metric."""

    @property
    def judged(self) -> Generator:
        """The generator that validation, selection and promotion see."""
        return self.ema.generator if self.ema else self.generator

    def fingerprint(self) -> str:
        """Hash of every value that decides how training goes on, this worker's random state too.

        Times of day in the history are left out.
        """
        digest = hashlib.sha256(str(self.epoch).encode())
        _feed(digest, _content(self))
        if self.best:
            _feed(digest, [self.best.epoch, self.best.value, self.best.weights])
        for row in self.history:
            _feed(digest, {k: v for k, v in row.items() if not k.startswith("time")})
        _feed(digest, _random_state())
        return digest.hexdigest()


def start(run: Run, device: torch.device | None = None) -> TrainState:
    """A fresh state; sets the process's random states from the run's seed (and the rank)."""
    state = _random_networks(run, device or torch.device("cpu"))
    if run.init:
        load_given(run.init, state.generator)
        state.ema = _average(run, state.generator)
        seed_process(run.seed, epoch=0)  # reading the model drew random numbers
    return state


def _random_networks(run: Run, device: torch.device) -> TrainState:
    refuse_above_budget(run)
    torch.manual_seed(run.seed)
    generator = Generator(run.generator).to(device)
    discriminator = Discriminator(run.discriminator).to(device)
    seed_process(run.seed, epoch=0)
    adams = _optimisers(run, generator, discriminator)
    return TrainState(generator, discriminator, *adams, _average(run, generator))


def seed_process(seed: int, *, epoch: int) -> None:
    """Set this worker's random states as a function of (seed, epoch, rank)."""
    words = np.random.SeedSequence([seed, epoch, rank()]).generate_state(3)
    torch.manual_seed(int(words[0]))
    np.random.seed(int(words[1]))
    random.seed(int(words[2]))


def restart_optimisers(state: TrainState, run: Run) -> None:
    """Keep the weights, start all else anew: what a fork by `torch.load(weights)` does."""
    adam_g, adam_d = _optimisers(run, state.generator, state.discriminator)
    state.adam_g, state.adam_d = adam_g, adam_d
    state.ema = _average(run, state.generator)
    seed_process(run.seed, epoch=state.epoch)


def _average(run: Run, generator: Generator) -> Ema | None:
    return begin_average(generator) if run.ema_decay else None


def _optimisers(
    run: Run,
    generator: nn.Module,
    discriminator: nn.Module,
) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    def adam(model: nn.Module, rate: float) -> torch.optim.Adam:
        return torch.optim.Adam(model.parameters(), lr=rate, betas=run.adam_betas, fused=True)

    return (
        adam(generator, number_at(run.schedule.lr_g, 0)),
        adam(discriminator, number_at(run.schedule.lr_d, 0)),
    )


def to_bytes(state: TrainState) -> bytes:
    """The state as one file of tensors and plain values. Every worker must call it."""
    randoms = gather(_random_state())
    best = state.best
    content = {
        "numerics": NUMERICS,
        **_content(state),
        "best": best and {"epoch": best.epoch, "value": best.value, "weights": best.weights},
        "history": state.history,
        "randoms": randoms,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def from_bytes(data: bytes, run: Run, device: torch.device | None = None) -> TrainState:
    """Rebuild a state and set this worker's random states. Loads tensors and plain values only."""
    device = device or torch.device("cpu")
    content = read_content(data, device)
    randoms = content["randoms"]
    if len(randoms) != world_size():
        raise BadState(
            f"a state of {len(randoms)} workers cannot go on with {world_size()}: "
            f"set workers={len(randoms)}."
        )
    state = _random_networks(run, device)
    try:
        state.generator.load_state_dict(content["generator"])
        state.discriminator.load_state_dict(content["discriminator"])
        state.adam_g.load_state_dict(content["adam_g"])
        state.adam_d.load_state_dict(content["adam_d"])
        _set_average(state, content["ema"])
    except (RuntimeError, ValueError, KeyError) as error:
        first = " ".join(str(error).split("\n", 2)[:2])
        raise BadState(
            f"a checkpoint does not fit the run's networks: {first} "
            "Go on with the run that made it."
        ) from error
    state.epoch, state.history = content["epoch"], content["history"]
    best = content["best"]
    state.best = Best(best["epoch"], best["value"], best["weights"]) if best else None
    _set_random_state(randoms[rank()])
    return state


def _set_average(state: TrainState, content: dict[str, Any] | None) -> None:
    if (state.ema is None) != (content is None):
        raise ValueError(f"it holds {'an' if content else 'no'} average of the generator.")
    if state.ema and content:
        state.ema.generator.load_state_dict(content["weights"])
        state.ema.updates = content["updates"]


def read_content(data: bytes, device: torch.device) -> dict[str, Any]:
    """The plain content of a saved state. Unpickles nothing but tensors and plain values."""
    try:
        content = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    except (RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        raise BadState(
            f"a checkpoint of {len(data)} bytes is torn or foreign "
            f"({str(error).partition('. ')[0]}). "
            "Delete it; training goes on from the one before."
        ) from error
    if not isinstance(content, dict) or content.get("numerics") != NUMERICS:
        found = content.get("numerics") if isinstance(content, dict) else type(content).__name__
        raise BadState(
            f"a checkpoint holds numerics {found}, this version computes {NUMERICS}: "
            "train it anew, or install the version that made it."
        )
    if missing := [name for name in PARTS if name not in content]:
        raise BadState(
            f"a checkpoint lacks {', '.join(missing)}. "
            "Delete it; training goes on from the one before."
        )
    return content


def _content(state: TrainState) -> dict[str, Any]:
    return {
        "epoch": state.epoch,
        "generator": state.generator.state_dict(),
        "discriminator": state.discriminator.state_dict(),
        "adam_g": state.adam_g.state_dict(),
        "adam_d": state.adam_d.state_dict(),
        "ema": state.ema
        and {"weights": state.ema.generator.state_dict(), "updates": state.ema.updates},
    }


def _random_state() -> dict[str, Any]:
    """This process's random states as tensors and plain values."""
    name, keys, position, has_gauss, cached = np.random.get_state()
    version, internal, gauss = random.getstate()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": [
            str(name),
            torch.from_numpy(np.asarray(keys, np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "python": [version, list(internal), gauss],
    }


def _set_random_state(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([s.cpu() for s in states["cuda"]])
    name, keys, position, has_gauss, cached = states["numpy"]
    numpy_keys = keys.cpu().numpy().astype(np.uint32)
    np.random.set_state((name, numpy_keys, position, has_gauss, cached))
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))


def _feed(digest: "hashlib._Hash", content: Any) -> None:
    """Hash nested plain values and tensors, in a fixed order."""
    if isinstance(content, Tensor):
        digest.update(content.detach().cpu().contiguous().numpy().tobytes())
    elif isinstance(content, dict):
        for key in sorted(content, key=str):
            digest.update(str(key).encode())
            _feed(digest, content[key])
    elif isinstance(content, list | tuple):
        for item in content:
            _feed(digest, item)
    else:
        digest.update(repr(content).encode())
