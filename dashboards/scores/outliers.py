"""Cases that stand apart: a dot a case and trial, and the names of those far from the median."""

from collections import Counter
from collections.abc import Iterator
from html import escape
from typing import Any, cast

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboards.families import trial_colours
from dashboards.load import Sweep
from dashboards.markup import UNKNOWN, html_table, note, subheading
from dashboards.plots import axis, plain_figure, plot_html, rounded
from dashboards.scores.tables import MAIN, comparable, metric_header, score_names, without_twins
from pct.metrics.names import METRICS
from pct.scoring.cohort import digits

FAR_MADS = 3.0
"""Median absolute deviations from the median beyond which a case is listed."""

MIN_CASES = 5
"""With fewer the deviation says nothing: the worst case is named."""

ROOM_FOR_NAMES = 48
"""Characters of all trials' names that fit below a plot; else a dot tells its trial by itself."""

HEIGHT, JITTER = 300, 0.25
MOST_NAMED = 3
DOT = {"size": 5, "symbol": "circle"}
RING = {"size": 9, "symbol": "circle-open", "line": {"width": 2}}


def outliers_html(sweep: Sweep) -> str:
    """A strip plot a main metric, then a table of the cases to look at; "" without scores."""
    scores = without_twins(sweep, sweep.scores[sweep.scores["split"] == "val"])
    scores = scores[scores["metric"].isin(MAIN)].dropna(subset=["value"])
    names, colours = score_names(sweep, scores), trial_colours(sweep)
    parts = []
    for title, part in comparable(scores, where="val"):
        parts += [subheading(title.lstrip(": ").capitalize())] if title else []
        plots = [
            _strip(part[part["metric"] == metric], metric, names, colours)
            for metric in MAIN
            if (part["metric"] == metric).any()
        ]
        parts.append(f'<div class="grid">{"".join(plots)}</div>')
        parts.append(_list(part, names))
    return "".join(parts)


def records(rows: pd.DataFrame) -> Iterator[Any]:
    """The rows as named tuples, which pandas types too narrowly."""
    return iter(cast(Any, rows.itertuples()))


def is_far(values: "pd.Series[float]") -> "pd.Series[bool]":
    """Which values lie outside median ± 3 MAD; none below five values, or where all agree."""
    gaps = (values - values.median()).abs()
    far = gaps > FAR_MADS * gaps.median()
    return far & (len(values) >= MIN_CASES)


def worst(rows: pd.DataFrame, metric: str) -> str:
    """The case with the worst value; where no way is better, the one furthest from the median."""
    higher = METRICS[metric].higher_is_better if metric in METRICS else None
    values = rows.set_index("case")["value"]
    if higher is None:
        values, higher = (values - values.median()).abs(), False
    return str(values.idxmin() if higher else values.idxmax())


def _strip(rows: pd.DataFrame, metric: str, names: dict[str, str], colours: dict[str, str]) -> str:
    unit = str(rows["unit"].iloc[0])
    scored = set(rows["trial"])
    trials = [trial for trial in names if trial in scored]
    figure = strip_figure(rows, trials, names, colours)
    title = metric_header(metric, unit)
    alt = (
        f"{title}: a dot for each of {rows['case'].nunique()} cases and {len(trials)} trials from "
        f"{rows['value'].min():.4g} to {rows['value'].max():.4g}. Those apart are in the table "
        "below."
    )
    return f"<figure><figcaption>{escape(title)}</figcaption>{plot_html(figure, alt=alt)}</figure>"


def strip_figure(
    rows: pd.DataFrame, trials: list[str], names: dict[str, str], colours: dict[str, str]
) -> go.Figure:
    """Trials side by side; far cases as open rings. Dots are spread a little by their case."""
    figure = plain_figure(height=HEIGHT)
    cases = sorted(rows["case"].unique())
    spread = dict(zip(cases, np.linspace(-JITTER, JITTER, len(cases)).round(3), strict=True))
    far = rows.groupby("trial")["value"].transform(is_far).astype(bool)
    for is_ring in (False, True):
        part = rows[far == is_ring]
        place = {trial: index for index, trial in enumerate(trials)}
        paint = [colours.get(trial, "#444444") for trial in part["trial"]]
        figure.add_scatter(
            x=[round(place[row.trial] + float(spread[row.case]), 3) for row in records(part)],
            y=[rounded(value) for value in part["value"]],
            text=[f"{row.case}, {names[row.trial]}" for row in records(part)],
            mode="markers",
            marker={**(RING if is_ring else DOT), "color": paint},
            hovertemplate="%{text}: %{y:.4~g}<extra></extra>",
        )  # fmt: skip
    few = sum(len(names[trial]) for trial in trials) <= ROOM_FOR_NAMES
    ticks = {"tickvals": list(range(len(trials))), "ticktext": [names[trial] for trial in trials]}
    title = "" if few else f"{len(trials)} trials, in the order of the table"
    figure.update_layout(
        xaxis=axis(title, range=[-0.6, len(trials) - 0.4], automargin=True, showgrid=False,
                   **(ticks if few else {"showticklabels": False})),
        yaxis=axis("", automargin=True),
        margin={"l": 44, "t": 8, "b": 40, "r": 8},
    )  # fmt: skip
    return figure


def _list(scores: pd.DataFrame, names: dict[str, str]) -> str:
    metrics = [metric for metric in MAIN if (scores["metric"] == metric).any()]
    units = dict(zip(scores["metric"], scores["unit"], strict=True))
    named: Counter[str] = Counter()
    rows = []
    parts = dict(iter(scores.groupby(["trial", "metric"])))
    scored = {trial for trial, _ in parts}
    for trial, name in names.items():
        if trial not in scored:
            continue
        cells = []
        for metric in metrics:
            found = listed_cases(parts.get((trial, metric), scores[:0]), metric)
            named.update({case for case, _ in found})
            cells.append(_cell(found, units[metric]))
        rows.append([name, *cells])
    heads = ["trial", *(metric_header(metric, units[metric]) for metric in metrics)]
    table = html_table(heads, rows, numeric=True, caption="Cases that stand apart")
    often = [each for each in named.most_common(MOST_NAMED) if each[1] > 1]
    most = ", ".join(f"{case} ({count} times)" for case, count in often)
    few = scores["case"].nunique() < MIN_CASES
    rule = (
        f"The worst case of each trial: with fewer than {MIN_CASES} cases none can be called an "
        "outlier." if few else
        f"Cases outside median ± {FAR_MADS:g} MAD of their trial, on either "
        "side, ringed above. Of an ordinary spread one case in 20 lies there by chance."
    )  # fmt: skip
    return table + note(rule + (f" Most often listed: {most}." if most else ""))


def listed_cases(rows: pd.DataFrame, metric: str) -> list[tuple[str, float]]:
    """The far cases of one trial and metric; below five cases the worst one."""
    if rows.empty:
        return []
    if len(rows) < MIN_CASES:
        chosen = rows[rows["case"] == worst(rows, metric)]
    else:
        chosen = rows[is_far(rows["value"])]
    return [(str(row.case), float(row.value)) for row in records(chosen)]


def _cell(found: list[tuple[str, float]], unit: str) -> str:
    told = [f"{case} {value:.{digits(unit)}f}" for case, value in found]
    return ", ".join(told) or UNKNOWN
