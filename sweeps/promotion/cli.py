"""The verb `promote`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from data_prep.errors import PctError

if TYPE_CHECKING:
    from sweeps.promotion.promote import Promotion

WIDTH = 140
"""Of tables in the terminal."""

Folder = Annotated[
    Optional[Path],  # noqa: UP045  typer reads this form in every version
    typer.Argument(metavar="[DIR]", help="folder of a sweep; ./OUT if left out"),
]
Tracking = Annotated[
    str | None,
    typer.Option(help="MLflow URI; else MLFLOW_TRACKING_URI, else sqlite beside the sweep"),
]


class BadCall(PctError):
    """Options that do not go together."""


def promote(
    folder: Folder = None,
    trial: Annotated[
        str | None, typer.Option(help="default: the best by the selection metric")
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="the champion before this one is champion again")
    ] = False,
    test: Annotated[
        bool, typer.Option("--test", help="then score it on the test patients: once, on record")
    ] = False,
    tracking: Tracking = None,
    force: Annotated[bool, typer.Option("--force", help="past the gate; needs --note")] = False,
    note: Annotated[str, typer.Option(help="why, for the record")] = "",
) -> None:
    """Register a trial's best generator in MLflow as pct@champion, if it passes the gate."""
    from sweeps.job import read_jobs
    from sweeps.snapshot import DEFAULT_FOLDER

    where = folder or Path(DEFAULT_FOLDER)
    note = note.strip()
    if rollback and (trial or force or test):
        words = "goes with none of --trial, --force and --test: it takes what was before."
        raise BadCall(f"--rollback {words}")
    if rollback:
        if folder:
            read_jobs(folder)  # a slip in its name must not go back elsewhere
        _roll_back(where, tracking, note)
    else:
        _promote(where, trial, tracking, test=test, force=force, note=note)


def _promote(
    folder: Path, trial: str | None, tracking: str | None, *, test: bool, force: bool, note: str
) -> None:
    from sweeps.promotion.promote import next_commands
    from sweeps.promotion.promote import promote as make_champion

    made = make_champion(folder, trial=trial, tracking=tracking, force=force, note=note)
    for problem in made.overridden:
        print(f"overridden: {problem}")
    state = "is the champion already" if made.already else "is the champion now"
    print(f"{made.trial} {state}: {made.address}, version {made.version}", flush=True)
    if made.already and note:
        print("The note is not kept: nothing is promoted anew.")
    if test:
        _test(made, folder, tracking)
    if not made.already:
        test_it, predict = next_commands(made, folder, tracking)
        if not test:
            print(f"Next, once, its test scores (this opens the test set):\n  {test_it}")
        print(f"Next, pseudo-CTs:\n  {predict}" if test else f"and pseudo-CTs:\n  {predict}")


def _test(made: "Promotion", folder: Path, tracking: str | None) -> None:
    from rich.console import Console

    from data_prep.progress import bar
    from data_prep.shards import list_cases
    from pct.scoring.cohort import cohort, metric_table
    from sweeps.promotion.test_set import open_test_set_for

    with bar("score", total=len(list_cases(Path(made.data), "test")), unit="test cases") as show:
        tested = open_test_set_for(made, folder, tracking=tracking, on_case=show)
    Console(width=WIDTH).print(metric_table(cohort(tested.rows)))
    before = f"was opened for it on {tested.before} already, not again"
    print(f"The test set {before if tested.before else 'was opened for it, which is on record'}.")


def _roll_back(folder: Path, tracking: str | None, note: str) -> None:
    from sweeps.promotion.registry import ADDRESS
    from sweeps.promotion.rollback import roll_back

    done = roll_back(folder, tracking=tracking, note=note)
    print(f"rolled back: {done.left.shown}" + (f", {note}" if note else ""))
    print(f"{ADDRESS} is {done.champion.shown} now")
