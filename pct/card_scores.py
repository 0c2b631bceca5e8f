"""The part of a model's card that says how well it did on its validation cases."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from data_prep.words import counted
from pct.markdown import plain, table
from pct.metrics.names import METRICS
from pct.scoring.cohort import cohort, digits, refuse_mixtures, spell_count

SHOWN = (
    "mae_head", "mae_bone", "mae_soft", "mae_air", "edge_bone", "dice_hu250", "dice_skull",
    "hd95_hu250", "dice_air", "surface_mm_head", "wepl_mm", "ssim_masked", "psnr_masked",
    "z_jitter", "fog_share", "mr_leak",
)  # fmt: skip
"""Of all metrics those that a card shows, in this order."""

FEW = 10
"""Cases below which a mean says little of the next patient."""

_TITLES = ("metric", "unit", "n", "mean", "SD", "worst case", "what it is")
_NUMBERS = _TITLES[2:6]


def score_lines(scores: pd.DataFrame | None, card: Mapping[str, Any]) -> list[str]:
    """The scores of `validation.parquet`; without it the means of the card, if it has them."""
    if scores is not None and len(scores):
        return _from_cases(scores, card.get("trained_on"))
    if card.get("validation"):
        return _from_means(card["validation"])
    return ["No 3D scores lie beside this model: how well it does on whole volumes is not known."]


def _from_cases(scores: pd.DataFrame, seen: Sequence[str] | None) -> list[str]:
    refuse_mixtures(scores)
    means = cohort(scores).set_index("metric")
    rows = [
        _row(name, float(row["mean"]), float(row["sd"]), count=spell_count(row["n"], row["of"]),
             worst=_worst(name, scores.loc[scores["metric"] == name, "value"]))
        for name in SHOWN
        if name in means.index
        for row in [cast(Any, means.loc[name])]
    ]  # fmt: skip
    cases, first = set(scores["case"]), scores.iloc[0]
    ways = ("mask_backend", "geometry", "background", "metric_version")
    told = ", ".join(f"{plain(way)} {plain(str(first[way]))}" for way in ways)
    told = f"{counted(len(cases), 'case')}, {_learnt_from(cases, seen)}; {told}."
    return [told + _warning(len(cases)), "", *table(_TITLES, rows, numbers=_NUMBERS)]


def _from_means(validation: Mapping[str, float]) -> list[str]:
    names = [name for name in SHOWN if f"val3d/{name}" in validation]
    rows = [
        _row(name, validation[f"val3d/{name}"], validation.get(f"val3d/{name}_sd", np.nan))
        for name in names
    ]
    return [
        "Means over the validation cases; of how many is not known.",
        "",
        *table(_TITLES, rows, numbers=_NUMBERS),
    ]


def _row(
    name: str, mean: float, sd: float, *, count: str = "not known", worst: float = np.nan
) -> list[str]:
    metric = METRICS[name]
    values = [
        "-" if np.isnan(value) else f"{value:.{digits(metric.unit)}f}"
        for value in (mean, sd, worst)
    ]
    return [plain(name), metric.unit, count, *values, plain(metric.meaning)]


def _worst(name: str, values: "pd.Series[float]") -> float:
    best_is_high = METRICS[name].higher_is_better
    return float(values.min() if best_is_high else values.max())


def _learnt_from(cases: set[str], seen: Sequence[str] | None) -> str:
    if seen is None:
        return "of which it is not known whether it was trained on them"
    leaked = len(cases & set(seen))
    return (
        f"**{leaked} of which it was trained on**" if leaked else "none of which it has learnt from"
    )


def _warning(number: int) -> str:
    if number >= FEW:
        return ""
    return " **So few cases say little of the next patient.**"
