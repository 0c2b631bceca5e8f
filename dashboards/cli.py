"""The verb `report`."""

from pathlib import Path
from typing import Annotated

import typer

from dashboards.load import load_sweep
from dashboards.page import write_report


def report(
    dir: Annotated[Path, typer.Argument(help="The folder of a sweep.", metavar="DIR")],
    cases: Annotated[
        int, typer.Option(min=0, help="Validation cases whose panels are embedded.")
    ] = 2,
) -> None:
    """Write DIR/report.html: curves, stage tree, panels and scores in one file, no network."""
    print(write_report(load_sweep(dir), num_cases=cases))
