"""NGF with its backward pass, gradients by kornia and by slices: python benchmarks/ngf.py [ROUNDS].

CPU milliseconds of one thread, batch 14 of 256 x 256, the two in turn; they agree to 1e-6
(tests/pct/test_ngf.py).
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))

from pct.ngf import library_slopes, ngf, squared_cosine

ALPHA = 0.08


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pct, mr = torch.rand(2, 14, 1, 256, 256) * 2 - 1
    ways = {"kornia": by_kornia, "slices": lambda pct, mr: ngf(pct, mr, alpha=ALPHA)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            times[name].append(timed(way, pct, mr))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:<6} {value:6.1f} ms CPU")
    print(f"ratio  {medians['kornia'] / medians['slices']:6.2f} ({rounds} rounds)")


def by_kornia(pct: Tensor, mr: Tensor) -> Tensor:
    one, other = library_slopes(pct, "sobel"), library_slopes(mr, "sobel")
    return 1.0 - 0.5 * squared_cosine(one, other, ALPHA).mean()


def timed(way: Callable[[Tensor, Tensor], Tensor], pct: Tensor, mr: Tensor) -> float:
    """CPU milliseconds of the value and its gradient by `pct`."""
    leaf = pct.clone().requires_grad_()
    began = time.process_time()
    torch.autograd.grad(way(leaf, mr), leaf)
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
