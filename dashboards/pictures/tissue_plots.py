"""Histograms of errors by tissue and of HU in the head, a line a run, for the page."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboards.markup import UNKNOWN, html_table
from dashboards.pictures.tissue import TISSUES, Histogram, histogram
from dashboards.plots import FONT, INK, axis

SHOWN_HU = (-1000.0, 1000.0)
CT_LINE = {"color": INK, "width": 2, "dash": "dot"}

Tables = Mapping[str, pd.DataFrame]
"""The histograms of each run, by the name it is shown with."""


def error_figure(tables: Tables, *, colours: Mapping[str, str]) -> go.Figure:
    """Share of voxels against pCT - CT, a panel a tissue; the outermost bins hold all beyond."""
    figure = make_subplots(rows=len(TISSUES), cols=1, shared_xaxes=True, vertical_spacing=0.06,
                           subplot_titles=list(TISSUES.values()))  # fmt: skip
    for place, tissue in enumerate(TISSUES, 1):
        for name, table in tables.items():
            found = histogram(table, "error_hu", tissue=tissue)
            if found:
                line = _line(found, name, {"color": colours[name], "width": 2})
                figure.add_trace(line, row=place, col=1)
    figure.add_vline(0, line={"width": 1, "color": "#7b8794"})
    figure.update_xaxes(**axis("", range=SHOWN_HU))
    figure.update_xaxes(title="pCT \N{MINUS SIGN} CT (HU)", row=len(TISSUES))
    figure.update_yaxes(**axis("% of voxels", rangemode="tozero"))
    return _laid_out(figure, height=640)


def hu_figure(tables: Tables, *, colours: Mapping[str, str]) -> go.Figure:
    """Share of the head's voxels against HU, the CT dotted, every run's pseudo-CT; log scale."""
    figure = go.Figure()
    of_ct = next((h for t in tables.values() if (h := histogram(t, "ct_hu", tissue=None))), None)
    if of_ct:
        figure.add_trace(_line(of_ct, "CT", CT_LINE, gaps=True))
    for name, table in tables.items():
        found = histogram(table, "pct_hu", tissue=None)
        if found:
            line = {"color": colours[name], "width": 2}
            figure.add_trace(_line(found, name, line, gaps=True))
    figure.update_xaxes(**axis("HU"))
    figure.update_yaxes(**axis("% of voxels in the head", type="log", exponentformat="none"))
    return _laid_out(figure, height=380)


def tissue_table(tables: Tables) -> str:
    """Mean error and MAE of each run and tissue, from the bins, in HU."""
    headers = ["Run"]
    for tissue in TISSUES:
        headers += [f"{tissue}: mean", "MAE"]
    return html_table(
        [*headers, "voxels"],
        [[name, *_numbers(table)] for name, table in tables.items()],
        numeric=True,
    )


def _numbers(table: pd.DataFrame) -> list[str]:
    cells, total = [], 0
    for tissue in TISSUES:
        found = histogram(table, "error_hu", tissue=tissue)
        cells += [f"{found.mean:+.0f}", f"{found.mean_absolute:.0f}"] if found else [UNKNOWN] * 2
        total += found.voxels if found else 0
    return [*(cell.replace("-", "\N{MINUS SIGN}") for cell in cells), f"{total:,}"]


def _line(
    found: Histogram, name: str, line: Mapping[str, object], *, gaps: bool = False
) -> go.Scatter:
    """The shares in per cent; bins without a voxel are 0, or `gaps` where 0 cannot be drawn."""
    return go.Scatter(
        x=[round(float(value), 1) for value in found.middle],
        y=[None if gaps and not value else float(f"{100 * value:.4g}") for value in found.share],
        name=name, legendgroup=name, mode="lines", line=line, connectgaps=False,
        hovertemplate="%{x:.0f} HU: %{y:.2g} %",
    )  # fmt: skip


def _laid_out(figure: go.Figure, *, height: int) -> go.Figure:
    told: set[str] = set()
    for trace in figure.data:
        trace.showlegend = trace.name not in told
        told.add(trace.name)
    figure.update_annotations(font={"size": 13, "color": INK})
    figure.update_layout(
        height=height, margin={"l": 72, "r": 16, "t": 28, "b": 92}, plot_bgcolor="white",
        paper_bgcolor="white", font={"family": FONT, "size": 13, "color": INK},
        legend={"orientation": "h", "y": -76 / (height - 120), "yanchor": "top"},
    )  # fmt: skip
    return figure
