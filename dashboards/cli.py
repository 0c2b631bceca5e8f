"""The verb `report`."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from dashboards.load import load_sweep
from dashboards.markup import size_of
from dashboards.page import Options, write_report


def report(
    dir: Annotated[Path, typer.Argument(help="The folder of a sweep.", metavar="DIR")],
    cases: Annotated[
        int, typer.Option(min=0, help="Validation cases whose panels are embedded.")
    ] = 2,
    by: Annotated[
        Optional[str],  # noqa: UP045  typer reads this form in every version
        typer.Option(help="Split the scores by site, scanner, field_t, sequence or diagnosis."),
    ] = None,
) -> None:
    """Write DIR/report.html: curves, stage tree, panels and scores in one file, no network."""
    path = write_report(load_sweep(dir), Options(num_cases=cases, by=by))
    print(f"{path} ({size_of(path.stat().st_size)})")
