"""Masked 3D SSIM against a dense conv3d: python benchmarks/ssim.py [DEPTH HEIGHT WIDTH].

Dense: thesis Algorithm 1 as it is written, six convolutions of the volume with an 11^3 window. Ours
(pct/metrics/ssim.py): separable, cropped to the mask's box; given a head as the mask, and one that
fills the volume. scikit-image, which knows no mask, beside them. Float32, one thread, in turn; the
median of CPU seconds, and the peak memory above the inputs, of each in a process of its own. Values
are held against ours in float64, which tests/pct/test_ssim.py holds against a brute-force loop: the
dense form in float64 would take 179 GB here. It exits with 1 where ours is more than 1e-5 off the
dense form, or from float64.
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
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional as F

from pct.metrics.ssim import C1, C2, DATA_RANGE, SIGMA, ssim

WINDOW, EPS, APART = 11, 1e-8, 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("shape", nargs="*", type=int, default=[64, 512, 512])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ways = ways_of(*volumes(options.shape))
    if options.peak_of:
        before = resident("VmRSS")
        ways[options.peak_of]()
        print((resident("VmHWM") - before) / 2**20)
        return
    times: dict[str, list[float]] = {name: [] for name in ways}
    values: dict[str, float] = {}
    for _ in range(options.rounds):
        for name, way in ways.items():
            began = time.process_time()
            values[name] = way()
            times[name].append(time.process_time() - began)
    medians = {name: statistics.median(each) for name, each in times.items()}
    exact = exact_values(options.shape)
    far = abs(values["ours, head"] - values["dense, head"])
    for name, seconds in medians.items():
        apart = abs(values[name] - exact[name.split(", ")[1]])
        faster = medians["dense, head"] / seconds
        print(
            f"{name:<20} {seconds:8.2f} CPU-s, {faster:6.1f} times faster, "
            f"{peak_gib(name):5.2f} GiB, {values[name]:.7f}, {apart:.1e} from float64",
            flush=True,
        )
        far = max(far, apart) if name.startswith("ours") else far
    print(f"ours is at most {far:.1e} off the dense form and float64")
    sys.exit(far > APART)


def exact_values(shape: list[int]) -> dict[str, float]:
    """In float64, by mask."""
    pct, ct, head = volumes(shape)
    masks = {"head": head, "whole": torch.ones_like(head)}
    return {name: float(ssim(pct.double(), ct.double(), m)) for name, m in masks.items()}


def volumes(shape: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Two smooth images in [-1, 1] with noise, and a head that fills two thirds of each side."""
    torch.manual_seed(0)
    z, y, x = (torch.linspace(-1, 1, size) for size in shape)
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    head = (z / 0.95) ** 2 + (y / 0.68) ** 2 + (x / 0.62) ** 2 < 1
    ct = torch.where(head, 0.3 * torch.sin(9 * x + 5 * y) * torch.cos(7 * z) - 0.2, -1.0)
    pct = ct + 0.05 * torch.sin(13 * y) + 0.02 * torch.randn(shape)
    return pct.clamp(-1, 1), ct, head


def ways_of(pct: Tensor, ct: Tensor, head: Tensor) -> dict[str, Callable[[], float]]:
    whole = torch.ones_like(head)
    return {
        "dense, head": lambda: float(dense_ssim(pct, ct, head)),
        "ours, head": lambda: float(ssim(pct, ct, head)),
        "ours, whole": lambda: float(ssim(pct, ct, whole)),
        "scikit-image, whole": lambda: float(scikit_image(pct, ct)),
    }


def dense_ssim(pct: Tensor, ct: Tensor, mask: Tensor) -> Tensor:
    """Algorithm 1 by the letter, but for its second eps."""
    steps = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    line = torch.exp(-(steps**2) / (2 * SIGMA**2))
    line = (line / line.sum()).to(ct)
    kernel = (line[:, None, None] * line[:, None] * line)[None, None]
    m = mask.to(ct)

    def blur(image: Tensor) -> Tensor:
        return F.conv3d(image[None, None], kernel, padding=WINDOW // 2)[0, 0]

    weight = blur(m)
    norm = weight + EPS
    mean_pct, mean_ct = blur(pct * m) / norm, blur(ct * m) / norm
    var_pct = blur(pct * pct * m) / norm - mean_pct**2
    var_ct = blur(ct * ct * m) / norm - mean_ct**2
    covariance = blur(pct * ct * m) / norm - mean_pct * mean_ct
    above = (2 * mean_pct * mean_ct + C1) * (2 * covariance + C2)
    below = (mean_pct**2 + mean_ct**2 + C1) * (var_pct + var_ct + C2)
    total = (above / below * weight).sum(dtype=torch.float64)
    return total / weight.sum(dtype=torch.float64)


def scikit_image(pct: Tensor, ct: Tensor) -> float:
    return structural_similarity(
        pct.numpy(), ct.numpy(), gaussian_weights=True, sigma=SIGMA, use_sample_covariance=False,
        data_range=DATA_RANGE,
    )  # fmt: skip


def peak_gib(name: str) -> float:
    command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def resident(what: str) -> int:
    """KiB of this process, now (`VmRSS`) or at most (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


if __name__ == "__main__":
    main()
