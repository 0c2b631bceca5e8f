"""A made-up sweep of any size, for looking at and for measuring: trunks that fork, all tables.

python tests/dashboards/big_sweep.py DIR [TRIALS]
"""

import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from sweep_folder import stage, trial_row, write_info, write_table

EPOCHS, CASES = 70, 12
FORKS = (20, 30, 40)
SHAPES = {
    "val/psnr": (27.0, -8.0), "val/psnr_masked": (24.0, -7.0), "val/ngf": (0.87, 0.08),
    "val/l1": (0.05, 0.2), "val/bg": (0.01, 0.3), "val/ngf_against_ct": (0.86, 0.09),
    "loss/l1": (0.04, 0.25), "loss/ngf": (0.86, 0.1), "loss/bg": (0.01, 0.5),
    "loss/gan": (0.4, 0.3), "loss/d": (0.25, 0.2), "loss/g": (22.0, 20.0),
    "time/epoch_s": (30.0, 0.0),
}  # fmt: skip
SCORES = {
    "psnr": ("dB", 27.0), "psnr_masked": ("dB", 24.0), "ssim": ("1", 0.73),
    "ssim_masked": ("1", 0.8), "dice_hu250": ("1", 0.82), "mae_head": ("HU", 110.0),
    "mae_bone": ("HU", 310.0), "mae_soft": ("HU", 45.0), "edge_bone": ("HU/mm", 180.0),
    "hd95_hu250": ("mm", 4.0), "z_jitter": ("HU", 20.0), "wepl_mm": ("mm", 1.5),
}  # fmt: skip
SITES = ("A", "A", "A", "B", "B", "B", "B", "C", "C", None, "A", "B")


def families(num_trials: int) -> Iterator[list[dict[str, Any]]]:
    """Trials of the recipe with up to four leaves each: a trunk, forked at 20, 30 and 40."""
    left = num_trials
    number = 0
    while left > 0:
        number += 1
        name, cuts = f"arm{number:02d}", (0, *FORKS, EPOCHS)
        parts = [stage(done + 1, last, f"{name}-to-{last}", 20.0) for done, last in pairwise(cuts)]
        for one in parts:
            one["values"]["lambda_bg"] = float(number)
        rows = [trial_row(f"{name}.keep", parts, own_epochs=EPOCHS)]
        for index, fork in enumerate(FORKS):
            drop = stage(fork + 1, EPOCHS, f"{name}-drop{fork}", 0.0)
            drop["values"]["lambda_bg"] = float(number)
            rows.append(
                trial_row(f"{name}.drop{fork}", [*parts[: index + 1], drop],
                          own_epochs=EPOCHS - fork, forked_from=f"{name}.keep", forked_at=fork)
            )  # fmt: skip
        yield rows[:left]
        left -= len(rows[:left])


