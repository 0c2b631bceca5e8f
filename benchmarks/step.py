"""One training step against a plain Pix2Pix step: python benchmarks/step.py [--preset laptop].

Plain is the usual script with the same networks and losses (tests/pct/reference.py): two passes of
D on the fake, NGF by convolutions, PyTorch's default Adam, float32. Ours in float32, and in
bfloat16 where the CPU has instructions for it. In turn, one thread, median CPU milliseconds a step;
how far the loss terms of the first steps lie apart; the peak memory above that of the imports,
networks and optimisers included, of each in a process of its own. Adam's eps is raised: at 1e-8 it
makes whole steps out of the rounding of gradients that are 0. One full-size step of the thesis:

    python benchmarks/step.py --preset thesis_exp1 --batch 1 --steps 1 --rounds 2
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from pct.batches import Batch
from pct.config import Run, build_run, load_preset, merge
from pct.networks import count_parameters
from pct.objective import weights_at
from pct.precision import cpu_knows_bfloat16
from pct.state import TrainState, start
from pct.train import train_step
from tests.pct.reference import reference_step
from tests.pct.steps import gentle

Terms = dict[str, float]
Step = Callable[[], Terms]
SAME = 1e-5
"""Of each loss term, relative, over the first steps in float32."""
COMPARED = 2
"""Steps: before and after an update of both networks. In later ones any rounding grows: weights
changed by 1e-7 move the plain step's own losses by 1e-3 (thesis_exp1)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--steps", type=int, default=4, help="a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    changed = {} if options.batch is None else {"batch": options.batch}
    run = build_run(merge(load_preset(options.preset), changed))
    if options.peak_of:
        return peak(run, options.peak_of)
    steps = {name: step_of(run, name) for name in ways()}
    seen: dict[str, list[Terms]] = {name: [] for name in steps}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.rounds + 1):
        for name, step in steps.items():
            began = time.process_time()
            seen[name] += [step() for _ in range(options.steps)]
            times[name].append((time.process_time() - began) / options.steps * 1000)
    print(f"{options.preset}, batch {run.batch} of {run.data.size}^2, {sizes(run)}")
    first = {name: terms[:COMPARED] for name, terms in seen.items()}
    report(times, first)
    sys.exit(apart(first["ours"], first["plain"]) > SAME)


def ways() -> list[str]:
    return ["plain", "ours", *(["ours, bfloat16"] if cpu_knows_bfloat16() else [])]


def step_of(run: Run, name: str) -> Step:
    """Steps of one kind on one batch, from the run's own start."""
    batch, weights, state = batch_of(run), weights_at(run, run.epochs - 1), start(run)
    precision = "bfloat16" if "bfloat16" in name else "float32"
    run = run.model_copy(update={"precision": precision})
    if name == "plain":
        use_default_adam(state)
    state = gentle(state)
    step = reference_step if name == "plain" else train_step
    return lambda: {k: float(term) for k, term in step(state, batch, weights, run).items()}


def batch_of(run: Run) -> Batch:
    """Noise, and a head that fills half of each slice."""
    torch.manual_seed(0)
    size = run.data.size
    mr, ct = torch.rand(2, run.batch, 1, size, size) * 2 - 1
    across = torch.linspace(-1, 1, size)
    head = (across[:, None] ** 2 + across**2 < 0.64).float().expand_as(mr)
    return Batch(mr, ct, head.contiguous())


def use_default_adam(state: TrainState) -> None:
    for name, model in (("adam_g", state.generator), ("adam_d", state.discriminator)):
        group = getattr(state, name).param_groups[0]
        plain = torch.optim.Adam(model.parameters(), lr=group["lr"], betas=group["betas"])
        setattr(state, name, plain)


def report(times: dict[str, list[float]], seen: dict[str, list[Terms]]) -> None:
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, value in medians.items():
        print(
            f"{name:<15} {value:8.0f} ms CPU a step, {medians['plain'] / value:5.2f} times faster, "
            f"losses {apart(seen[name], seen['plain']):.1e} apart, peak {peak_gib(name):5.2f} GiB",
            flush=True,
        )
    if not cpu_knows_bfloat16():
        print("bfloat16 is not measured: this CPU has no avx512_bf16 or amx_bf16.")


def apart(ours: list[Terms], plain: list[Terms]) -> float:
    """Largest relative difference of a loss term."""
    pairs = zip(ours, plain, strict=True)
    return max(abs(a[name] - b[name]) / abs(b[name]) for a, b in pairs for name in b)


def sizes(run: Run) -> str:
    state = start(run)
    nets = (state.generator, state.discriminator)
    return "generator {:.1f} M, discriminator {:.1f} M".format(
        *(count_parameters(net) / 1e6 for net in nets)
    )


def peak_gib(name: str) -> float:
    command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak(run: Run, name: str) -> None:
    before = resident("VmRSS")
    step = step_of(run, name)
    for _ in range(2):  # Adam makes its states in the first
        step()
    print((resident("VmHWM") - before) / 2**20)


def resident(what: str) -> int:
    """KiB of this process, now (`VmRSS`) or at most (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


if __name__ == "__main__":
    main()
