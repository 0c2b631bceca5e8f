"""Scores of many cases as one table: n, mean, SD and its interval, for people and for programs."""

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from rich.table import Table

from data_prep.errors import PctError
from pct.scoring.bootstrap import mean_interval

ONE_OF = ("mask_backend", "metric_version", "split_sha", "geometry", "background")
"""What all scores in one table must agree in."""

GIVEN = "given"
"""Geometry and background of a pseudo-CT that another program made: may stand beside any."""

SHOWN = ("ssim", "ssim_masked", "dice_hu250", "mae_head", "edge_bone")
"""Columns of the table with a line a trial."""

CURVE = "bg_"
"""How the points of the background's profile begin: a curve, too long for tables and claims."""

DIGITS = {"HU": 1, "HU/mm": 2, "dB": 2, "mm": 2}
"""Decimals of a unit; others have 4."""

COLUMNS = ("trial", "split", "metric", "unit", "n", "of", "mean", "sd", "ci_low", "ci_high")


class MixedScores(PctError):
    """Scores that must not stand in one table."""


def refuse_mixtures(
    scores: pd.DataFrame, *, columns: Sequence[str] = ONE_OF, where: str = ""
) -> None:
    """Raise `MixedScores` unless all scores agree in each of `columns`."""
    for column in columns:
        found = sorted(set(scores[column].astype(str)) - {GIVEN})
        if len(found) > 1:
            raise MixedScores(
                f"{where}scores mix {column}: {' and '.join(found)}; expected one, for such scores "
                "cannot be compared. Score the models anew on one data folder with one version."
            )


def cohort(scores: pd.DataFrame) -> pd.DataFrame:
    """A row a trial, split and metric: n of how many cases, mean, SD (n - 1) and interval.

    NaN scores do not count, but are among the `of` cases. The interval is the bootstrap's, of the
    mean over cases. Refuses to mix mask back ends, metric versions, splits' hashes, geometries or
    backgrounds.
    """
    refuse_mixtures(scores)
    groups = scores.groupby(["trial", "split", "metric", "unit"], sort=False)["value"]
    rows = [(*key, *_summary(values.to_numpy(np.float64))) for key, values in groups]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _summary(values: "np.ndarray[Any, np.dtype[np.float64]]") -> tuple[float, ...]:
    known = values[~np.isnan(values)]
    mean = known.mean() if len(known) else math.nan
    sd = known.std(ddof=1) if len(known) > 1 else math.nan
    return (len(known), len(values), mean, sd, *mean_interval(known))


def digits(unit: str) -> int:
    """Decimals that suit a unit."""
    return DIGITS.get(unit, 4)


def spell(mean: float, sd: float, unit: str) -> str:
    """`45.2 ± 3.1`, with digits that suit the unit; no SD for a single case, `-` for none."""
    if math.isnan(mean):
        return "-"
    return f"{mean:.{digits(unit)}f}" + ("" if math.isnan(sd) else f" ± {sd:.{digits(unit)}f}")


def spell_interval(low: float, high: float, unit: str) -> str:
    """`42.0 to 48.4`, or `-` where there is none."""
    if math.isnan(low):
        return "-"
    return f"{low:.{digits(unit)}f} to {high:.{digits(unit)}f}"


def spell_count(n: int, of: int) -> str:
    """`39`, or `38 of 39` where a score is undefined."""
    return str(n) if n == of else f"{n} of {of}"


def titled(metric: str, unit: str) -> str:
    """A metric with its unit, as in `mae_head, HU`, unless its name says it."""
    said = unit.lower() in metric.split("_")
    return metric if unit in ("", "1") or said else f"{metric}, {unit}"


def cell(row: Any) -> str:
    """Mean ± SD of one row of `cohort`, with the count where a score is undefined."""
    text = spell(row.mean, row.sd, row.unit)
    return text if row.n == row.of else f"{text} (n = {row.n} of {row.of})"


def terminal_table(table: pd.DataFrame) -> Table:
    """Mean ± SD over cases of the main metrics, a line a trial and split."""
    metrics = [name for name in SHOWN if name in set(table["metric"])]
    units = dict(zip(table["metric"], table["unit"], strict=True))
    shown = plain("trial", "split", "n", *(titled(name, units[name]) for name in metrics))
    for (trial, split), rows in table.groupby(["trial", "split"], sort=False):
        cells = {row.metric: cell(row) for row in cast(Any, rows.itertuples())}
        shown.add_row(
            str(trial), str(split), str(rows["of"].max()), *(cells.get(m, "-") for m in metrics)
        )
    return shown


def metric_table(table: pd.DataFrame) -> Table:
    """Every metric but curves on a line of its own: n, mean ± SD, and the interval of the mean."""
    shown = plain("trial", "split", "metric", "n", "mean ± SD", "95 % CI of the mean")
    before, records = None, cast(Any, without_curves(table).itertuples())
    for row in records:
        now = (str(row.trial), str(row.split))
        shown.add_row(
            *(("", "") if now == before else now),
            titled(row.metric, row.unit),
            spell_count(row.n, row.of),
            spell(row.mean, row.sd, row.unit),
            spell_interval(row.ci_low, row.ci_high, row.unit),
        )
        before = now
    return shown


def without_curves(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of metrics that stand for themselves."""
    return table[~table["metric"].str.startswith(CURVE)]


def plain(*titles: str) -> Table:
    """A table without lines, whose cells do not wrap."""
    shown = Table(box=None, pad_edge=False)
    for title in titles:
        shown.add_column(title, no_wrap=True)
    return shown
