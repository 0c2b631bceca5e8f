"""Figures for a paper: one look for all, each as PNG and as PDF, the same bytes every time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_prep.atomic import renamed

DPI = 300
WIDTH_IN = 7.0
"""A page's text width."""
MUTED = "#52606d"

_STYLE: dict[Any, Any] = {
    "pdf.fonttype": 42,  # TrueType, so that a publisher can edit the words
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#9aa5b1",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "image.interpolation": "nearest",
    "image.resample": False,
}


@contextmanager
def drawn(path: Path, *, height_in: float, width_in: float = WIDTH_IN) -> Iterator[Figure]:
    """Give the block an empty figure; write it as PATH.png and PATH.pdf when the block succeeds.

    No pyplot: nothing is kept open and no display is looked for.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), dpi=DPI)
        yield figure
        write_both(figure, path)


def write_both(figure: Figure, path: Path) -> list[Path]:
    """Write PATH.png (300 dpi) and PATH.pdf, always the same bytes."""
    kinds = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}}
    paths = [path.with_name(f"{path.name}.{kind}") for kind in kinds]
    for target, (kind, metadata) in zip(paths, kinds.items(), strict=True):
        with renamed(target) as temporary:
            figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)
    return paths


def bare(axes: Axes) -> None:
    """Take away ticks, frame and grid: a picture stands alone."""
    axes.set_axis_off()
    axes.grid(visible=False)
