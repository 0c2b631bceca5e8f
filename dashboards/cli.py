"""The verb `report`."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from dashboards.load import load_sweep
from dashboards.markup import size_of
from dashboards.page import Options, write_report
from dashboards.pictures.choose import parse_pair
from dashboards.pictures.roi import parse_roi
from dashboards.pictures.sections import PictureOptions


def report(
    dir: Annotated[Path, typer.Argument(help="The folder of a sweep.", metavar="DIR")],
    cases: Annotated[
        int, typer.Option(min=0, help="Validation cases whose panels are embedded.")
    ] = 2,
    by: Annotated[
        Optional[str],  # noqa: UP045  typer reads this form in every version
        typer.Option(help="Split the scores by site, scanner, field_t, sequence or diagnosis."),
    ] = None,
    roi: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="CASE:X,Y[,SIZE]",
            help="Zoom into a case there: mm from the slice's middle, x to the patient's right, "
            "y to the front. May be given again.",
        ),
    ] = None,
    compare: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="A,B", help="The two trials to show beside the CT."),
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures", help="Also write PNG and PDF figures into DIR/figures.")
    ] = False,
) -> None:
    """Write DIR/report.html: curves, pictures, volumes and scores in one file, no network."""
    pictures = PictureOptions(
        num_cases=cases,
        rois=tuple(parse_roi(text) for text in roi or ()),
        compare=parse_pair(compare) if compare else None,
    )
    sweep = load_sweep(dir)
    path = write_report(sweep, Options(pictures, by))
    print(f"{path} ({size_of(path.stat().st_size)})")
    if figures:
        from dashboards.paper import write_paper_figures

        written = write_paper_figures(sweep, dir / "figures", pictures)
        print(f"{dir / 'figures'}: {len(written)} files")
