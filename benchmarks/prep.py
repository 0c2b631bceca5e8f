"""CPU and memory that preparation takes, beside the usual script, and its cost against cases.

    python benchmarks/prep.py [--rounds 3] [--slices 64]

A case is two DICOM series of 512 x 512 pixels, the MR once turned against the CT, as scanned, once
on parallel axes, as co-registered collections hold it. `script`: dicom2nifti to nii.gz, MONAI
transforms (orientation, MR onto the CT's grid, percentiles, 256 x 256), a nii.gz a slice and
image. `same work`: our readers, windows and shards, which do what the script does. `whole case`:
`prepare_case` with masks, gate, volumes, checksums and the contact sheet, none of which the script
has. All run in one process and one thread, in turn; CPU seconds are the least of the rounds.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pydicom

from data_prep.intensity import mr_window
from data_prep.one_case import prepare_case
from data_prep.parquet import write_table
from data_prep.phantom_dicom import write_cohort
from data_prep.records import Job, PrepConfig
from data_prep.schema import CaseVolumes
from data_prep.slices import build_slices, slice_table
from data_prep.sources import Case, find_cases, load_pair
from data_prep.windows import pixel_in_mm

SIZE = 256
CONFIG = PrepConfig(size=SIZE, masks="threshold", ids="keep")


def script(case: Case, to: Path) -> None:
    """What people write: every step leaves compressed files for the next."""
    import dicom2nifti
    import nibabel as nib
    from monai import transforms as mt

    for name, folder in (("mr", case.mr), ("ct", case.ct)):
        dicom2nifti.dicom_series_to_nifti(folder, to / f"{name}.nii.gz", reorient_nifti=True)
    both = ["mr", "ct"]
    chain = mt.Compose(
        [
            mt.LoadImaged(both),
            mt.EnsureChannelFirstd(both),
            mt.Orientationd(both, axcodes="RAS", labels=None),
            mt.ResampleToMatchd("mr", "ct"),
            mt.ScaleIntensityRangePercentilesd("mr", 1, 99.9, -1, 1, clip=True),
            mt.ScaleIntensityRanged("ct", -1000, 3000, -1, 1, clip=True),
            mt.Resized(both, (SIZE, SIZE, -1), mode="trilinear", anti_aliasing=True),
        ]
    )
    images = chain({name: to / f"{name}.nii.gz" for name in both})
    for name in both:
        array, affine = images[name][0].numpy(), images[name].affine.numpy()
        for z in range(array.shape[2]):
            nib.save(nib.Nifti1Image(array[:, :, z], affine), to / f"{name}-{z:03d}.nii.gz")


def same_work(case: Case, to: Path) -> None:
    """Read, bring MR onto the CT's grid, find the percentiles, cut slices, write the shard."""
    mr, ct = load_pair(case)
    nothing = ct.with_array(np.zeros(ct.array.shape, bool))
    window = mr_window(mr.array)
    volumes = CaseVolumes(
        subject="s", split="train", mr=mr, mr_head_window=window, mr_volume_window=window, ct=ct,
        head=nothing, skull=nothing, mask_backend="none",
    )  # fmt: skip
    pixel_mm = pixel_in_mm("fov", ct.grid, SIZE)
    stack = build_slices(volumes, size=SIZE, pixel_mm=pixel_mm, at="centre")
    write_table(slice_table(volumes, stack, np.arange(len(stack.ct_hu))), to / "s.parquet")


def whole_case(case: Case, to: Path) -> None:
    (to / "contact").mkdir(exist_ok=True)
    record = prepare_case(Job(case, "s", "key", [], to, to, CONFIG))
    if record.status == "refused":
        sys.exit(f"the phantom was refused: {record.reason}")


def cpu_seconds(work: Callable[[Case, Path], None], case: Case) -> float:
    with tempfile.TemporaryDirectory() as folder:
        before = time.process_time()
        work(case, Path(folder))
        return time.process_time() - before


def peak_gib(arguments: list[str]) -> float:
    """Largest resident memory of a whole case in a process of its own, less that of its imports."""
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True)
    return float(done.stdout.split()[-1])


def one_alone(case: Case) -> None:
    """For `peak_gib`: the growth of this process' memory over one case."""
    before = most_kib()
    cpu_seconds(whole_case, case)
    print((most_kib() - before) / 2**20)


def most_kib() -> int:
    """Largest resident memory so far; `ru_maxrss` would also count that of the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=64)
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    if options.memory:
        return one_alone(find_cases("tcia", options.memory)[0])
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), options.rounds, options.slices)
        scale(Path(folder))
        memory(Path(folder))
    return None


def compare(folder: Path, rounds: int, num_slices: int) -> None:
    write_cohort(folder / "pair", num_cases=1, size=512, num_slices=num_slices)
    case = find_cases("tcia", folder / "pair")[0]
    for axes in ("turned", "parallel"):
        if axes == "parallel":
            straighten(case.mr)
        print(f"512 x 512 x {num_slices}, {axes} MR: CPU seconds a case, least of {rounds} rounds")
        compare_works(case, rounds)


def straighten(series: Path) -> None:
    """Turn an MR series upright about the origin, where the head is: same pixels, other headers."""
    for file in series.iterdir():
        data = pydicom.dcmread(file)
        along_row, along_column = np.reshape(data.ImageOrientationPatient, (2, 3)).astype(float)
        axes = np.stack([along_row, along_column, np.cross(along_row, along_column)])
        data.ImagePositionPatient = np.round(axes @ np.array(data.ImagePositionPatient), 4).tolist()
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.save_as(file)


def compare_works(case: Case, rounds: int) -> None:
    works = {"script": script, "same work": same_work, "whole case": whole_case}
    for work in works.values():
        cpu_seconds(work, case)  # imports, page cache
    found = {name: [cpu_seconds(work, case) for _ in range(rounds)] for name, work in works.items()}
    for name, seconds in found.items():
        ratio = min(found["script"]) / min(seconds)
        print(f"  {name:<12} {min(seconds):6.2f}   script / this {ratio:5.1f}")


def scale(folder: Path) -> None:
    """The same small case under many names: does a case cost more where there are many?"""
    from data_prep.pipeline import prepare

    write_cohort(folder / "small", num_cases=12, size=64, num_slices=24)
    cases = find_cases("tcia", folder / "small")
    print("cost against cases, 64 x 64 x 24, CPU seconds a case")
    for num in (3, 6, 12, 48):
        named = [replace(cases[i % 12], subject=f"c{i}") for i in range(num)]
        before = time.process_time()
        prepare(named, folder / f"data-{num}", CONFIG.model_copy(update={"size": 64}))
        print(f"  {num:3d} cases {(time.process_time() - before) / num:6.3f}")


def memory(folder: Path) -> None:
    print("peak memory of a task above its imports")
    for size, num_slices in ((256, 48), (512, 64), (512, 200)):
        at = folder / f"memory-{size}-{num_slices}"
        write_cohort(at, num_cases=1, size=size, num_slices=num_slices)
        found = peak_gib(["--memory", str(at)])
        print(f"  {size} x {size} x {num_slices:<4} {found:5.2f} GiB")


if __name__ == "__main__":
    main()
