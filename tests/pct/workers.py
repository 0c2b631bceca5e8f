"""What a worker process of `test_world` does: train over gloo, straight and resumed."""

import datetime
import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from pct.config import Run
from pct.finite import NonFinite, require_finite
from pct.state import from_bytes, start, to_bytes
from pct.train import TrainingData, fit
from pct.world import average_buffers, average_gradients, from_first, gather, sum_over_ranks
from tests.pct.restless import RESTLESS, opened, saved
from tests.tiny import disc_slices, tiny_run


def train_together(rank: int, world: int, folder: str) -> None:
    """Train 6 epochs straight, and 3 + 3 through bytes; rank 0 writes what came of both."""
    torch.set_num_threads(1)
    store = distributed.FileStore(str(Path(folder) / "rendezvous"), world)
    limit = datetime.timedelta(seconds=60)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=limit)
    run = tiny_run(
        workers=world, ema_decay=0.9, clip_norm=20.0, augment=RESTLESS["augment"],
        schedule={"lambda_ngf": {0: 20, 3: 0}, "lambda_bg": 10},
    )  # fmt: skip
    # Heads of very different size in a batch: the shares of the workers' masks differ.
    data = TrainingData(disc_slices(cases=3, per_case=4), disc_slices(cases=2, per_case=3, seed=9))
    straight = summary(fit(start(run), run, data, until=6))
    half = to_bytes(fit(start(run), run, data, until=3))
    resumed = summary(fit(from_bytes(half, run), run, data, until=6))
    content = opened(half)
    randoms = len(content["randoms"])
    content["randoms"] = content["randoms"][:1] * world
    alike = summary(fit(from_bytes(saved(content), run), run, data, until=6))
    equal_run = without_batch_statistics(workers=world)
    together = fit(start(equal_run), equal_run, data, until=1)
    found = gather(
        {
            "straight": straight,
            "resumed": resumed,
            "alike": alike,
            "together": summary(together),
            "exchanged": exchanged(rank),
        }
    )
    if rank == 0:
        content = {"workers": found, "randoms": randoms}
        (Path(folder) / "found.json").write_text(json.dumps(content))
    distributed.destroy_process_group()


def exchanged(rank: int) -> dict[str, Any]:
    """What becomes of numbers that each worker brings: 1 of the first, 2 of the second, ..."""
    model = torch.nn.BatchNorm1d(1)
    own = torch.tensor([rank + 1.0])
    model.weight.grad = own.clone()  # the bias has no gradient
    model.running_mean.copy_(own)
    model.num_batches_tracked.fill_(7)
    average_gradients(model.parameters())
    average_buffers(model)
    return {
        "gradient": model.weight.grad.item(),
        "no_gradient": model.bias.grad,
        "buffer": model.running_mean.item(),
        "counter": model.num_batches_tracked.item(),
        "sum": sum_over_ranks(own).item(),
        "own": own.item(),
        "all": gather(rank + 1),
        "first": from_first(rank + 1),
        "stopped": stopped(rank),
    }


def stopped(rank: int) -> str:
    """What each worker is told when only the first has met a loss that is not finite."""
    step = {"loss/l1": torch.tensor(1.0), "loss/ngf": torch.tensor(1.0)}
    broken = step | {"loss/ngf": torch.tensor(math.inf)}
    try:
        require_finite([step, step if rank else broken], epoch=5)
    except NonFinite as error:
        return str(error)
    return "went on"


def without_batch_statistics(*, workers: int) -> Run:
    """A run that gives the same losses and gradients on any number of workers."""
    return tiny_run(
        workers=workers, flip=0, generator={"norm": "instance"}, schedule={"lambda_bg": 10}
    )


def summary(state: Any) -> dict[str, Any]:
    terms = {k: v for k, v in state.history[0].items() if k.startswith(("loss/", "val/"))}
    total = [p.double().sum().item() for p in state.generator.parameters()]
    average = [t.double().sum().item() for t in state.judged.state_dict().values()]
    return {
        "fingerprint": state.fingerprint(),
        "weights": total,
        "average": average,
        "first_epoch": terms,
    }
