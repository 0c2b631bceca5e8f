"""Validation curves over epochs, one a run, with the fork epochs marked."""

from dataclasses import dataclass
from itertools import cycle

import pandas as pd
import plotly.graph_objects as go

from dashboards.load import Sweep, Trial

PALETTE = ("#0072B2", "#D55E00", "#117733", "#AA4499", "#332288", "#8A6D00", "#994455", "#444444")
"""Told apart by colour-blind readers, and dark enough for text on white."""

INK, FAINT = "#1f2933", "#d9dee4"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"

THIN = {"dash": "dot", "width": 1.5, "color": "#7b8794"}
NOTE_FONT = {"size": 12, "color": "#52606d"}
MARGIN = {"l": 56, "t": 28, "b": 48}
LABEL_PX = 17.0  # the least distance between two labels at the lines' ends
LEGEND_PX = 22
MAX_LABELS = 10  # more lines than that get a legend instead


@dataclass(frozen=True)
class Level:
    """A horizontal line to compare curves with."""

    name: str
    value: float


def trial_colours(sweep: Sweep) -> dict[str, str]:
    """A colour a run, the same in every figure; trials that are the same run share it."""
    runs = [run.trial for run in sweep.runs]
    colours = dict(zip(runs, cycle(PALETTE), strict=False))
    for trial in sweep.trials:
        colours.setdefault(trial.trial, colours.get(trial.same_as or "", INK))
    return colours


def has_metric(sweep: Sweep, metric: str) -> bool:
    """Whether any run recorded a value of `metric`."""
    return not _values(sweep, metric).empty


def level_of(sweep: Sweep, metric: str, *, name: str) -> Level | None:
    """The median of a `metric` that no training changes, or None where it was not recorded."""
    values = _values(sweep, metric)
    return None if values.empty else Level(name, float(values.median()))


def curve_figure(
    sweep: Sweep, metric: str, *, title: str, colours: dict[str, str], height: int,
    level: Level | None = None,
) -> go.Figure:  # fmt: skip
    """Lines of `metric` against the epoch: own epochs solid, carried ones dashed.

    `title` names the y axis, with its unit. A dotted vertical line at each fork epoch. Each
    line bears its name at its end; more than ten lines get a legend. `metric` must be there.
    """
    figure = go.Figure()
    ends: list[tuple[Trial, int, float]] = []
    for run in sweep.runs:
        rows = sweep.history.query("trial == @run.trial and metric == @metric")
        rows = rows.dropna(subset=["value"]).sort_values("epoch")
        if rows.empty:
            continue
        _draw_run(figure, rows, name=sweep.names_of(run), colour=colours[run.trial])
        ends.append((run, int(rows["epoch"].iloc[-1]), float(rows["value"].iloc[-1])))
    for epoch in sweep.fork_epochs:
        note = {"text": f"fork {epoch}", "font": NOTE_FONT}
        figure.add_vline(epoch, line=THIN, annotation=note, annotation_position="top")
    if level:
        note = {"text": level.name, "font": NOTE_FONT}
        figure.add_hline(level.value, line=THIN, annotation=note, annotation_position="bottom left")
    labelled = len(ends) <= MAX_LABELS
    _lay_out(figure, title=title, height=height, legend=not labelled)
    if labelled:
        _label_ends(figure, sweep, ends, colours=colours)
    return figure


def _draw_run(figure: go.Figure, rows: pd.DataFrame, *, name: str, colour: str) -> None:
    """The carried part, then the own one, which starts at the last carried point."""
    carried = rows["carried"].to_numpy(bool)
    num_carried = int(carried.sum())
    parts = [(rows[carried], True), (rows.iloc[max(0, num_carried - 1) :], False)]
    for part, is_carried in parts:
        if part.empty or (not is_carried and carried.all()):
            continue
        figure.add_scatter(
            x=part["epoch"].tolist(),
            y=part["value"].tolist(),
            name=name,
            legendgroup=name,
            showlegend=not is_carried or bool(carried.all()),
            mode="lines+markers" if len(rows) <= 30 and not is_carried else "lines",
            line={"color": colour, "width": 2, "dash": "5px,9px" if is_carried else "solid"},
            marker={"size": 5},
            hovertemplate="%{y:.3f}" + (" (carried)" if is_carried else ""),
        )


def _label_ends(
    figure: go.Figure, sweep: Sweep, ends: list[tuple[Trial, int, float]], *,
    colours: dict[str, str],
) -> None:  # fmt: skip
    """Names beside the lines' ends, pushed apart where two that end together would overlap."""
    low, high = figure.layout.yaxis.range
    px_per_unit = (figure.layout.height - MARGIN["t"] - MARGIN["b"]) / (high - low)
    for epoch in sorted({epoch for _, epoch, _ in ends}):
        together = [(run, value) for run, at, value in ends if at == epoch]
        together.sort(key=lambda end: end[1], reverse=True)
        wanted = [(value - low) * px_per_unit for _, value in together]
        for (run, value), before, after in zip(together, wanted, _spread(wanted), strict=True):
            figure.add_annotation(
                x=epoch, y=value, text=sweep.names_of(run), showarrow=False,
                xanchor="left", xshift=8, yshift=after - before, bgcolor="white",
                font={"size": 13, "color": colours[run.trial]},
            )  # fmt: skip
    longest = max((len(sweep.names_of(run)) for run, _, _ in ends), default=0)
    figure.update_layout(margin_r=min(260, 24 + 8 * longest))


def _spread(heights_px: list[float]) -> list[float]:
    """Heights, given from top to bottom, at least a label apart and above the axis."""
    places: list[float] = []
    for height in heights_px:
        places.append(min(height, places[-1] - LABEL_PX) if places else height)
    floor = LABEL_PX / 2
    for index in reversed(range(len(places))):
        places[index] = max(places[index], floor)
        floor = places[index] + LABEL_PX
    return places


def _lay_out(figure: go.Figure, *, title: str, height: int, legend: bool) -> None:
    last = max((epoch for trace in figure.data for epoch in trace.x), default=1)
    values = [value for trace in figure.data for value in trace.y]
    values += [shape.y0 for shape in figure.layout.shapes if shape.yref == "y"]
    low, high = min(values, default=0.0), max(values, default=1.0)
    pad = 0.06 * (high - low) or 0.5
    axis = {"gridcolor": FAINT, "zeroline": False, "linecolor": FAINT, "ticks": ""}
    figure.update_layout(
        height=height + (LEGEND_PX * len(figure.data) // 2 if legend else 0),
        margin=MARGIN,
        font={"family": FONT, "size": 13, "color": INK},
        plot_bgcolor="white",
        paper_bgcolor="white",
        hovermode="x unified",
        showlegend=legend,
        legend={"orientation": "h", "y": -0.15},
        xaxis={
            **axis,
            "title": "epoch",
            "range": [1 - 0.02 * last, 1.01 * last],
            "dtick": 1 if last <= 20 else None,
        },
        yaxis={**axis, "title": title, "range": [low - pad, high + pad]},
    )


def _values(sweep: Sweep, metric: str) -> "pd.Series[float]":
    return sweep.history.loc[sweep.history["metric"] == metric, "value"].dropna()
