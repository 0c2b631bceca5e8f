"""Curves and error histograms as figures for a paper (the thesis' figures 3.1 and 3.2)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from dashboards.curves.curves import NGF, NGF_OF_CT, PSNR, level_of
from dashboards.curves.segments import tables_of
from dashboards.families import trial_colours
from dashboards.load import Sweep, Trial
from dashboards.pictures.choose import own_forks
from dashboards.pictures.ink import MUTED, drawn
from dashboards.pictures.tissue import TISSUES, histogram

LABELS = {PSNR: "validation PSNR (dB)", NGF: "validation NGF, unweighted"}
LEGEND_BELOW_IN = 0.5


def write_curves(sweep: Sweep, runs: Sequence[Trial], metrics: Sequence[str], path: Path) -> None:
    """Write PATH.png and PATH.pdf: a panel a metric over epochs, forks of these runs marked.

    Own epochs are solid, carried ones dashed. NGF has the line of the CT itself.
    """
    with drawn(path, height_in=2.3 * len(metrics) + LEGEND_BELOW_IN) as figure:
        for place, metric in enumerate(metrics, 1):
            axes = figure.add_subplot(len(metrics), 1, place)
            draw_metric(axes, sweep, runs, metric)
            if place == len(metrics):
                axes.set_xlabel("epoch")
        _add_legend(figure.axes, columns=3)


def write_error_histograms(
    tables: Mapping[str, pd.DataFrame], colours: Mapping[str, str], path: Path
) -> None:
    """Write PATH.png and PATH.pdf: share of voxels against pCT - CT, a panel a tissue."""
    with drawn(path, height_in=2.4 + LEGEND_BELOW_IN) as figure:
        for place, (tissue, title) in enumerate(TISSUES.items(), 1):
            axes = figure.add_subplot(1, len(TISSUES), place)
            axes.set_title(title)
            axes.set_xlabel("pCT \N{MINUS SIGN} CT (HU)")
            for name, table in tables.items():
                found = histogram(table, "error_hu", tissue=tissue)
                if found:
                    axes.plot(found.middle, 100 * found.share, color=colours[name], label=name)
            axes.set_xlim(-1000, 1000)
            axes.set_ylim(bottom=0)
            axes.axvline(0, color=MUTED, linewidth=0.6)
        figure.axes[0].set_ylabel("% of voxels in 20 HU")
        _add_legend(figure.axes, columns=3)


def draw_metric(axes: Axes, sweep: Sweep, runs: Sequence[Trial], metric: str) -> None:
    """A line a run: solid where it trained the epochs itself, dashed where they were carried."""
    colours = trial_colours(sweep)
    tables = tables_of(sweep, metric)
    for run in (run for run in runs if run.trial in tables):
        rows = tables[run.trial]
        num_carried = int(rows["carried"].sum())
        own = rows.iloc[max(0, num_carried - 1) :] if num_carried < len(rows) else rows[:0]
        name = sweep.names_of(run)
        parts = ((rows[:num_carried], (0, (2, 3)), ""), (own, "solid", name))
        for part, style, label in parts:
            if not part.empty:
                axes.plot(part["epoch"], part["value"], color=colours[run.trial], linestyle=style,
                          label=label or f"_{name}")  # fmt: skip
    for epoch in sorted({epoch for run in runs for epoch in own_forks(sweep, run)}):
        axes.axvline(epoch, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)))
        axes.annotate(f"fork {epoch}", (epoch, 1), xycoords=("data", "axes fraction"), fontsize=6,
                      color=MUTED, xytext=(2, -7), textcoords="offset points")  # fmt: skip
    level = level_of(sweep, NGF_OF_CT, name="CT") if metric == NGF else None
    if level:
        axes.axhline(level.value, color="black", linewidth=0.7, linestyle=(0, (1, 1)), label="CT")
    axes.set_ylabel(LABELS[metric])
    axes.margins(x=0.01)


def _add_legend(panels: Sequence[Axes], *, columns: int) -> None:
    """One legend under all panels, each name once."""
    figure = panels[0].get_figure(root=True)
    assert figure is not None
    named: dict[Any, Any] = {}
    for axes in panels:
        lines, labels = axes.get_legend_handles_labels()
        named |= dict(zip(labels, lines, strict=True))
    height = figure.get_size_inches()[1]
    rows = -(-len(named) // columns)
    figure.tight_layout(rect=(0, min(0.5, (0.16 * rows + 0.05) / height), 1, 1))
    figure.legend(list(named.values()), list(named), loc="lower center", ncols=columns, fontsize=7)
