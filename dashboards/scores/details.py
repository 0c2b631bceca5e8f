"""Scores in full: n, mean, SD and interval of each trial, a folded table a metric."""

import math
from typing import Any, cast

import pandas as pd

from dashboards.load import Sweep
from dashboards.markup import UNKNOWN, folded, html_table, note, subheading
from dashboards.scores.differences import differences_html
from dashboards.scores.tables import MAIN, comparable, metric_header, score_names, without_twins
from data_prep.words import counted
from pct.scoring.cohort import cohort, digits, spell_count, spell_interval, without_curves

FEW_TRIALS = 8
"""With more, only the main metrics are shown."""

HEADERS = ("trial", "n", "mean", "SD", "95 % CI of the mean")
NOTE = (
    "SD with n - 1. Intervals are percentiles of a bootstrap over cases: they describe these cases "
    "and one training each, and support no claim between settings."
)


def details_html(sweep: Sweep) -> str:
    """Tables of the validation scores, then differences between settings; "" without scores."""
    scores = without_curves(sweep.scores[sweep.scores["split"] == "val"])
    parts: list[str] = []
    for title, part in comparable(scores, where="val"):
        own = without_twins(sweep, part)
        if not own.empty:
            tables = _metrics(own, score_names(sweep, own))
            parts.append(subheading(f"Each trial{title}") + tables)
            parts.append(differences_html(sweep, part))
    return "".join(parts)


def _metrics(scores: pd.DataFrame, names: dict[str, str]) -> str:
    """The main metrics, the first one open; with few trials the others, one fold further."""
    many = scores["trial"].nunique() > FEW_TRIALS
    shown = scores[scores["metric"].isin(MAIN)] if many else scores
    main: list[str] = []
    others: list[str] = []
    for metric, rows in cohort(shown).groupby("metric", sort=False):
        cells = [_row(row, names) for row in cast(Any, rows.itertuples())]
        table = html_table(HEADERS, cells, numeric=True, caption=f"{metric} of each trial")
        title = metric_header(metric, rows["unit"].iloc[0])
        if metric in MAIN:
            main.append(folded(title, table, is_open=not main))
        else:
            others.append(folded(title, table))
    more = folded(counted(len(others), "more metric"), "".join(others)) if others else ""
    rest = scores["metric"].nunique() - len(main) - len(others)
    left = f" {counted(rest, 'more metric')} in scores.parquet." if rest else ""
    return "".join(main) + more + note(NOTE + left)


def _row(row: Any, names: dict[str, str]) -> list[str]:
    places = digits(row.unit)
    return [
        names.get(row.trial, row.trial),
        spell_count(row.n, row.of),
        UNKNOWN if math.isnan(row.mean) else f"{row.mean:.{places}f}",
        UNKNOWN if math.isnan(row.sd) else f"{row.sd:.{places}f}",
        spell_interval(row.ci_low, row.ci_high, row.unit),
    ]
