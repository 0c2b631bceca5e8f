"""Two models on the same cases: paired differences. Compares two weight files, not two settings."""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.table import Table
from scipy import stats

from pct.scoring.bootstrap import mean_interval
from pct.scoring.cohort import (
    digits,
    plain,
    refuse_mixtures,
    spell_count,
    spell_interval,
    titled,
    without_curves,
)

COLUMNS = ("a", "b", "split", "metric", "unit", "n", "of", "difference", "ci_low", "ci_high", "p")

CAUTION = (
    "Differences B - A case by case, of two weight files and not of two settings: another seed may "
    "turn them\nround. Settings are compared by `pct claim`, from 3 seeds and 6 patients on."
)
"""Stands under every such table."""


def differences(scores: pd.DataFrame, trials: Sequence[str]) -> pd.DataFrame:
    """Each later trial minus the first: a row a metric, with the mean over cases of B - A.

    n are the cases where both are defined, `of` all cases of either. The interval is the
    bootstrap's; p is Wilcoxon's signed-rank, two-sided, and 1 where all differences are zero.
    Mixed scores are refused as in `cohort`.
    """
    refuse_mixtures(scores)
    a, *others = trials
    rows = []
    for b in others:
        both = scores[scores["trial"].isin([a, b])]
        for key, part in both.groupby(["split", "metric", "unit"], sort=False):
            values = part.pivot(index="case", columns="trial", values="value")
            pair = values.reindex(columns=[a, b]).to_numpy(np.float64)
            rows.append((a, b, *key, *_summary(pair[:, 1] - pair[:, 0])))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _summary(gaps: NDArray[np.float64]) -> tuple[float, ...]:
    known = gaps[~np.isnan(gaps)]
    mean = known.mean() if len(known) else math.nan
    return (len(known), len(gaps), mean, *mean_interval(known), signed_rank(known))


def signed_rank(gaps: NDArray[np.float64]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; 1 if all are zero, NaN if there are none."""
    if not len(gaps):
        return math.nan
    return float(stats.wilcoxon(gaps).pvalue) if gaps.any() else 1.0


def difference_table(table: pd.DataFrame) -> Table:
    """Every pair and metric, but curves, on a line of its own."""
    shown = plain("B - A", "split", "metric", "n", "mean difference", "95 % CI", "Wilcoxon p")
    before, records = None, cast(Any, without_curves(table).itertuples())
    for row in records:
        now = (f"{row.b} - {row.a}", str(row.split))
        shown.add_row(
            *(("", "") if now == before else now),
            titled(row.metric, row.unit),
            spell_count(row.n, row.of),
            signed(row.difference, row.unit),
            spell_interval(row.ci_low, row.ci_high, row.unit),
            spell_p(row.p),
        )
        before = now
    return shown


def signed(value: float, unit: str) -> str:
    """A difference with its sign and the unit's digits; `-` where it is undefined."""
    return "-" if math.isnan(value) else f"{value:+.{digits(unit)}f}"


def spell_p(p: float) -> str:
    """Three decimals, `<0.001` below; `-` where there is none."""
    if math.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"
