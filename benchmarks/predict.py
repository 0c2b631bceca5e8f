"""Prediction against a plain MONAI loop: python benchmarks/predict.py [--slices N] [--preset P].

A phantom's MR of 256 x 256 x 160 and of 512 x 512 x 200 voxels, 256 mm wide, and the preset's
generator as it is initialised, on training's grid and in tiles at the MR's own scale.

`loop` is what people write: nibabel's closest canonical axes, percentiles of the whole volume, a
Gaussian against aliasing and `resample_from_to` (linear; end slices repeated and the darkest value
beyond, as `pct predict` has it; none of this where the voxels are the MR's own), one slice at a
time through MONAI's `sliding_window_inference` with our tiles, overlap, blending and batch, HU, and
`resample_from_to` back, all in float32. It is told which grid the generator sees, and finds no
head. `same work`: `predict_prepared` with that window and that grid. `whole`: `predict_volume` as
`pct predict` calls it, which also finds the head, for the window and for where that grid lies.

One thread; CPU seconds a slice of the MR, the median of rounds in turn, each second one backwards,
where tiles are timed on the middle 16 slices. It exits with 1 where `same work` is more than 2 HU
off the loop; we round to whole HU before laying back as well. (A generator like the thesis's makes
more than 100 HU of 1e-5 in its input as long as nothing has trained it: there it may be more.)

Then the peak memory above the MR, of each in a process of its own, with sagittal and tilted volumes
too; tiles do not overlap there, which makes them fewer, not more at a time. `--slices N` keeps it
short: the middle N slices alone, and other ratios, since the head takes its time in either.
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

import nibabel as nib
import numpy as np
import torch
from monai.inferers import sliding_window_inference
from nibabel.processing import resample_from_to
from scipy import ndimage
from scipy.spatial.transform import Rotation

from data_prep.intensity import mr_window
from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from data_prep.volume import Grid, Volume
from pct.config import Geometry, build_run, load_preset
from pct.model import Model, predicting
from pct.networks import Generator
from pct.prediction import volume
from pct.prediction.volume import Prepared, predict_prepared, predict_volume, prepare

SIZES = {"256": (256, 160), "512": (512, 200)}
WIDE_MM, SLICE_MM = 256.0, 1.0
TIMED_IN_TILES = 16
GEOMETRIES: tuple[Geometry, ...] = ("train", "native_tiles")
PEAKS = [
    (size, stored, geometry, way)
    for size in SIZES
    for stored, geometry, ways in [
        ("axial", "train", ("loop", "whole")),
        ("sagittal", "train", ("whole",)),
        ("tilted", "train", ("whole",)),
        ("axial", "native_tiles", ("loop", "whole")),
    ]
    for way in ways
]
APART_HU = 2

Ways = dict[str, Callable[[], Volume]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, help="of each volume, the middle ones")
    parser.add_argument("--peak-of", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak_of:
        print(peak_gib(*options.peak_of, preset=options.preset, slices=options.slices))
        return
    far = 0
    for geometry in GEOMETRIES:
        model = model_of(options.preset, geometry)
        for size in SIZES:
            few = TIMED_IN_TILES if geometry == "native_tiles" else None
            mr = middle(as_stored(size, "axial"), options.slices or few)
            print(f"{'x'.join(map(str, mr.array.shape))}, {geometry}, {options.preset}")
            far = max(far, race(ways_of(model, mr), mr.array.shape[2], rounds=options.rounds))
    for which in PEAKS:
        command = [sys.executable, __file__, *sys.argv[1:], "--peak-of", *which]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        size, stored, geometry, way = which
        gib = float(done.stdout.splitlines()[-1])
        print(
            f"{size:<4} {stored:<9} {geometry:<13} {way:<6} {gib:5.2f} GiB above the MR", flush=True
        )
    sys.exit(far > APART_HU)


def race(ways: Ways, num_slices: int, *, rounds: int) -> int:
    """Time the ways in turn; the largest difference of the first two, in HU."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Volume] = {}
    for turn in range(rounds):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            began = time.process_time()
            found[name] = ways[name]()
            times[name].append((time.process_time() - began) / num_slices)
    medians = {name: statistics.median(each) for name, each in times.items()}
    apart = np.abs(found["same work"].array.astype(np.int32) - found["loop"].array)
    for name, seconds in medians.items():
        faster = medians["loop"] / seconds
        print(f"  {name:<9} {seconds:8.4f} CPU-s a slice, {faster:5.2f} times as fast", flush=True)
    print(f"  apart: at most {apart.max()} HU")
    return int(apart.max())


