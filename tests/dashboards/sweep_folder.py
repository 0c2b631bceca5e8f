"""A small, plausible sweep on disk: one trunk with two branches, one trial apart, one twin."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

LAST, FORK = 6, 3
CASES = ("p01", "p02", "p03")
UNITS = {"ssim_masked": "1", "mae_head": "HU", "edge_bone": "HU/mm", "dice_hu250": "1"}
LEVEL = {"never": 27.0, "exp.keep": 27.6, "exp.drop": 27.2}


def stage(first: int, last: int, key: str, lambda_ngf: float) -> dict[str, Any]:
    values = {"lambda_ngf": lambda_ngf, "lambda_l1": 140.0}
    return {"first": first, "last": last, "stage": key, "values": values}


def trial_row(trial: str, stages: list[dict[str, Any]], **facts: Any) -> dict[str, Any]:
    row = {
        "trial": trial, "status": "FINISHED", "reason": "", "epochs": LAST, "own_epochs": LAST,
        "forked_from": None, "forked_at": None, "same_as": None, "run_id": f"run-{trial}",
        "best_epoch": LAST, "best_value": LEVEL.get(trial), "stages": json.dumps(stages),
        "seconds": 90.0,
    }  # fmt: skip
    return row | facts


def trial_rows() -> list[dict[str, Any]]:
    trunk, keep = stage(1, FORK, "trunk", 20.0), stage(FORK + 1, LAST, "keep", 20.0)
    return [
        trial_row("never", [stage(1, FORK, "a", 0.0), stage(FORK + 1, LAST, "b", 0.0)]),
        trial_row("exp.keep", [trunk, keep]),
        trial_row(
            "exp.drop", [trunk, stage(FORK + 1, LAST, "drop", 0.0)],
            own_epochs=FORK, forked_from="exp.keep", forked_at=FORK, best_epoch=5,
        ),
        trial_row("always", [trunk, keep], own_epochs=0, same_as="exp.keep", best_value=27.6),
    ]  # fmt: skip


def history_rows() -> list[dict[str, Any]]:
    rows = []
    for trial, level in LEVEL.items():
        for epoch in range(1, LAST + 1):
            shared = trial.startswith("exp") and epoch <= FORK
            ends_at = LEVEL["exp.keep"] if shared else level
            psnr = ends_at - 6 * math.exp(-epoch / 2)
            for metric, value in (("val/psnr", psnr), ("val/ngf", 0.9 - 0.004 * psnr)):
                rows.append({
                    "trial": trial, "epoch": epoch, "metric": metric, "value": value,
                    "carried": trial == "exp.drop" and epoch <= FORK,
                })  # fmt: skip
    return rows


def score_row(trial: str, case: str, metric: str, value: float, split: str) -> dict[str, Any]:
    return {
        "trial": trial, "case": case, "split": split, "split_sha": "c0ffee", "metric": metric,
        "value": value, "unit": UNITS[metric], "mask_backend": "threshold", "geometry": "train",
        "background": "predicted", "metric_version": 1,
    }  # fmt: skip


def score_rows() -> list[dict[str, Any]]:
    typical = {"ssim_masked": 0.8, "mae_head": 120.0, "edge_bone": 250.0, "dice_hu250": 0.7}
    return [
        score_row(trial, case, metric, value * (1 + 0.1 * (index - 1)), "val")
        for trial in LEVEL
        for index, case in enumerate(CASES)
        for metric, value in typical.items()
    ]


def draw_panel(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 255, 96 * 24).reshape(24, 96).astype(np.uint8)
    Image.fromarray(ramp).save(path)


def sweep_json() -> dict[str, Any]:
    return {
        "sweep": "demo", "recipe": "demo", "preset": "laptop",
        "created_utc": "2025-03-01T12:00:00Z",
        "epochs_written": 24, "epochs_planned": 15, "epochs_trained": 15,
        "data": {
            "digest": "d1ce", "grid": {"arm": "resize", "size": 128, "pixel_mm": 2.0},
            "num_cases": {"train": 10, "val": 3, "test": 2}, "mask_backends": ["threshold"],
        },
        "select": {"metric": "val/psnr", "mode": "max"},
        "champion": None, "versions": {"torch": "2.13.0"},
    }  # fmt: skip


def write_info(folder: Path, **changes: Any) -> None:
    (folder / "sweep.json").write_text(json.dumps(sweep_json() | changes))


def write_table(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    table = pd.DataFrame(rows)
    for column in {"forked_at", "best_epoch"} & set(table.columns):
        table[column] = table[column].astype("Int64")
    table.to_parquet(folder / name)


def write_sweep(folder: Path) -> None:
    folder.mkdir()
    write_info(folder)
    write_table(folder, "trials.parquet", trial_rows())
    write_table(folder, "history.parquet", history_rows())
    write_table(folder, "scores.parquet", score_rows())
    for trial in LEVEL:
        for case in CASES:
            draw_panel(folder / "panels" / trial / f"best_{case}.png")
            for epoch in (3, 6):
                draw_panel(folder / "panels" / trial / f"epoch-{epoch:04d}_{case}.png")
