"""The verb `promote`."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="folder of a sweep")]
Tracking = Annotated[
    str | None,
    typer.Option(help="MLflow URI; else MLFLOW_TRACKING_URI, else sqlite beside the sweep"),
]


def promote(
    folder: Folder,
    trial: Annotated[
        str | None, typer.Option(help="default: the best by the selection metric")
    ] = None,
    tracking: Tracking = None,
    force: Annotated[bool, typer.Option(help="past the gate; needs --note")] = False,
    note: Annotated[str, typer.Option(help="why, for the record")] = "",
) -> None:
    """Register a trial's best generator in MLflow as pct@champion, if it passes the gate."""
    from sweeps.promotion.promote import promote as make_champion

    made = make_champion(folder, trial=trial, tracking=tracking, force=force, note=note)
    for problem in made.overridden:
        print(f"overridden: {problem}")
    state = "is the champion already" if made.already else "is the champion now"
    print(f"{made.trial} {state}: {made.address}, version {made.version}")
