"""Figures as the page holds them: JSON, drawn by the browser when they come into view."""

import json
import math
from html import escape
from typing import Any

import plotly.graph_objects as go

INK, FAINT, PALE = "#1f2933", "#d9dee4", "#52606d"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
THIN = {"dash": "dot", "width": 1.5, "color": "#7b8794"}
NOTE_FONT = {"size": 12, "color": PALE}
DIGITS = 5
"""Significant digits of a plotted value: finer than any screen."""


def rounded(value: float) -> float | None:
    """A value with 5 significant digits; None where it is not finite."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def axis(title: str, **more: Any) -> dict[str, Any]:
    """A plain axis."""
    plain = {"gridcolor": FAINT, "zeroline": False, "linecolor": FAINT, "ticks": ""}
    return {**plain, "title": {"text": title}, **more}


def plain_figure(*, height: int, **layout: Any) -> go.Figure:
    """An empty figure in the report's looks."""
    figure = go.Figure()
    figure.update_layout(
        template=None,
        height=height,
        margin={"l": 60, "t": 28, "b": 48, "r": 16},
        font={"family": FONT, "size": 13, "color": INK},
        plot_bgcolor="white",
        paper_bgcolor="white",
        hovermode="closest",
        showlegend=False,
        **layout,
    )
    return figure


def plot_html(figure: go.Figure, *, alt: str, kind: str = "") -> str:
    """A place for the figure and its JSON; `alt` says in words what it shows.

    The place has the figure's height from the start, so that nothing moves when it is drawn.
    Figures of `kind` "curves" follow the page's choice of trials.
    """
    spec = figure.to_plotly_json()
    spec["layout"].pop("template", None)
    content = json.dumps(spec, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        f'<div class="plot" data-kind="{kind}" style="height:{figure.layout.height:.0f}px" '
        f'role="img" aria-label="{escape(alt)}">'
        f'<script type="application/json">{content}</script></div>'
    )
