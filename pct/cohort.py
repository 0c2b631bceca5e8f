"""Scores of many cases as one table: n, mean and SD, for the terminal and for programs."""

import math

import pandas as pd
from rich.table import Table

from data_prep.errors import PctError

ONE_OF = ("mask_backend", "metric_version", "split_sha", "geometry", "background")
"""What all scores in one table must agree in."""

SHOWN = ("ssim", "ssim_masked", "dice_hu250", "mae_head", "edge_bone")
"""Columns of the terminal's table."""


class MixedScores(PctError):
    """Scores that must not stand in one table."""


def cohort(scores: pd.DataFrame) -> pd.DataFrame:
    """n, mean and SD (n - 1) over cases, a row a trial, split and metric; NaN scores do not count.

    Refuses to mix mask back ends, metric versions, splits' hashes, geometries or backgrounds.
    """
    for column in ONE_OF:
        found = sorted(scores[column].astype(str).unique())
        if len(found) > 1:
            raise MixedScores(
                f"scores mix {column}: {', '.join(found)}. Score the models anew "
                "on one data folder with one version."
            )
    groups = scores.groupby(["trial", "split", "metric", "unit"], sort=False)["value"]
    return groups.agg(n="count", mean="mean", sd="std").reset_index()


def spell(mean: float, sd: float, unit: str) -> str:
    """`45.2 ± 3.1`, with digits that suit the unit; no SD for a single case."""
    digits = 1 if unit == "HU" else 2 if unit == "HU/mm" else 4
    return f"{mean:.{digits}f}" + ("" if math.isnan(sd) else f" ± {sd:.{digits}f}")


def terminal_table(table: pd.DataFrame) -> Table:
    """Mean ± SD over cases, a line a trial and split."""
    metrics = [name for name in SHOWN if name in set(table["metric"])]
    units = dict(zip(table["metric"], table["unit"], strict=True))
    shown = Table(box=None, pad_edge=False)
    for title in ("trial", "split", "n"):
        shown.add_column(title, no_wrap=True)
    for name in metrics:
        shown.add_column(name if units[name] == "1" else f"{name}, {units[name]}", no_wrap=True)
    for (trial, split), rows in table.groupby(["trial", "split"], sort=False):
        means, sds = (dict(zip(rows["metric"], rows[kind], strict=True)) for kind in ("mean", "sd"))
        cells = [
            spell(means[name], sds[name], units[name]) if name in means else "-" for name in metrics
        ]
        shown.add_row(str(trial), str(split), str(int(rows["n"].max())), *cells)
    return shown