def model_of(preset: str, geometry: Geometry) -> Model:
    torch.manual_seed(0)
    run = build_run(load_preset(preset))
    grid = SliceGrid("resize", run.data.size, WIDE_MM / run.data.size, 2.5)
    model = Model(Generator(run.generator).eval(), run, grid, {"trial": preset, "epoch": 0})
    return predicting(model, geometry=geometry)


def ways_of(model: Model, mr: Volume) -> Ways:
    ready = prepare(model, mr)
    image = nib.Nifti1Image(mr.array, mr.affine)
    return {
        "loop": lambda: loop(model, image, ready.grid),
        "same work": lambda: same_work(model, ready),
        "whole": lambda: predict_volume(model, mr),
    }


def same_work(model: Model, ready: Prepared) -> Volume:
    window = mr_window(ready.mr.array)
    darkest = float(ready.mr.array.min())
    mine = Prepared(ready.mr, window, ready.head, ready.grid, darkest)
    return predict_prepared(model, mine, ready.mr.grid)


def loop(model: Model, stored: nib.Nifti1Image, grid: Grid) -> Volume:
    """The usual script; `grid` is the one that the generator sees."""
    image = nib.as_closest_canonical(stored)
    as_it_is = grid.shape == image.shape and np.allclose(grid.affine, image.affine)
    low, high = np.percentile(image.dataobj, (1, 99.9))
    mr = np.asarray((image if as_it_is else placed(image, grid)).dataobj, np.float32)
    unit = np.clip((mr - low) / (high - low) * 2 - 1, -1, 1).astype(np.float32)
    pct_hu = np.empty(unit.shape, np.float32)
    tile = model.grid.size
    for k in range(unit.shape[2]):
        one = torch.from_numpy(unit[:, :, k].T.copy())[None, None]
        with torch.no_grad():
            out = sliding_window_inference(
                one, (tile, tile), volume.CHUNK, model.generator,
                overlap=volume.OVERLAP, mode="gaussian", cval=-1.0,
            )  # fmt: skip
        pct_hu[:, :, k] = (out[0, 0].numpy().T + 1) * 2000 - 1000
    pct = nib.Nifti1Image(pct_hu, grid.affine)
    back = pct if as_it_is else resample_from_to(pct, image, order=1, cval=-1000)
    return Volume(np.rint(np.asarray(back.dataobj)).astype(np.int16), image.affine)


def placed(image: nib.Nifti1Image, grid: Grid, ends: int = 4) -> nib.Nifti1Image:
    """An image in canonical axes on a grid, blurred where that is coarser, its ends repeated."""
    mr = np.asarray(image.dataobj, np.float32)
    affine = image.affine.copy()
    affine[:3, 3] -= ends * affine[:3, 2]
    factors = np.array(grid.spacing_mm) / image.header.get_zooms()
    padded = np.pad(mr, ((0, 0), (0, 0), (ends, ends)), mode="edge")
    mr = ndimage.gaussian_filter(padded, np.maximum(0, (factors - 1) / 2), mode="nearest")
    darkest = float(padded.min())
    blurred = nib.Nifti1Image(mr, affine)
    return resample_from_to(blurred, (grid.shape, grid.affine), order=1, cval=darkest)


def as_stored(size: str, how: str) -> Volume:
    """A coarse phantom, its voxels repeated: quick to make."""
    (side, slices), step = SIZES[size], 4
    pixel_mm = WIDE_MM / side
    coarse_mm = (pixel_mm * step, pixel_mm * step, SLICE_MM * step)
    coarse = make_head(0, size=side // step, num_slices=slices // step, spacing_mm=coarse_mm).mr
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


def middle(mr: Volume, num_slices: int | None) -> Volume:
    """Its middle slices along the patient's axis."""
    axis = int(np.abs(mr.affine[2, :3]).argmax())
    start = (mr.array.shape[axis] - (num_slices or mr.array.shape[axis])) // 2
    kept = np.arange(start, mr.array.shape[axis] - start)[:num_slices]
    affine = mr.affine.copy()
    affine[:3, 3] += start * affine[:3, axis]
    return Volume(np.take(mr.array, kept, axis) if start > 0 else mr.array, affine)


def peak_gib(
    size: str, stored: str, geometry: Geometry, way: str, *, preset: str, slices: int | None
) -> float:
    """What one way takes at most above its start, in this process."""
    model = model_of(preset, geometry)
    mr = middle(as_stored(size, stored), slices)
    grid = prepare(model, mr).grid if way == "loop" else None
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    volume.OVERLAP = 0.0
    before = resident("VmRSS")
    if grid:
        loop(model, nib.Nifti1Image(mr.array, mr.affine), grid)
    else:
        predict_volume(model, mr)
    return (resident("VmHWM") - before) / 2**20


def resident(what: str) -> int:
    """KiB of this process, now (`VmRSS`) or at most (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


if __name__ == "__main__":
    main()