def write_big_sweep(folder: Path, *, num_trials: int, seed: int = 0) -> None:
    """sweep.json, trials, history of 70 epochs, scores of 12 cases, cases and recipe."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    trials, history, scores = [], [], []
    for rows in families(num_trials):
        base = rng.normal(0, 0.03)
        trunk = {metric: _curve(rng, metric, base) for metric in SHAPES}
        for row in rows:
            fork = row["forked_at"] or 0
            curves = {
                metric: np.concatenate([trunk[metric][:fork], _curve(rng, metric, base)[fork:]])
                if fork else trunk[metric]
                for metric in SHAPES
            }  # fmt: skip
            row |= {"epochs": EPOCHS, "best_epoch": int(curves["val/psnr"].argmax()) + 1,
                    "best_value": float(curves["val/psnr"].max())}  # fmt: skip
            history.append(_history(row["trial"], curves, fork))
            scores += _scores(rng, row["trial"], base)
            trials.append(row)
    whole = sum(row["epochs"] for row in trials)
    planned = sum(row["own_epochs"] for row in trials)
    write_info(folder, sweep=f"made-up-{num_trials}", epochs_written=whole, epochs_planned=planned,
               epochs_trained=planned)  # fmt: skip
    write_table(folder, "trials.parquet", trials)
    pd.concat(history, ignore_index=True).to_parquet(folder / "history.parquet")
    write_table(folder, "scores.parquet", scores)
    write_cases(folder)
    write_recipe(folder, [row["trial"] for row in trials])


def _curve(rng: np.random.Generator, metric: str, base: float) -> np.ndarray:
    level, gap = SHAPES[metric]
    epochs = np.arange(1, EPOCHS + 1)
    noise = rng.normal(0, 0.004 * abs(level) + 0.01 * abs(gap), EPOCHS)
    return level * (1 + base) + gap * np.exp(-epochs / 8) + noise


def _history(trial: str, curves: dict[str, np.ndarray], fork: int) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"trial": trial, "epoch": np.arange(1, EPOCHS + 1), "metric": metric,
                      "value": values, "carried": np.arange(1, EPOCHS + 1) <= fork})
        for metric, values in curves.items()
    ]  # fmt: skip
    level = parts[0].assign(metric="val/ngf_ct", value=0.845)
    return pd.concat([*parts, level])


def _scores(rng: np.random.Generator, trial: str, base: float) -> list[dict[str, Any]]:
    hard = np.where(np.arange(CASES) == 4, 1.35, 1.0)
    rows = []
    for metric, (unit, level) in SCORES.items():
        values = level * (1 + base) * (1 + rng.normal(0, 0.05, CASES))
        values = values * hard if unit.startswith("HU") else values / hard**0.5
        rows += [
            {"trial": trial, "case": f"p{index:02d}", "split": "val", "split_sha": "c0ffee",
             "metric": metric, "value": float(value), "unit": unit, "mask_backend": "threshold",
             "geometry": "train", "background": "predicted", "metric_version": 2}
            for index, value in enumerate(values)
        ]  # fmt: skip
    return rows


def write_cases(folder: Path) -> None:
    """A table of cases: those scored, one flagged and three refused."""
    rows = [
        {"subject": f"p{index:02d}", "split": "val", "status": "taken", "reason": "",
         "site": SITES[index], "scanner": "X 1", "field_t": 1.5 if index % 3 else 3.0,
         "sequence": None, "diagnosis": None}
        for index in range(CASES)
    ]  # fmt: skip
    rows[3] |= {"status": "flagged", "reason": "offset 1.8 mm between MR and CT"}
    refused = [
        ("q01", "MR of 3 slices; expected 8 at least. Leave it out."),
        ("q02", "MR of 5 slices; expected 8 at least. Leave it out."),
        ("q03", "q03: no CT in the folder"),
    ]
    rows += [
        rows[0] | {"subject": case, "split": None, "status": "refused", "reason": reason}
        for case, reason in refused
    ]
    pd.DataFrame(rows).to_parquet(folder / "cases.parquet")


def write_recipe(folder: Path, trials: list[str]) -> None:
    """recipe.yaml; JSON is YAML."""
    settings = {
        name: {"epochs": EPOCHS, "seed": 1, "adam_betas": [0.9, 0.999],
               "schedule": {"lambda_l1": 140.0, "lambda_ngf": _weights(name)},
               "generator": {"kind": "unet", "channels": [64, 128]}}
        for name in trials
    }  # fmt: skip
    content = {"recipe": "demo", "base": "laptop", "trials": settings}
    (folder / "recipe.yaml").write_text(json.dumps(content))


def _weights(trial: str) -> float | dict[str, float]:
    _, dropped, epoch = trial.partition("drop")
    return {"0": 20.0, epoch: 0.0} if dropped else 20.0


if __name__ == "__main__":
    write_big_sweep(Path(sys.argv[1]), num_trials=int(sys.argv[2]) if len(sys.argv) > 2 else 60)
