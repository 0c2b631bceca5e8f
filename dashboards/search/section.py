"""A search in figures: the front, importances, slices, and the table of its points."""

from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboards.load import Sweep
from dashboards.markup import UNKNOWN, html_table, note, subheading
from dashboards.plots import axis, plain_figure, plot_html, rounded
from dashboards.search.points import BEST_SHARE, Points, StudyFacts, read_points, study_facts
from data_prep.words import counted
from sweeps.palette import PALETTE

GREY, BLUE, ORANGE = "#9aa5b1", PALETTE[0], PALETTE[1]
KINDS = (
    ("beyond a constraint", GREY, "x-thin-open"),
    ("within the constraints", BLUE, "circle"),
    ("front", ORANGE, "diamond"),
)
BAR_PX, BARS_MARGIN_PX = 26, 90
SLICE_PX, FRONT_PX = 260, 420
FRONT_NOTE = (
    "A point stands for its best leaf, by the median of the last 5 looks or the final 3D score. On "
    "the front no other point is as good in all aims and better in one."
)


def search_html(sweep: Sweep) -> str:
    """All of it; "" for a sweep without a search."""
    points = read_points(sweep)
    if points is None:
        return ""
    facts = study_facts(sweep, points)
    parts = [note(_counts(points))]
    if not points.complete.empty:
        parts += [_front(points), _importances(points, facts), _slices(points, facts)]
    return "".join([*parts, subheading("Points"), _table(points)])


def _counts(points: Points) -> str:
    states = points.table["state"].value_counts()
    told = ", ".join(f"{count} {str(state).lower()}" for state, count in states.items())
    bounds = ", ".join(f"{name} at most {most:g}" for name, most in points.constrain.items())
    aims = [f"minimise {name}" for name in points.minimise]
    aims += [f"maximise {name}" for name in points.maximise]
    within = f", with {bounds}" if bounds else ""
    return f"{counted(len(points.table), 'point')} ({told}): {', '.join(aims)}{within}."


def kind_of(row: Any) -> int:
    """Index into `KINDS`."""
    return 2 if row["on_front"] else int(row["feasible"] is True or row["feasible"] == True)  # noqa: E712


def front_figure(points: Points) -> go.Figure:
    """The first two aims against each other; a single aim against the number of the point."""
    x, y = points.aims[:2] if len(points.aims) > 1 else ("point", points.aims[0])
    figure = plain_figure(height=FRONT_PX)
    rows = points.complete.to_dict("records")
    for index, (name, colour, symbol) in enumerate(KINDS):
        own = sorted((row for row in rows if kind_of(row) == index), key=lambda row: row[x])
        joined = name == "front" and len(points.aims) == 2
        figure.add_scatter(
            x=[rounded(row[x]) for row in own],
            y=[rounded(row[y]) for row in own],
            text=[f"point {row['point']}: {row['leaf']}" for row in own],
            name=name, showlegend=bool(own), mode="lines+markers" if joined else "markers",
            line={"width": 1, "dash": "dot", "color": colour},
            marker={"size": 9, "color": colour, "symbol": symbol, "line": {"width": 2}},
            hovertemplate="%{text}<br>" + f"{x} %{{x:.4~g}}, {y} %{{y:.4~g}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 64, "t": 40, "b": 52, "r": 16}, xaxis=axis(_aim(points, x)),
        yaxis=axis(_aim(points, y)),
    )  # fmt: skip
    return figure


def _aim(points: Points, name: str) -> str:
    if name in points.minimise:
        return f"{name} (lower is better)"
    return f"{name} (higher is better)" if name in points.maximise else name


def _front(points: Points) -> str:
    best = points.table.loc[points.table["on_front"].astype(bool), "point"].tolist()
    alt = f"Points by their aims. On the front: {', '.join(map(str, best)) or 'none'}."
    further = (
        f" Drawn are the first two of {len(points.aims)} aims." if len(points.aims) > 2 else ""
    )
    title = "Front" if len(points.aims) > 1 else "Points in their order"
    return subheading(title) + plot_html(front_figure(points), alt=alt) + note(FRONT_NOTE + further)


