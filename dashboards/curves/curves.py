"""Curves over epochs: shared trunks once, branches from their fork on, the forks marked."""

from dataclasses import dataclass

import plotly.graph_objects as go

from dashboards.curves.segments import Segment, finite_rows, points_of, segments
from dashboards.load import Sweep, Trial
from dashboards.plots import INK, NOTE_FONT, THIN, axis, plain_figure, rounded
from data_prep.words import counted

PSNR, PSNR_MASKED = "val/psnr", "val/psnr_masked"
NGF, NGF_OF_CT = "val/ngf", "val/ngf_ct"

MARGIN = {"l": 60, "t": 28, "b": 48}
LABEL_PX = 17.0  # the least distance between two labels at the lines' ends
MAX_LABELS = 10  # more lines than that are told apart by pointing at them
MAX_FORKS = 6  # more fork epochs than that are lines without a word
SHOWN_NAMES = 3
FEW_EPOCHS = 30
PAD = 0.06


@dataclass(frozen=True)
class Level:
    """A horizontal line to compare curves with."""

    name: str
    value: float


End = tuple[Trial, int, float]
"""A run, the epoch of its last value, and that value."""


def has_metric(sweep: Sweep, metric: str) -> bool:
    """Whether any run recorded a finite value of `metric`."""
    return not finite_rows(sweep, metric).empty


def level_of(sweep: Sweep, metric: str, *, name: str) -> Level | None:
    """The median of a `metric` that no training changes, or None where it was not recorded."""
    values = finite_rows(sweep, metric)["value"]
    return None if values.empty else Level(name, float(values.median()))


def curve_figure(
    sweep: Sweep, metric: str, *, title: str, colours: dict[str, str], height: int,
    level: Level | None = None,
) -> go.Figure:  # fmt: skip
    """Lines of `metric` against the epoch: solid where this sweep trained them, else dashed.

    `title` names the y axis, with its unit. A dotted vertical line at each fork epoch. Up to ten
    runs bear their names at their ends. `metric` must be there.
    """
    lines = segments(sweep, metric)
    figure = plain_figure(height=height)
    for line in lines:
        draw_line(figure, sweep, line, colour=colours[line.run.trial])
    mark_forks(figure, sweep.fork_epochs)
    if level:
        words = {"text": level.name, "font": NOTE_FONT}
        figure.add_hline(
            level.value, line=THIN, annotation=words, annotation_position="bottom left"
        )
    _lay_out(figure, lines, title=title, level=level)
    ends = last_values(sweep, metric)
    if len(ends) <= MAX_LABELS:
        _label_ends(figure, sweep, ends, colours=colours)
    return figure


def draw_line(
    figure: go.Figure, sweep: Sweep, line: Segment, *, colour: str, yaxis: str = "y"
) -> None:
    """A segment with the names that the page's choice of trials and its hover need."""
    name = line_name(sweep, line)
    few_runs = len(sweep.runs) <= MAX_LABELS
    few = few_runs and line.epochs[-1] <= FEW_EPOCHS
    figure.add_scatter(
        x=list(line.epochs),
        y=[rounded(value) for value in line.values],
        name=name,
        meta=list(line.trials),
        yaxis=yaxis,
        mode="lines+markers" if few else "lines",
        line={
            "color": colour,
            "width": 2 if few_runs else 1.3,
            "dash": "solid" if line.trained else "5px,9px",
        },
        marker={"size": 5},
        hovertemplate="%{fullData.name}<br>epoch %{x}: %{y:.4~g}<extra></extra>",
    )


def line_name(sweep: Sweep, line: Segment) -> str:
    """The run's name; of a shared line the names of those that share it."""
    runs = [run for run in sweep.runs if run.trial in line.trials]
    if len(runs) <= 1:
        return sweep.names_of(line.run)
    names = [run.trial for run in runs]
    more = [f"{len(names) - SHOWN_NAMES} more"] if len(names) > SHOWN_NAMES else []
    return "shared by " + ", ".join([*names[:SHOWN_NAMES], *more])


def mark_forks(figure: go.Figure, epochs: tuple[int, ...]) -> None:
    """A dotted line at each; with a word where they are few."""
    for epoch in epochs:
        words = {"text": f"fork {epoch}" if len(epochs) <= MAX_FORKS else "", "font": NOTE_FONT}
        figure.add_vline(epoch, line=THIN, annotation=words, annotation_position="top")


def last_values(sweep: Sweep, metric: str) -> list[End]:
    """Every run that has the metric, in the order of the recipe, with where its curve ends."""
    points = points_of(sweep, metric)
    return [(run, *points[run.trial][-1]) for run in sweep.runs if run.trial in points]


def in_words(sweep: Sweep, metric: str, *, title: str) -> str:
    """What a curve figure shows, for those who do not see it."""
    ends = last_values(sweep, metric)
    told = ", ".join(f"{run.trial} {value:.4g}" for run, _, value in ends[:MAX_LABELS])
    rest = f" and {len(ends) - MAX_LABELS} more" if len(ends) > MAX_LABELS else ""
    forks = ", ".join(map(str, sweep.fork_epochs))
    forked = f" Forks after epochs {forks}." if forks else ""
    return f"{title} by epoch of {counted(len(ends), 'run')}. Last values: {told}{rest}.{forked}"


def y_range(values: list[float]) -> list[float]:
    """The values' range with some air."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    pad = PAD * (high - low) or 0.5
    return [rounded(low - pad) or 0.0, rounded(high + pad) or 0.0]


def _lay_out(figure: go.Figure, lines: list[Segment], *, title: str, level: Level | None) -> None:
    last = max((line.epochs[-1] for line in lines), default=1)
    values = [value for line in lines for value in line.values]
    values += [level.value] if level else []
    figure.update_layout(
        margin=MARGIN,
        xaxis=axis("epoch", range=[1 - 0.02 * last, 1.01 * last], dtick=1 if last <= 20 else None),
        yaxis=axis(title, range=y_range(values)),
    )


def _label_ends(
    figure: go.Figure, sweep: Sweep, ends: list[End], *, colours: dict[str, str]
) -> None:
    """Names beside the lines' ends, pushed apart where two that end together would overlap."""
    low, high = figure.layout.yaxis.range
    px_per_unit = (figure.layout.height - MARGIN["t"] - MARGIN["b"]) / (high - low)
    for epoch in sorted({epoch for _, epoch, _ in ends}):
        together = [(run, value) for run, at, value in ends if at == epoch]
        together.sort(key=lambda end: end[1], reverse=True)
        wanted = [(value - low) * px_per_unit for _, value in together]
        for (run, value), before, after in zip(together, wanted, _spread(wanted), strict=True):
            figure.add_annotation(
                x=epoch, y=rounded(value), text=sweep.names_of(run), showarrow=False,
                name=f"end {run.trial}", xanchor="left", xshift=8, yshift=round(after - before, 1),
                bgcolor="white", font={"size": 13, "color": colours.get(run.trial, INK)},
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
