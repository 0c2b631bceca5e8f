"""The figures for a paper: DIR/figures/NAME.png at 300 dpi and NAME.pdf, after the thesis' 3.1-3.6.

The same sweep gives the same bytes.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from dashboards.curves.curves import NGF, PSNR, has_metric
from dashboards.load import Sweep
from dashboards.pictures.choose import own_forks, shown_runs, two_to_compare
from dashboards.pictures.ink_curves import write_curves, write_error_histograms
from dashboards.pictures.ink_plates import write_plate
from dashboards.pictures.looks import read_cases
from dashboards.pictures.plates import (
    Plate,
    View,
    comparison_plate,
    error_plate,
    evolution_plate,
)
from dashboards.pictures.roi import refuse_unknown, rois_of
from dashboards.pictures.sections import PictureOptions, histogram_tables, shown_cases

SUFFIXES = (".png", ".pdf")
MOST_ON_A_PAGE = 3
"""Runs whose slices by epoch stand in one figure."""


def write_figures(sweep: Sweep, folder: Path, options: PictureOptions) -> list[Path]:
    """Write all figures that the sweep's files allow and return their paths, in order.

    `psnr` and `switch` are curves (3.1, 3.2), `epochs_CASE_WINDOW` slices by epoch of the best
    three runs (3.3, 3.4),
    `beside_CASE_WINDOW` two runs beside the CT (3.5, 3.6), `errors_CASE_LIMIT` error maps,
    `histograms` errors by tissue. Raises as `picture_sections` does.
    """
    written = [*_curves(sweep, folder), *_plates(sweep, folder, options)]
    tables, colours = histogram_tables(sweep)
    if tables:
        write_error_histograms(tables, colours, folder / "histograms")
        written.append("histograms")
    return [folder / f"{name}{suffix}" for name in written for suffix in SUFFIXES]


def _curves(sweep: Sweep, folder: Path) -> Iterator[str]:
    runs = shown_runs(sweep)
    if has_metric(sweep, PSNR):
        write_curves(sweep, runs, [PSNR], folder / "psnr")
        yield "psnr"
    forked = [run for run in runs if own_forks(sweep, run)]
    if forked and has_metric(sweep, PSNR) and has_metric(sweep, NGF):
        write_curves(sweep, forked, [PSNR, NGF], folder / "switch")
        yield "switch"


def _plates(sweep: Sweep, folder: Path, options: PictureOptions) -> Iterator[str]:
    for name, plate in _named_plates(sweep, options):
        for view in plate.views:
            file = f"{name}_{plate.look.case}_{_slug(view)}"
            write_plate(plate, view, folder / file)
            yield file


def _named_plates(sweep: Sweep, options: PictureOptions) -> Iterator[tuple[str, Plate]]:
    looks, runs = read_cases(sweep.folder), shown_runs(sweep)
    refuse_unknown(looks, options.rois)
    few = shown_runs(sweep, limit=MOST_ON_A_PAGE)
    pair = two_to_compare(sweep, options.compare) if looks else None
    for look in shown_cases(looks, options):
        rois = rois_of(look, options.rois)
        beside = comparison_plate(sweep, pair, look, rois) if pair else None
        found = {"epochs": evolution_plate(sweep, few, look, rois), "beside": beside,
                 "errors": error_plate(sweep, runs, look)}  # fmt: skip
        yield from ((name, plate) for name, plate in found.items() if plate)


def _slug(view: View) -> str:
    """bone, brain, 200 or 1000: the first word of letters or digits in the view's name."""
    first: str = re.findall(r"\w+", view.name)[0]
    return first.lower()
