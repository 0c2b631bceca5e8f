"""Peak memory of predicting a large MR: python benchmarks/predict.py [--slices 200] [--preset P].

A phantom's MR of 512 x 512 pixels, stored axially and in sagittal order and tilted, predicted with
the preset's generator as it is initialised, each in a process of its own. Printed is the largest
resident memory above that of the imports and the MR itself, and CPU seconds.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from data_prep.volume import Volume
from pct.config import build_run, load_preset
from pct.model import Model, predicting
from pct.networks import Generator
from pct.prediction.volume import predict_volume

SIZE, PIXEL_MM, SLICE_MM = 512, 0.5, 1.0
CASES = [("axial", "train"), ("sagittal", "train"), ("tilted", "train"), ("axial", "native_tiles")]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        return one(*options.only, slices=options.slices, preset=options.preset)
    print(f"an MR of {SIZE} x {SIZE} x {options.slices} float32 takes "
          f"{SIZE * SIZE * options.slices * 4 / 2**30:.2f} GiB itself")  # fmt: skip
    for stored, geometry in CASES:
        words = ["--slices", str(options.slices), "--preset", options.preset]
        command = [sys.executable, __file__, *words, "--only", stored, geometry]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(done.stdout.splitlines()[-1], flush=True)
    return None


def one(stored: str, geometry: str, *, slices: int, preset: str) -> None:
    torch.set_num_threads(1)
    run = build_run(load_preset(preset))
    side = run.data.size
    grid = SliceGrid("resize", side, SIZE * PIXEL_MM / side, 2.5)
    model = Model(Generator(run.generator).eval(), run, grid, {"trial": preset, "epoch": 0})
    model = predicting(model, geometry=geometry, background="air")
    mr = as_stored(slices, stored)
    before, began = resident("VmRSS"), time.process_time()
    predict_volume(model, mr)
    peak, seconds = (resident("VmHWM") - before) / 2**20, time.process_time() - began
    print(f"{stored:<9} {geometry:<13} {peak:5.2f} GiB above the MR {seconds:7.1f} CPU-s")


def as_stored(slices: int, how: str) -> Volume:
    """A coarse phantom, its voxels repeated: quick, and the MR alone has made the peak so far."""
    step = 4
    spacing_mm = (PIXEL_MM * step, PIXEL_MM * step, SLICE_MM * step)
    coarse = make_head(0, size=SIZE // step, num_slices=slices // step, spacing_mm=spacing_mm).mr
    array = coarse.array.astype(np.float32)
    for axis in range(3):
        array = array.repeat(step, axis)
    affine = coarse.affine @ np.diag([1 / step, 1 / step, 1 / step, 1.0])
    if how == "sagittal":
        return Volume(np.ascontiguousarray(array.transpose(1, 2, 0)), affine[:, [1, 2, 0, 3]])
    if how == "tilted":
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler("x", 8, degrees=True).as_matrix()
        affine = turn @ affine
    return Volume(array, affine)


def resident(what: str) -> int:
    """KiB of this process, now (`VmRSS`) or at most (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


if __name__ == "__main__":
    main()
