"""What a fork does: its branches alone, PSNR above and NGF below (as thesis figure 3.2)."""

import plotly.graph_objects as go

from dashboards.curves import has_metric, mark_forks, y_range
from dashboards.families import PALETTE
from dashboards.load import Fork, Sweep, Trial
from dashboards.markup import folded, listed, note
from dashboards.plots import INK, NOTE_FONT, THIN, axis, plain_figure, plot_html, rounded

BEFORE = 5
"""Epochs shown of the trunk."""

OPEN = 2
"""Forks whose figure is unfolded from the start."""

HEIGHT = 520
UPPER, LOWER = [0.47, 1.0], [0.0, 0.39]
NGF, NGF_OF_CT = "val/ngf", "val/ngf_ct"
NOTE = (
    "The branches of each fork alone, from 5 epochs before it on: as figure 3.2 of the thesis, but "
    "with the NGF before its weight, which does not fall to zero where the weight is switched off."
)


def forks_html(sweep: Sweep, *, metric: str) -> str:
    """A figure a fork, `metric` above the NGF; "" without forks or without the metric."""
    if not sweep.forks or not has_metric(sweep, metric):
        return ""
    parts = []
    for index, fork in enumerate(sweep.forks):
        names = [run.trial for run in fork.branches]
        title = f"Fork after epoch {fork.epoch}: {listed(names)}"
        figure = fork_figure(sweep, fork, metric=metric)
        alt = f"{title}. {_ends(sweep, fork, metric)}"
        parts.append(folded(title, plot_html(figure, alt=alt), is_open=index < OPEN))
    return note(NOTE) + "".join(parts)


def fork_figure(sweep: Sweep, fork: Fork, *, metric: str) -> go.Figure:
    """The shared trunk's last epochs in ink, then each branch in a colour of its own."""
    shown = [(metric, "y")] + ([(NGF, "y2")] if has_metric(sweep, NGF) else [])
    figure = plain_figure(height=HEIGHT if len(shown) > 1 else HEIGHT * 2 // 3)
    ranges = {}
    for name, place in shown:
        values: list[float] = []
        for index, run in enumerate(fork.branches):
            points = _points(sweep, run, name, first=fork.epoch - BEFORE + 1)
            trunk = [point for point in points if point[0] <= fork.epoch]
            values += [value for _, value in points]
            if index == 0:
                _line(figure, trunk, name="shared", colour=INK, yaxis=place)
            branch = trunk[-1:] + [point for point in points if point[0] > fork.epoch]
            colour = PALETTE[index % len(PALETTE)]
            _line(figure, branch, name=sweep.names_of(run), colour=colour, yaxis=place)
        ranges[place] = y_range(values)
    mark_forks(figure, (fork.epoch,))
    _lay_out(figure, sweep, ranges, metric)
    return figure


def _lay_out(figure: go.Figure, sweep: Sweep, ranges: dict[str, list[float]], metric: str) -> None:
    unit = " (dB)" if "psnr" in metric else ""
    two = "y2" in ranges
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 60, "t": 56, "b": 48, "r": 16},
        hovermode="x unified",
        xaxis=axis("epoch", anchor="y2" if two else "y"),
        yaxis=axis(metric.removeprefix("val/") + unit, range=ranges["y"],
                   domain=UPPER if two else [0.0, 1.0]),
    )  # fmt: skip
    if not two:
        return
    figure.update_layout(yaxis2=axis("NGF", range=ranges["y2"], domain=LOWER, anchor="x"))
    known = sweep.history.loc[sweep.history["metric"] == NGF_OF_CT, "value"].dropna()
    if not known.empty and ranges["y2"][0] < known.median() < ranges["y2"][1]:
        level = rounded(float(known.median()))
        figure.add_shape(
            type="line", xref="paper", x0=0, x1=1, yref="y2", y0=level, y1=level, line=THIN
        )
        figure.add_annotation(
            xref="paper", x=0, yref="y2", y=level, text="the CT itself", showarrow=False,
            xanchor="left", yanchor="top", font=NOTE_FONT,
        )  # fmt: skip


def _line(
    figure: go.Figure, points: list[tuple[int, float]], *, name: str, colour: str, yaxis: str
) -> None:
    if not points:
        return
    figure.add_scatter(
        x=[epoch for epoch, _ in points],
        y=[rounded(value) for _, value in points],
        name=name, legendgroup=name, showlegend=yaxis == "y", yaxis=yaxis, mode="lines+markers",
        line={"color": colour, "width": 2}, marker={"size": 4}, hovertemplate="%{y:.4~g}",
    )  # fmt: skip


def _points(sweep: Sweep, run: Trial, metric: str, *, first: int) -> list[tuple[int, float]]:
    rows = sweep.history
    own = rows[(rows["trial"] == run.trial) & (rows["metric"] == metric) & (rows["epoch"] >= first)]
    own = own.dropna(subset=["value"]).sort_values("epoch")
    return list(zip(own["epoch"].tolist(), own["value"].tolist(), strict=True))


def _ends(sweep: Sweep, fork: Fork, metric: str) -> str:
    told = []
    for run in fork.branches:
        points = _points(sweep, run, metric, first=fork.epoch)
        if points:
            told.append(f"{run.trial} from {points[0][1]:.4g} to {points[-1][1]:.4g}")
    return f"{metric}: " + ", ".join(told) + "."
