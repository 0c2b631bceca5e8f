"""Head, geometry and alpha, over seeds: python benchmarks/arms.py DATA --to RUNS [--steps 240].

DATA is what `pct prep` wrote, 128 x 128, resize arm. The `laptop` preset learns it as it is
(`conv`), with `generator.head: raw`, without NGF, and with `ngf_alpha: 0.01` at which NGF copies
the MR; the first is scored in tiles at native scale too. 3D scores of the validation cases, a mean
a model; printed are each seed's value, their mean, and the difference to `conv` of the same seed.
Again with the same RUNS: nothing is trained or scored twice.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import pandas as pd
import torch

from data_prep.shards import list_cases, read_manifest
from pct.batches import num_steps
from pct.config import Run, build_run, load_preset, merge, place
from pct.model import load_model, predicting
from pct.one_run import train_here
from pct.scoring.score import score_cases, table

ARMS: dict[str, dict[str, Any]] = {
    "conv": {},
    "raw": place("generator.head", "raw"),
    "alpha 0.01": place("ngf_alpha", 0.01),
    "no NGF": place("lambda_ngf", 0),
}
TILED = "conv, native_tiles"
"""The models of `conv`, scored in the thesis's geometry."""
SHOWN = (
    "mae_head", "mae_soft", "mae_bone", "psnr_masked", "ssim_masked", "dice_hu250", "edge_bone",
    "fog_hu", "mr_leak", "mr_leak_slope", "mr_leak_corr", "mr_leak_corr_ct",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--to", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--steps", type=int, default=240, help="at most, in whole epochs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options = parser.parse_args()
    began = time.process_time()
    slices = read_manifest(options.data).num_slices["train"]
    scores = []
    for seed in range(1, options.seeds + 1):
        for arm in options.arms:
            run = run_of(arm, seed, slices=slices, steps=options.steps)
            scores.append(scored(arm, run, options.data, options.to / f"{arm}@{seed}"))
            minutes = (time.process_time() - began) / 60
            print(f"{arm}, seed {seed}: {minutes:.1f} CPU-minutes so far", flush=True)
    cases = len(list_cases(options.data, "val"))
    steps = run.epochs * num_steps(slices, run.batch)
    print(f"{slices} training slices; {steps} steps, {run.epochs} epochs; {cases} validation cases")
    report(pd.concat(scores))


def run_of(arm: str, seed: int, *, slices: int, steps: int) -> Run:
    """Whole epochs of at most `steps` steps."""
    settings = merge(merge(load_preset("laptop"), ARMS[arm]), {"seed": seed})
    epochs = max(1, steps // num_steps(slices, settings["batch"]))
    return build_run(merge(settings, {"epochs": epochs, "precision": "float32"}))


def scored(arm: str, run: Run, data: Path, folder: Path) -> pd.DataFrame:
    """Rows of one model, or what an earlier call has left of them: arm, seed, metric, value."""
    path = folder / "scores.parquet"
    if not path.exists():
        train_here(run, data, folder)
        torch.set_num_threads(1)
        model = load_model(folder / "model")
        ways = {arm: model}
        if arm == "conv":
            ways[TILED] = predicting(model, geometry="native_tiles")
        rows = [table(score_cases(way, data, "val")).assign(arm=name) for name, way in ways.items()]
        pd.concat(rows).assign(seed=run.seed).to_parquet(path)
    return pd.read_parquet(path)


def report(scores: pd.DataFrame) -> None:
    means = scores.groupby(["metric", "arm", "seed"], sort=False)["value"].mean().unstack()
    print(f"{'metric':<16} {'arm':<20} {'mean':>8}   {'each seed':<28} difference to conv")
    for metric in SHOWN:
        for arm, values in means.loc[metric].iterrows():
            apart = values - means.loc[metric, "conv"]
            against = "" if arm == "conv" else f"{apart.mean():+8.3f}   {listed(apart, '+8.3f')}"
            own = f"{values.mean():8.3f}   {listed(values, '8.3f'):<28}"
            print(f"{metric:<16} {arm:<20} {own} {against}")


def listed(values: "pd.Series[float]", form: str) -> str:
    return " ".join(f"{value:{form}}" for value in values)


if __name__ == "__main__":
    main()
