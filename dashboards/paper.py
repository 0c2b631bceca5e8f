"""All figures for a paper: curves, slices, histograms, plates and renders as PNG and PDF."""

from pathlib import Path

from dashboards.load import Sweep
from dashboards.pictures.figures import write_figures
from dashboards.pictures.sections import PictureOptions
from dashboards.volumes.figures import write_plates


def write_paper_figures(sweep: Sweep, folder: Path, options: PictureOptions) -> list[Path]:
    """Write what the sweep's files allow into `folder` and return the paths."""
    return [*write_figures(sweep, folder, options), *write_plates(sweep, folder)]