def _importances(points: Points, facts: StudyFacts) -> str:
    if not facts.importances:
        return subheading("Importances") + note(facts.why_not)
    names = sorted({name for shares in facts.importances.values() for name in shares})
    figure = plain_figure(height=BARS_MARGIN_PX + BAR_PX * len(names) * len(points.aims))
    for index, (aim, shares) in enumerate(facts.importances.items()):
        figure.add_bar(
            x=[rounded(shares.get(name, 0.0)) for name in names], y=names, name=aim,
            orientation="h", marker={"color": PALETTE[index % len(PALETTE)]},
            hovertemplate="%{y}: %{x:.0%}<extra>" + aim + "</extra>",
        )  # fmt: skip
    figure.update_layout(
        showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis=axis("share", tickformat=".0%", rangemode="tozero"), yaxis=axis("", automargin=True),
        margin={"l": 44, "t": 40, "b": 44, "r": 16},
    )  # fmt: skip
    told = "; ".join(
        f"{aim}: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        for aim, shares in facts.importances.items()
    )
    words = (
        f"PED-ANOVA: how far the best {BEST_SHARE:.0%} of the points differ from all in each "
        f"sampled dimension. From {counted(len(points.complete), 'point')}: a hint, no test."
    )
    return subheading("Importances") + plot_html(figure, alt=f"Importances. {told}") + note(words)


def _slices(points: Points, facts: StudyFacts) -> str:
    parts = [subheading("Slices: each aim against each dimension")]
    for aim in points.aims:
        plots = [
            plot_html(
                slice_figure(points, aim, name, is_log=name in facts.logarithmic),
                alt=f"{aim} against {name}, {counted(len(points.complete), 'point')}; the numbers "
                "are in the table of points.",
            )
            for name in points.dimensions
        ]
        parts.append(f"<figure><figcaption>{escape(_aim(points, aim))}</figcaption>")
        parts.append(f'<div class="grid small">{"".join(plots)}</div></figure>')
    return "".join(parts)


def slice_figure(points: Points, aim: str, dimension: str, *, is_log: bool) -> go.Figure:
    """Complete points; on a logarithmic axis where the search was logarithmic."""
    figure = plain_figure(height=SLICE_PX)
    rows = points.complete.to_dict("records")
    figure.add_scatter(
        x=[rounded(row[dimension]) for row in rows],
        y=[rounded(row[aim]) for row in rows],
        text=[f"point {row['point']}, {KINDS[kind_of(row)][0]}" for row in rows],
        mode="markers",
        marker={"size": 7, "color": [KINDS[kind_of(row)][1] for row in rows],
                "symbol": [KINDS[kind_of(row)][2] for row in rows], "line": {"width": 1}},
        hovertemplate="%{text}<br>%{x:.4~g}: %{y:.4~g}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        xaxis=axis(dimension, type="log" if is_log else "linear", nticks=5),
        yaxis=axis("", automargin=True, nticks=5),
        margin={"l": 44, "t": 8, "b": 44, "r": 12},
    )
    return figure


def _table(points: Points) -> str:
    numbers = [*points.dimensions, *dict.fromkeys((*points.aims, *points.constrain))]
    heads = ["point", "state", "front", "within bounds", *numbers, "best leaf", "reason"]
    rows = [
        [
            str(row["point"]),
            str(row["state"]).lower(),
            "yes" if row["on_front"] else "",
            UNKNOWN if pd.isna(row["feasible"]) else "yes" if row["feasible"] else "no",
            *(UNKNOWN if pd.isna(row[name]) else f"{row[name]:.4g}" for name in numbers),
            row["leaf"] or UNKNOWN,
            row["reason"] or "",
        ]
        for row in points.table.to_dict("records")
    ]
    return html_table(heads, rows, numeric=True, caption="Points of the search")
