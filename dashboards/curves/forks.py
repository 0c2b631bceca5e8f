"""What a fork does: its branches alone, PSNR above and NGF below (as thesis figure 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from dashboards.curves.curves import NGF, NGF_OF_CT, has_metric, level_of, mark_forks, y_range
from dashboards.curves.segments import Point, points_of
from dashboards.families import trial_colours
from dashboards.load import Fork, Sweep
from dashboards.markup import folded, listed, note
from dashboards.plots import INK, NOTE_FONT, THIN, axis, plain_figure, plot_html, rounded
from data_prep.words import counted
from sweeps.palette import PALETTE

BEFORE = 5
"""Epochs shown of the trunk."""

OPEN, UNFOLDED = 1, 6
"""Figures that are open from the start, and titles that are seen; further ones are folded."""

MOST_DRAWN = 24
"""Forks with a figure; later ones are named only."""

HEIGHT = 520
UPPER, LOWER = [0.47, 1.0], [0.0, 0.39]
NOTE = (
    "The branches of each fork alone, from 5 epochs before it on: as figure 3.2 of the thesis, but "
    "with the NGF before its weight, which does not fall to zero where the weight is switched off."
)


@dataclass(frozen=True)
class Half:
    """The upper or the lower half of a figure: a metric of every trial."""

    metric: str
    title: str
    place: str
    """Plotly's name of its y axis."""
    points: dict[str, list[Point]]


def forks_html(sweep: Sweep, *, metric: str, title: str) -> str:
    """A figure for each of the first forks, `metric` above the NGF, and words for further ones.

    "" without forks or without the metric.
    """
    if not sweep.forks or not has_metric(sweep, metric):
        return ""
    halves = [Half(metric, title, "y", points_of(sweep, metric))]
    if has_metric(sweep, NGF):
        halves.append(Half(NGF, "NGF", "y2", points_of(sweep, NGF)))
    colours, parts = trial_colours(sweep), []
    for index, fork in enumerate(sweep.forks[:MOST_DRAWN]):
        figure = fork_figure(sweep, fork, halves, colours)
        plot = plot_html(figure, alt=f"{_title(fork)}. {_ends(fork, halves[0])}")
        parts.append(folded(_title(fork), plot, is_open=index < OPEN))
    first, rest = parts[:UNFOLDED], parts[UNFOLDED:]
    more = folded(f"{len(rest)} more", "".join(rest)) if rest else ""
    return note(NOTE) + "".join(first) + more + _not_drawn(sweep.forks[MOST_DRAWN:])


def _title(fork: Fork) -> str:
    return f"Fork after epoch {fork.epoch}: {listed([run.trial for run in fork.branches])}"


def _not_drawn(forks: Sequence[Fork]) -> str:
    """The forks without a figure, by name."""
    names = "".join(f"<li>{escape(_title(fork))}</li>" for fork in forks)
    return names and folded(f"{counted(len(forks), 'more fork')}, not drawn", f"<ul>{names}</ul>")


def fork_figure(
    sweep: Sweep, fork: Fork, halves: Sequence[Half], colours: dict[str, str]
) -> go.Figure:
    """The shared trunk's last epochs in ink, then each branch in a colour of its own."""
    figure = plain_figure(height=HEIGHT if len(halves) > 1 else HEIGHT * 2 // 3)
    colours = _told_apart(fork, colours)
    ranges = {}
    for half in halves:
        shown = {
            run.trial: [p for p in half.points.get(run.trial, []) if p[0] > fork.epoch - BEFORE]
            for run in fork.branches
        }
        trunk = [point for point in next(iter(shown.values())) if point[0] <= fork.epoch]
        _line(figure, trunk, name="shared", colour=INK, place=half.place)
        for run in fork.branches:
            branch = trunk[-1:] + [point for point in shown[run.trial] if point[0] > fork.epoch]
            name = sweep.names_of(run)
            _line(figure, branch, name=name, colour=colours[run.trial], place=half.place)
        ranges[half.place] = y_range([value for each in shown.values() for _, value in each])
    mark_forks(figure, (fork.epoch,))
    _lay_out(figure, halves, ranges)
    if len(halves) > 1:
        _draw_level(figure, sweep, ranges["y2"])
    return figure


def _told_apart(fork: Fork, colours: dict[str, str]) -> dict[str, str]:
    """The runs' own colours, unless branches of this fork share one."""
    own = {run.trial: colours[run.trial] for run in fork.branches}
    if len(set(own.values())) == len(own):
        return own
    return {trial: PALETTE[index % len(PALETTE)] for index, trial in enumerate(own)}


def _lay_out(figure: go.Figure, halves: Sequence[Half], ranges: dict[str, list[float]]) -> None:
    two = len(halves) > 1
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "y": 1.06, "yanchor": "bottom", "x": 0},
        margin={"l": 60, "t": 64, "b": 48, "r": 16},
        hovermode="x unified",
        xaxis=axis("epoch", anchor="y2" if two else "y"),
        yaxis=axis(halves[0].title, range=ranges["y"], domain=UPPER if two else [0.0, 1.0]),
    )
    if two:
        lower = axis(halves[1].title, range=ranges["y2"], domain=LOWER, anchor="x")
        figure.update_layout(yaxis2=lower)


def _draw_level(figure: go.Figure, sweep: Sweep, shown: list[float]) -> None:
    """The line NGF(CT, MR), where it lies among the curves."""
    level = level_of(sweep, NGF_OF_CT, name="the CT itself")
    if level is None or not shown[0] < level.value < shown[1]:
        return
    y = rounded(level.value)
    figure.add_shape(type="line", xref="paper", x0=0, x1=1, yref="y2", y0=y, y1=y, line=THIN)
    figure.add_annotation(
        xref="paper", x=0, yref="y2", y=y, text=level.name, showarrow=False,
        xanchor="left", yanchor="top", font=NOTE_FONT,
    )  # fmt: skip


def _line(figure: go.Figure, points: list[Point], *, name: str, colour: str, place: str) -> None:
    if not points:
        return
    figure.add_scatter(
        x=[epoch for epoch, _ in points],
        y=[rounded(value) for _, value in points],
        name=name, legendgroup=name, showlegend=place == "y", yaxis=place, mode="lines+markers",
        line={"color": colour, "width": 2}, marker={"size": 4}, hovertemplate="%{y:.4~g}",
    )  # fmt: skip


def _ends(fork: Fork, half: Half) -> str:
    told = []
    for run in fork.branches:
        points = [point for point in half.points.get(run.trial, []) if point[0] >= fork.epoch]
        if points:
            told.append(f"{run.trial} from {points[0][1]:.4g} to {points[-1][1]:.4g}")
    return f"{half.title}: {', '.join(told)}."
