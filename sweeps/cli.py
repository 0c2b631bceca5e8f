"""The verbs `plan`, `sweep`, `status` and `ui`."""

import contextlib
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from sweeps import estimate
from sweeps.estimate import Pace
from sweeps.plan import as_json, draw, headline, make_plan, savings, without_collector
from sweeps.recipe import load_recipe, recipe_names

PARTLY_DONE = 3
"""Exit code of a sweep some of whose trials failed."""

Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045  typer reads this form in every version
    typer.Argument(metavar="[KEY=VALUE]...", help="as in epochs=90, exp1.epochs=90, seeds=1,2,3"),
]
Recipe = Annotated[
    str,
    typer.Argument(
        help=f"a shipped recipe ({', '.join(recipe_names())}) or a path ending in .yaml"
    ),
]
Folder = Annotated[Path, typer.Argument(help="folder of a sweep")]
Tracking = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="MLflow URI; else MLFLOW_TRACKING_URI, else sqlite beside the sweep"),
]


def _finite(seconds: float | None) -> float | None:
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter(f"{seconds} is no time; expected seconds")
    return seconds


@without_collector()
def plan(
    recipe: Recipe,
    overrides: Overrides = None,
    as_program: Annotated[bool, typer.Option("--json", help="for programs, and whole")] = False,
    epoch_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001, callback=_finite, help="of one epoch: estimates time and GPU-hours"
        ),
    ] = None,
    slots: Annotated[int, typer.Option(min=1, help="for the estimate: trials at once")] = 1,
    start_seconds: Annotated[
        float,
        typer.Option(
            min=0, callback=_finite, help="for the estimate: a trial's start; 9-30 on 2 CPU cores"
        ),
    ] = estimate.START_SECONDS,
) -> None:
    """Show a recipe's trials as a stage tree: epochs written, epochs to train. Runs nothing."""
    found = make_plan(load_recipe(recipe, overrides or ()))
    pace = Pace(epoch_seconds, slots, start_seconds) if epoch_seconds else None
    if as_program:
        cost = {"estimate": estimate.as_json(found, pace)} if pace else {}
        print(json.dumps({**as_json(found), **cost}))
        return
    print(headline(found))
    print(savings(found))
    if pace:
        print(estimate.in_words(found, pace))
    for line in draw(found):
        print(line)


def sweep(
    recipe: Recipe,
    overrides: Overrides = None,
    data: Annotated[Path, typer.Option(help="folder that pct prep wrote")] = Path("DATA"),
    to: Annotated[Path, typer.Option(help="folder of the sweep")] = Path("OUT"),
    store: Annotated[
        str | None, typer.Option(help="stage store, a folder or URI; default DIR/../stages")
    ] = None,
    tracking: Tracking = None,
    address: Annotated[str, typer.Option(help="Ray cluster; local starts one here")] = "local",
    here: Annotated[bool, typer.Option(help="without Ray, one trial after the other")] = False,
    max_concurrent: Annotated[
        int | None, typer.Option(min=1, help="trials at once; default what fits")
    ] = None,
    gpus_per_worker: Annotated[
        float, typer.Option(min=0.01, help="a share lets several trials use one GPU")
    ] = 1.0,
) -> None:
    """Train a recipe's trials as one stage tree. Run again, it goes on from what is there."""
    from data_prep.progress import bar
    from sweeps.place import look_command, tracking_place
    from sweeps.runner import Where, set_environment
    from sweeps.search.front import front_lines
    from sweeps.session import done_epochs, run_sweep
    from sweeps.sweep import prepare_sweep

    set_environment()
    wanted = load_recipe(recipe, overrides or ())
    total = make_plan(wanted).epochs_to_train[1]
    asked = prepare_sweep(wanted, data=data, folder=to, store=store)
    place = tracking_place(to, tracking)
    with bar("sweep", total=total, unit="epochs") as show_bar:
        result = run_sweep(
            asked,
            place,
            Where(here, address, max_concurrent, gpus_per_worker),
            on_tick=lambda: show_bar(done_epochs(to), ""),
            tell=lambda line: print(line, file=sys.stderr),
        )
    print(
        f"{len(result.outcomes)} trials: {result.trained_epochs} epochs trained of "
        f"{result.unique_epochs} unique stage-epochs, {result.written_epochs} written -> {to}"
    )
    _print_scores(to)
    for line in front_lines(to):
        print(line)
    print(f"To look: {look_command(to, tracking)}")
    failed = [o for o in result.outcomes.values() if o.status == "FAILED"]
    for outcome in failed:
        print(f"FAILED {outcome.leaf}: {outcome.reason}", file=sys.stderr)
    raise typer.Exit(PARTLY_DONE if failed else 0)


def status(
    folder: Folder,
    as_program: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Show how far a sweep is, under way or not."""
    from dataclasses import asdict

    from sweeps.status import status_of, status_table, summary, without_nan

    found = status_of(folder)
    if as_program:
        print(json.dumps(without_nan(asdict(found))))
        return
    from rich.console import Console

    Console(width=120).print(status_table(found))
    print(summary(found))


def ui(
    folder: Folder,
    tracking: Tracking = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
    host: Annotated[str, typer.Option(help="other than loopback only with --expose")] = "127.0.0.1",
    expose: Annotated[
        bool, typer.Option("--expose", help="let others in; there is no password")
    ] = False,
    allowed_hosts: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="further names the server is reached by, as NAME or NAME:PORT"),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="in a browser")] = False,
) -> None:
    """Show a sweep's trials in the MLflow UI: start its server, print links. Ctrl-C ends it."""
    import webbrowser

    from sweeps.place import tracking_place
    from sweeps.server import address_of, ended_like_ctrl_c, is_loopback
    from sweeps.ui import shown

    address = address_of(host, port, expose=expose, allowed=allowed_hosts or ())
    place = tracking_place(folder, tracking)
    with (
        contextlib.suppress(KeyboardInterrupt),
        ended_like_ctrl_c(),
        shown(folder, place, address) as (links, server),
    ):
        print(f"{links.sweep}: {links.trials} trials, sorted by {links.order}")
        print(f"  table   {links.table}")
        print(f"  charts  {links.charts}", flush=True)
        if links.note:
            print(links.note, file=sys.stderr)
        if server and not is_loopback(host):
            who = f"anyone who reaches {address.authority} can read, change and delete every run."
            print(f"--expose: there is no password; {who}", file=sys.stderr)
        if open_browser:
            webbrowser.open(links.table)
        if server:
            print("The server runs until Ctrl-C.", flush=True)
            server.wait()


def _print_scores(folder: Path) -> None:
    """The validation scores of a sweep's trials, a table for each way of predicting."""
    import pandas as pd
    from rich.console import Console

    from pct.scoring.cohort import cohort, terminal_table

    path = folder / "scores.parquet"
    if not path.exists():
        return
    scores = pd.read_parquet(path)
    ways = list(scores[scores["split"] == "val"].groupby(["geometry", "background"]))
    for (geometry, background), part in ways:
        if len(ways) > 1:
            print(f"geometry {geometry}, background {background}")
        Console(width=120).print(terminal_table(cohort(part)))
