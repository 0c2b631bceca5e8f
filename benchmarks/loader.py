"""Batches from the cache, a MONAI CacheDataset and a numpy memmap: python benchmarks/loader.py.

Slice pairs with mask, 256 x 256, batches of 14, shuffled, decoded to float32 in [-1, 1]: images a
second of CPU time on one thread, rounds interleaved in one process, and memory a row. Once with
the allocator as sweeps set it for their workers, once with glibc's default.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import nibabel
import numpy as np
import torch
from monai import transforms as mt
from monai.data import CacheDataset, DataLoader

sys.path.insert(0, str(Path(__file__).parent.parent))

from data_prep.cache import cache_folder, open_slices
from data_prep.phantom import make_head
from data_prep.pipeline import PrepConfig, prepare
from data_prep.schema import Slices
from data_prep.shards import read_slices
from data_prep.sources import find_cases
from data_prep.volume import save_nifti
from pct.batches import epoch_order, make_batch, rank_rows
from pct.config import Run, build_run, load_preset, merge
from sweeps.runner import ENVIRONMENT

SIZE, BATCH, CASES = 256, 14, 7
CPU = torch.device("cpu")
Made = TypeVar("Made")


def main(rounds: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder))
        malloc = {name: value for name, value in ENVIRONMENT.items() if name.startswith("MALLOC")}
        for title, settings in (("as workers run", malloc), ("default malloc", {})):
            print(f"\n{title}", flush=True)
            environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC")}
            environment |= {**settings, "PCT_CACHE": f"{folder}/{title}"}
            command = [sys.executable, "-W", "ignore", __file__, rounds, str(data)]
            subprocess.run(command, env=environment, check=True)


def make_data(folder: Path) -> Path:
    """Phantoms as `pct prep` writes them; one case validates, one tests."""
    for number in range(CASES):
        head = make_head(number, size=SIZE, num_slices=64, spacing_mm=(1.0, 1.0, 2.5))
        save_nifti(head.mr, folder / "cohort" / f"head-{number}" / "mr.nii.gz")
        save_nifti(head.ct, folder / "cohort" / f"head-{number}" / "ct.nii.gz")
    config = PrepConfig(size=SIZE, masks="threshold", max_slices=64, ids="keep")
    prepare(find_cases("synthrad", folder / "cohort"), folder / "data", config)
    return folder / "data"


def measure(data: Path, rounds: int) -> None:
    torch.set_num_threads(1)
    run = build_run(merge(load_preset("resize"), {"batch": BATCH}))
    built_s = timed(lambda: open_slices(data, "train"))
    gigabytes = sum(path.stat().st_size for path in cache_folder().glob("*.arrow")) / 1e9
    checked_s = statistics.median(timed(lambda: open_slices(data, "train")) for _ in range(5))
    print(f"cache: built in {built_s / gigabytes:.1f} s/GB, checked in {checked_s / gigabytes:.2f}")

    shards = read_slices(data, "train")
    memory = {}
    monai, memory["monai"] = grown(lambda: monai_loader(shards, data.parent), len(shards))
    memmap, memory["memmap"] = grown(lambda: touched(as_memmap(shards, data.parent)), len(shards))
    ours, memory["cache"] = grown(lambda: touched(open_slices(data, "train")), len(shards))
    epochs: dict[str, Callable[[int], Iterable[object]]] = {
        "monai": lambda epoch: monai,
        "memmap": lambda epoch: batches(memmap, run, epoch),
        "cache": lambda epoch: batches(ours, run, epoch),
    }
    times: dict[str, list[float]] = {name: [] for name in epochs}
    for epoch in range(rounds + 1):
        for name, batches_of in epochs.items():
            began = time.process_time()
            num_batches = 0
            for batch in batches_of(epoch):
                num_batches += 1
                del batch  # one at a time, as training does
            times[name].append((time.process_time() - began) / (num_batches * BATCH))
    per_s = {name: 1 / statistics.median(values[1:]) for name, values in times.items()}
    for name, value in per_s.items():
        own, shared = memory[name]
        print(f"{name:<7}{value:7.0f} images/s, KiB a row: {own:5.0f} own, {shared:4.0f} shared")
    for other in ("monai", "memmap"):
        speed = per_s["cache"] / per_s[other]
        less = sum(memory[other]) / sum(memory["cache"])
        print(f"cache against {other}: {speed:.2f}x as fast, {less:.1f}x less memory a row")
    print(f"{len(shards)} rows, {rounds} rounds")


def batches(table: Slices, run: Run, epoch: int) -> Iterable[object]:
    order = epoch_order(len(table), seed=0, epoch=epoch)
    for rows in rank_rows(order, batch=BATCH, rank=0, world=1):
        yield make_batch(table, rows, run, CPU)


def monai_loader(table: Slices, folder: Path) -> Iterable[object]:
    """A filled CacheDataset of the same slices as .nii.gz, in batches of tensors."""
    keys, items = ("mr", "ct", "mask"), []
    (folder / "slices").mkdir(exist_ok=True)
    for row in range(len(table)):
        images = (table.mr_codes[row, 0].astype(np.int32), table.ct_hu[row], table.valid[row])
        items.append({key: str(folder / "slices" / f"{row}-{key}.nii.gz") for key in keys})
        for path, image in zip(items[-1].values(), images, strict=True):
            image = image.astype(np.uint8) if image.dtype == bool else image
            nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), path)
    chain = [
        mt.LoadImaged(keys),
        mt.EnsureChannelFirstd(keys),
        mt.ScaleIntensityRangePercentilesd("mr", 1, 99.9, -1, 1, clip=True),
        mt.ScaleIntensityRanged("ct", -1000, 3000, -1, 1, clip=True),
        mt.EnsureTyped(keys, dtype=torch.float32),
    ]
    dataset = CacheDataset(items, mt.Compose(chain), num_workers=1, progress=False)
    return DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=0)


def as_memmap(table: Slices, folder: Path) -> Slices:
    """The same table, pixels from .npy files; masks a byte a pixel, so that nothing is unpacked."""
    columns = {"mr_codes": table.mr_codes, "ct_hu": table.ct_hu, "valid": table.valid[:]}
    for name, values in columns.items():
        np.save(folder / f"{name}.npy", values)
    return replace(table, **{k: np.load(folder / f"{k}.npy", mmap_mode="r") for k in columns})


def touched(table: Slices) -> Slices:
    """Every page that batches need, read once."""
    for row in range(len(table)):
        (table.mr_codes[row].max(), table.ct_hu[row].max(), table.valid[row].max())
    return table


def grown(make: Callable[[], Made], rows: int) -> tuple[Made, tuple[float, float]]:
    """What `make` makes, and KiB a row by which the process' own and shared memory grew."""
    before = resident()
    made = make()
    own, shared = ((b - a) / rows for a, b in zip(before, resident(), strict=True))
    return made, (own, shared)


def resident() -> tuple[int, int]:
    """KiB of this process in memory: anonymous, mapped from files."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    own, mapped = (int(lines[name].split()[0]) for name in ("RssAnon", "RssFile"))
    return own, mapped


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure(Path(sys.argv[2]), int(sys.argv[1]))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "9")
