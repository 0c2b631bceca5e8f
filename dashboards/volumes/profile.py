"""What runs paint outside the head against the distance from it: void and fog as one curve."""

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboards.families import trial_colours
from dashboards.load import Sweep
from dashboards.markup import note
from dashboards.pictures.choose import left_out, shown_runs
from dashboards.plots import FONT, INK, THIN, axis, plot_html
from data_prep.words import counted
from pct.metrics.background import CLEAR_AIR_HU
from pct.metrics.names import BIN_MM, BINS, NUM_BINS

AIR_HU = -1000
FEW = 3
"""With more runs than that no SD band is drawn."""

_PANELS = {"bg_hu": "mean HU", "bg_share": f"share above {CLEAR_AIR_HU} HU"}
_NOTE = (
    "Mean over {cases}, inside bins of {bin} mm by the distance from the CT's head.{band} Dotted: "
    "clear air. Only the validation split counts."
)
_ALT = "Mean HU, and below it the share of voxels not air, against the distance from the head."


def profile_html(sweep: Sweep) -> str:
    """Both curves as one figure with its note; "" where no profile was scored."""
    points = profile(sweep)
    if points.empty:
        return ""
    band = " Bands: one SD over cases." if _has_bands(points) else ""
    cases = counted(int(points["cases"].max()), "case")
    told = _NOTE.format(cases=cases, bin=BIN_MM, band=band)
    rest = left_out(sweep, shown_runs(sweep), where="scores")
    return plot_html(profile_figure(sweep, points), alt=_ALT) + note(f"{told} {rest}".strip())


def profile(sweep: Sweep) -> pd.DataFrame:
    """A row a run, curve and bin: its middle in mm, mean and SD (n - 1) over cases, their number.

    Of validation cases, in the geometry that most scores have, the background as predicted. Cases
    whose volume does not reach a bin do not count in it. SD is 0 for a single case.
    """
    scores = sweep.scores[(sweep.scores["split"] == "val") & (sweep.scores["background"] != "air")]
    scores = scores[scores["geometry"].isin(scores["geometry"].mode()[:1])]
    names = scores["metric"].astype(str).str.extract(rf"^(bg_hu|bg_share)_({'|'.join(BINS)})$")
    known = names[0].notna() & scores["value"].notna()
    table = pd.DataFrame(
        {
            "trial": scores["trial"],
            "curve": names[0],
            "distance_mm": names[1].map({name: _middle_mm(i) for i, name in enumerate(BINS)}),
            "value": scores["value"],
        }
    )[known]
    groups = table.groupby(["trial", "curve", "distance_mm"], sort=True)["value"]
    points = groups.agg(mean="mean", sd="std", cases="count").reset_index()
    return points.fillna({"sd": 0.0})


def profile_figure(sweep: Sweep, points: pd.DataFrame) -> go.Figure:
    """Mean HU above, share above -900 HU below, on one axis of distance; a line a run."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07)
    colours = trial_colours(sweep)
    for number, (curve, title) in enumerate(_PANELS.items(), 1):
        for run in shown_runs(sweep):
            rows = points[(points["trial"] == run.trial) & (points["curve"] == curve)]
            if rows.empty:
                continue
            if _has_bands(points) and rows["cases"].max() > 1:
                _add_band(figure, rows, number=number, colour=colours[run.trial])
            figure.add_scatter(
                x=rows["distance_mm"].tolist(), y=rows["mean"].tolist(), row=number, col=1,
                name=sweep.names_of(run), legendgroup=run.trial, showlegend=number == 1,
                mode="lines+markers", marker={"size": 5},
                line={"color": colours[run.trial], "width": 2}, hovertemplate="%{y:.3~f}",
            )  # fmt: skip
        clear = AIR_HU if curve == "bg_hu" else 0
        figure.add_hline(clear, line=THIN, row=number, col=1)
        figure.update_yaxes(**axis(title), row=number, col=1)
    figure.update_xaxes(**axis("", range=[0, BIN_MM * NUM_BINS], dtick=20))
    figure.update_xaxes(title="distance from the head (mm)", row=2, col=1)
    _lay_out(figure)
    return figure


def _add_band(figure: go.Figure, rows: pd.DataFrame, *, number: int, colour: str) -> None:
    """One SD to both sides, drawn there and back."""
    there, upper = rows["distance_mm"].tolist(), (rows["mean"] + rows["sd"]).tolist()
    lower = (rows["mean"] - rows["sd"]).tolist()
    figure.add_scatter(
        x=there + there[::-1], y=upper + lower[::-1], row=number, col=1, fill="toself",
        fillcolor=colour, opacity=0.15, mode="none", showlegend=False, hoverinfo="skip",
        legendgroup=str(rows["trial"].iloc[0]),
    )  # fmt: skip


def _lay_out(figure: go.Figure) -> None:
    lines = sum(bool(trace.showlegend) for trace in figure.data)
    figure.update_layout(
        height=520 + 11 * lines, margin={"l": 64, "r": 16, "t": 16, "b": 48},
        font={"family": FONT, "size": 13, "color": INK}, plot_bgcolor="white",
        paper_bgcolor="white", hovermode="x unified", legend={"orientation": "h", "y": -0.12},
    )  # fmt: skip


def _has_bands(points: pd.DataFrame) -> bool:
    return bool(points["trial"].nunique() <= FEW and points["cases"].max() > 1)


def _middle_mm(number: int) -> float:
    return BIN_MM * (number + 0.5)
