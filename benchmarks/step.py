"""One training step against a plain Pix2Pix step, side by side: python benchmarks/step.py [ROUNDS].

CPU milliseconds of one thread, `laptop` preset, 128 x 128, batch 8; both steps give equal weights
to 1e-6 (tests/pct/test_train.py). Plain: two passes of D on the fake, Adam in a loop.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from pct.batches import Batch
from pct.config import build_run, load_preset
from pct.objective import weights_at
from pct.state import start
from pct.train import train_step
from tests.pct.reference import reference_step

STEPS = 4
"""Steps a round."""


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    run = build_run(load_preset("laptop"))
    images = torch.rand(3, run.batch, 1, run.data.size, run.data.size) * 2 - 1
    batch = Batch(images[0], images[1], (images[2] > 0).float())
    weights = weights_at(run, 0)
    ours, plain = start(run), start(run)
    for name in ("adam_g", "adam_d"):
        model = plain.generator if name == "adam_g" else plain.discriminator
        setattr(plain, name, torch.optim.Adam(model.parameters(), lr=1e-4, foreach=False))
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(rounds + 1):
        times["plain"].append(timed(lambda: reference_step(plain, batch, weights, run)))
        times["ours"].append(timed(lambda: train_step(ours, batch, weights, run)))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:<6} {value:6.0f} ms CPU a step")
    print(f"ratio  {medians['plain'] / medians['ours']:6.2f} ({rounds} rounds of {STEPS} steps)")


def timed(step: Callable[[], object]) -> float:
    """CPU milliseconds a step."""
    began = time.process_time()
    for _ in range(STEPS):
        step()
    return (time.process_time() - began) / STEPS * 1000


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
