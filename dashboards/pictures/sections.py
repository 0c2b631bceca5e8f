"""The picture sections of the report: a heading and a body of HTML each, none where files lack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from dashboards.assets import asset
from dashboards.families import trial_colours
from dashboards.load import Sweep
from dashboards.markup import note
from dashboards.pictures.choose import left_out, shown_runs, two_to_compare
from dashboards.pictures.looks import Look, read_cases
from dashboards.pictures.markup import switched
from dashboards.pictures.plates import comparison_plate, error_plate, evolution_plate
from dashboards.pictures.roi import Roi, refuse_unknown, rois_of
from dashboards.pictures.tissue import read_histograms
from dashboards.pictures.tissue_plots import error_figure, hu_figure, tissue_table
from dashboards.plots import plot_html

EVOLUTION_NOTE = (
    "Every run shows the same slices, cut to the head and 20 mm around it, the patient's right on "
    "the left. Errors outside the head, at a couch or frame of the CT or in fog, are drawn too. "
    "Zooms are enlarged pixel by pixel (nearest neighbour)."
)
ROI_NOTE = (
    "Zooms lie where the CT's own bone edges are densest, whatever a run made of them; "
    "`pct report --roi CASE:x_mm,y_mm` puts them elsewhere (mm from the slice's middle, x to the "
    "patient's right, y to the front)."
)
HISTOGRAM_NOTE = (
    "All voxels inside the head of the scored validation cases, bins of 20 HU, tissue by the CT. "
    "Errors beyond ±1000 HU stand in the outermost bins, and means, taken over bins, count them as "
    "±990."
)


ALTS = (
    "Share of voxels against the error pCT - CT, a panel a tissue, a line a run; the table below "
    "has each run's means.",
    "Share of the head's voxels against HU, the CT dotted, a line a run.",
)
"""What the two figures show, in words."""


@dataclass(frozen=True)
class PictureOptions:
    """What a reader may ask of the pictures."""

    num_cases: int = 2
    rois: tuple[tuple[str, Roi], ...] = ()
    """Regions by hand, each with its case; cases without one get theirs from the CT."""
    compare: tuple[str, str] | None = None
    """The two trials to put beside each other."""


def picture_style() -> str:
    """The style sheet of the pictures, to stand after that of the report."""
    return asset("pictures/pictures.css")


def picture_sections(sweep: Sweep, options: PictureOptions) -> dict[str, Callable[[], str]]:
    """Headings and what makes bodies: by epoch, two runs beside the CT, error maps, histograms.

    A body is "" where its files lack. It raises `BadRoi` or `NoSuchTrial` where what was asked for
    is not there, and `BadLooks` where a file is damaged.
    """
    return {
        "Slices by epoch": partial(evolution_html, sweep, options),
        "Two runs beside the CT": partial(comparison_html, sweep, options),
        "Error maps": partial(error_maps_html, sweep, options),
        "Errors by tissue": partial(histograms_html, sweep),
    }


def shown_cases(looks: dict[str, Look], options: PictureOptions) -> list[Look]:
    """All cases with a region by hand, then others, together at least as many as are asked for."""
    by_hand = {case for case, _ in options.rois}
    ordered = sorted(looks.values(), key=lambda look: look.case not in by_hand)
    return ordered[: max(options.num_cases, len(by_hand))]


def evolution_html(sweep: Sweep, options: PictureOptions) -> str:
    """A plate a case: MR, CT, the pseudo-CT of each run epoch by epoch; "" without any."""
    looks = read_cases(sweep.folder)
    refuse_unknown(looks, options.rois)
    cases, total = shown_cases(looks, options), len(looks)
    runs = shown_runs(sweep)
    plates = [evolution_plate(sweep, runs, look, rois_of(look, options.rois)) for look in cases]
    drawn = switched([plate for plate in plates if plate], name="by-epoch")
    rest = f"Of {total} cases {len(cases)} are shown; all lie in {sweep.folder.name}/looks."
    notes = [EVOLUTION_NOTE, ROI_NOTE, left_out(sweep, runs, where="looks"),
             rest if total > len(cases) else ""]  # fmt: skip
    return drawn and drawn + _note(notes)


def comparison_html(sweep: Sweep, options: PictureOptions) -> str:
    """A plate a case: CT, both best pseudo-CTs, their differences.

    "" without any, or a sentence where the two were asked for.
    """
    pair = two_to_compare(sweep, options.compare)
    if pair is None:
        return ""
    cases = shown_cases(read_cases(sweep.folder), options)
    plates = [comparison_plate(sweep, pair, look, rois_of(look, options.rois)) for look in cases]
    drawn = switched([plate for plate in plates if plate], name="beside-ct")
    if not drawn:
        nothing = "No slices of both best checkpoints were kept."
        return note(nothing) if options.compare else ""
    epochs = ", ".join(f"{sweep.names_of(run)} of epoch {run.best_epoch}" for run in pair)
    told = f"By their best checkpoints: {epochs}. `pct report --compare A,B` shows two others."
    return drawn + note(told)


def error_maps_html(sweep: Sweep, options: PictureOptions) -> str:
    """A plate a case: the error of each run's best checkpoint; "" without any."""
    cases = shown_cases(read_cases(sweep.folder), options)
    runs = shown_runs(sweep)
    plates = [error_plate(sweep, runs, look) for look in cases]
    drawn = switched([plate for plate in plates if plate], name="errors")
    told = "By best checkpoints; mean error and MAE are of this slice, inside the head."
    return drawn and drawn + _note([told, left_out(sweep, runs, where="looks")])


def histograms_html(sweep: Sweep) -> str:
    """Errors by tissue and HU in the head, with a table; "" where no run wrote histograms."""
    tables, colours = histogram_tables(sweep)
    if not tables:
        return ""
    figures = (error_figure(tables, colours=colours), hu_figure(tables, colours=colours))
    rest = left_out(sweep, shown_runs(sweep), where="histograms")
    plots = (plot_html(figure, alt=alt) for figure, alt in zip(figures, ALTS, strict=True))
    return "".join(plots) + tissue_table(tables) + _note([HISTOGRAM_NOTE, rest])


def histogram_tables(sweep: Sweep) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The histograms of the shown runs and their colours, by the names they are shown with."""
    colours = trial_colours(sweep)
    named = {sweep.names_of(run): run.trial for run in shown_runs(sweep)}
    found = {name: read_histograms(sweep.folder, trial) for name, trial in named.items()}
    tables = {name: table for name, table in found.items() if table is not None}
    return tables, {name: colours[named[name]] for name in tables}


def _note(texts: Sequence[str]) -> str:
    return note(" ".join(text for text in texts if text))
