"""Table 4.1 of the thesis from a sweep's own scores, the thesis's numbers beside them."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dashboards.load import Sweep
from dashboards.markup import UNKNOWN, html_table, note, subheading
from dashboards.scores.tables import comparable
from pct.scoring.settings import named

ROWS = {
    "exp1": "Exp 1", "exp2": "Exp 2", "exp3.keep": "Exp 3, keep", "exp3.drop": "Exp 3, drop",
    "exp4": "Exp 4",
}  # fmt: skip
THESIS = {
    "exp1": ("0.7315", "0.4131", "0.8851"),
    "exp2": ("0.7134", "0.4057", "0.8826"),
    "exp4": ("0.6521", "0.6931", "0.8660"),
}
"""Table 4.1: mean global SSIM, local SSIM and Dice of 39 test cases."""

DICE = ("dice_skull", "dice_hu250")
"""The thesis's TotalSegmentator skull where it was scored, else the threshold's, under its name."""


@dataclass(frozen=True)
class Pooled:
    """One metric of a setting: its seeds' mean a patient, then over patients."""

    n: int
    of: int
    mean: float
    sd: float


SPLITS = {"test": "Test set", "val": "Validation cases"}
NOTE = (
    "Global SSIM is the score ssim, local SSIM ssim_masked. Mean ± SD over patients; where a "
    "setting was trained from several seeds, over each patient's mean. Grey rows are printed as in "
    "table 4.1 of the thesis, whose data are others: they show the size to expect, not who is "
    "better. dice_hu250 thresholds bone at 250 HU: it is not the thesis's Dice of TotalSegmentator "
    "skulls."
)


def pooled(scores: pd.DataFrame, metric: str) -> Pooled:
    """Over patients of the mean over seeds; a patient whom some seed lacks does not count."""
    own = scores[scores["metric"] == metric]
    values = own.pivot(index="case", columns="trial", values="value")
    means = values.mean(axis=1, skipna=False).dropna()
    sd = float(means.std(ddof=1)) if len(means) > 1 else math.nan
    return Pooled(len(means), len(values), float(means.mean()) if len(means) else math.nan, sd)


def thesis_table(sweep: Sweep) -> str:
    """A table for each split that has scores, the test set first; "" for other sweeps."""
    scores = sweep.scores[sweep.scores["trial"].map(_setting).isin(ROWS)]
    parts = []
    for split in ("test", "val"):
        for title, part in comparable(scores[scores["split"] == split], where=split):
            parts.append(subheading(f"{SPLITS[split]}{title}") + _table(sweep, part))
    return "".join(parts) and "".join(parts) + note(NOTE)


def _table(sweep: Sweep, scores: pd.DataFrame) -> str:
    dice = next((name for name in DICE if (scores["metric"] == name).any()), DICE[0])
    metrics = ("ssim", "ssim_masked", dice)
    dice_title = f"skull Dice ({dice})"
    headers = ["experiment", "n", "runs", "global SSIM", "local SSIM"]
    rows: list[list[str]] = []
    grey = []
    for setting, title in ROWS.items():
        own = _rows_of(sweep, scores, setting)
        if not own.empty:
            rows.append(_row(sweep, own, setting, metrics))
        if setting in THESIS:
            grey.append(len(rows))
            rows.append([f"{title}: thesis, 39 test cases, no SD given", "39", UNKNOWN])
            rows[-1] += THESIS[setting]
    return html_table(
        [*headers, dice_title], rows, numeric=True, grey=grey, caption="Table 4.1 of the thesis"
    )


def _row(sweep: Sweep, own: pd.DataFrame, setting: str, metrics: tuple[str, ...]) -> list[str]:
    found = [pooled(own, metric) for metric in metrics]
    trials = [trial for trial in sweep.trials if _setting(trial.trial) == setting]
    same = {_setting(trial.same_as) for trial in trials}
    twin = same.pop() if len(same) == 1 else ""
    title = ROWS[setting] + (f" (same run as {twin})" if twin else "")
    counts = sorted({each.n for each in found if each.of})
    n = str(counts[0]) if len(counts) == 1 else ", ".join(str(each.n) for each in found)
    return [title, n, str(own["trial"].nunique()), *map(_cell, found)]


def _rows_of(sweep: Sweep, scores: pd.DataFrame, setting: str) -> pd.DataFrame:
    """The setting's own rows, or those of the runs that it is under another name."""
    own = scores[scores["trial"].map(_setting) == setting]
    if own.empty:
        twins = [t.same_as for t in sweep.trials if t.same_as and _setting(t.trial) == setting]
        own = scores[scores["trial"].isin(twins)]
    return own


def _setting(trial: Any) -> str:
    return named(str(trial))[0] if trial else ""


def _cell(found: Pooled) -> str:
    if math.isnan(found.mean):
        return UNKNOWN
    return f"{found.mean:.4f}" + ("" if math.isnan(found.sd) else f" ± {found.sd:.4f}")
