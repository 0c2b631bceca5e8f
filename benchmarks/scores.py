"""Time and memory of all scores of a case: python benchmarks/scores.py [DEPTH HEIGHT WIDTH MM].

A head of ellipsoids with a skull, a sinus and noise; MM is the voxel size. CPU seconds of one
thread; the peak is that of the process while it scores, above what the inputs take.
"""

import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(Path(__file__).parent.parent))

from pct.metrics.case import score_volume

Arrays = dict[str, NDArray[Any]]


def main(shape: tuple[int, int, int], voxel_mm: float) -> None:
    torch.set_num_threads(1)
    arrays = make_case(shape, voxel_mm)
    inputs = sum(array.nbytes for array in arrays.values())
    process, peak, done = psutil.Process(), 0, threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.process_time()
    scores = score_volume(**arrays, spacing_mm=(voxel_mm,) * 3)
    seconds = time.process_time() - start
    done.set()
    watcher.join()
    print(
        f"{shape}, {voxel_mm} mm: {len(scores)} scores in {seconds:.1f} CPU-s; inputs "
        f"{inputs / 2**20:.0f} MiB, peak above them {(peak - before) / 2**20:.0f} MiB"
    )


def make_case(shape: tuple[int, int, int], voxel_mm: float) -> Arrays:
    """pCT, CT, head, skull and MR, slice by slice: only they take memory."""
    kinds = {
        "pct_hu": np.int16, "ct_hu": np.int16, "head": bool, "skull": bool, "mr_unit": np.float32
    }  # fmt: skip
    arrays: Arrays = {name: np.empty(shape, kind) for name, kind in kinds.items()}
    rng = np.random.default_rng(0)
    z, y, x = ((np.arange(n) - n / 2) * voxel_mm for n in shape)
    y, x = np.meshgrid(y, x, indexing="ij")
    for k, height in enumerate(z):
        r = np.sqrt((x / 78) ** 2 + (y / 98) ** 2 + (height / 110) ** 2)
        skull = (r > 0.88) & (r < 0.95)
        sinus = (np.abs(x) < 15) & (y > 60) & (r < 0.85) & (height < 0)
        hu = np.select([sinus, skull, r < 1], [-900.0, 1200.0, 40.0], -1000.0)
        arrays["ct_hu"][k] = hu + rng.normal(0, 12, hu.shape)
        arrays["pct_hu"][k] = gaussian_filter(hu, 1.2) + rng.normal(0, 12, hu.shape)
        arrays["head"][k], arrays["skull"][k] = r < 1, skull
        arrays["mr_unit"][k] = np.where(r < 1, 0.2 + 0.2 * np.sin(x / 6) * np.sin(y / 7), -1)
    return arrays


if __name__ == "__main__":
    depth, height, width = map(int, sys.argv[1:4] or (64, 256, 256))
    main((depth, height, width), float(sys.argv[4]) if len(sys.argv) > 4 else 1.0)
