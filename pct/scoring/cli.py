"""The verbs `score` and `claim`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

if TYPE_CHECKING:
    import pandas as pd

    from pct.scoring.entrants import Candidate

PARTLY_DONE = 3
"""Exit code where some cases have no scores."""

WIDTH = 140
"""Of tables in the terminal, and in a file."""

Split = Literal["val", "test"]
AsProgram = Annotated[bool, typer.Option("--json", help="for programs: a line of JSON a table")]
Tracking = Annotated[
    Optional[str],  # noqa: UP045  typer reads this form in every version
    typer.Option(help="MLflow URI for models:/; else MLFLOW_TRACKING_URI, else ./mlflow.db"),
]
Models = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(help="model folders, models:/pct@champion or DIR/TRIAL@EPOCH, several too"),
]


def score(
    data: Annotated[Path, typer.Option(help="folder that pct prep wrote")],
    models: Models = None,
    pred: Annotated[
        Path | None,
        typer.Option(help="pseudo-CTs of any program: CASE.nii.gz or CASE/pct.nii.gz, or .mha"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="what tables call those in --pred")] = None,
    split: Annotated[Split, typer.Option(help="test is recorded in test_ledger.parquet")] = "val",
    to: Annotated[Path, typer.Option(help="table to add the rows to")] = Path("scores.parquet"),
    tracking: Tracking = None,
    geometry: Annotated[
        Literal["train", "native_tiles"] | None, typer.Option(help="else as the model's run says")
    ] = None,
    background: Annotated[
        Literal["predicted", "air"] | None, typer.Option(help="else as the model's run says")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1")] = "auto",
    again: Annotated[
        bool, typer.Option(help="score on the test set though this was done before")
    ] = False,
    as_program: AsProgram = False,
) -> None:
    """Score models or pseudo-CTs in 3D, a row a case; print n, mean, SD, CI, and differences."""
    import pandas as pd

    from pct.scoring.entrants import Way, candidates

    way = Way(geometry, background, device, tracking)
    found = candidates(models or [], pred=pred, name=name, data=data, split=split, way=way)
    rows, is_whole = [], True
    for candidate in found:
        stored = None if split == "val" or again else _stored(candidate, data, to, as_program)
        if stored is None:
            stored, whole = _score_one(candidate, data, split, to)
            is_whole &= whole
        rows.append(stored)
    _print_scores(pd.concat(rows), as_program=as_program)
    raise typer.Exit(0 if is_whole else PARTLY_DONE)


def claim(
    table: Annotated[Path, typer.Argument(help="folder of a sweep, or a table of scores")],
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="[A B]", help="as in exp1 exp2; else what the recipe declared"),
    ] = None,
    on: Annotated[str | None, typer.Option(help="metric in question, as in ssim_masked")] = None,
    split: Annotated[Split, typer.Option(help="whose scores")] = "val",
    patients: Annotated[
        Path | None,
        typer.Option(help="CSV of case and patient: cases of one head or donor count as one"),
    ] = None,
    as_program: AsProgram = False,
) -> None:
    """Is setting B better than setting A? Over seeds and patients; no claim below 3 and 6."""
    from rich.console import Console

    from pct.scoring.claim_table import claim_table, heading, records, verdict
    from pct.scoring.settings import ask, read_patients, weigh

    asked = ask(table, settings or [], on=on, split=split)
    cases = sorted(asked.scores["case"].unique())
    patient_of = read_patients(patients, cases) if patients else None
    question = asked.question
    found = weigh(asked.scores, question, declared=asked.declared, patient_of=patient_of)
    if as_program:
        print(json.dumps(records(found, question)))
        return
    print(heading(found[0], question, split=split, clustered=patients is not None))
    Console(width=WIDTH).print(claim_table(found, question))
    print(verdict(found[0], question))


def _stored(
    candidate: "Candidate", data: Path, to: Path, as_program: bool
) -> "pd.DataFrame | None":
    """Test scores that a candidate has already, with a word on it; None where it has none."""
    from pct.scoring.kept import kept_scores

    kept = kept_scores(candidate, data, to)
    if kept is None:
        return None
    print(
        f"{candidate.entrant.name}: scored on the test set on {kept.opened} already; "
        "--again opens it once more",
        file=sys.stderr if as_program else sys.stdout,
    )
    return kept.rows


def _score_one(
    candidate: "Candidate", data: Path, split: Split, to: Path
) -> "tuple[pd.DataFrame, bool]":
    """Score, keep the rows, and say so."""
    from data_prep.progress import bar
    from data_prep.shards import list_cases
    from pct.scoring.kept import score_and_keep

    with bar("score", total=len(list_cases(data, split)), unit=f"{split} cases") as show_bar:
        scored = score_and_keep(candidate, data, split, to, on_case=show_bar)
    for note in scored.notes:
        print(note, file=sys.stderr)
    cases = scored.rows["case"].nunique()
    print(f"{candidate.entrant.name}: {cases} {split} cases -> {to}", file=sys.stderr)
    return scored.rows, scored.is_whole


def _print_scores(rows: "pd.DataFrame", *, as_program: bool) -> None:
    """The cohort, and differences where there are several."""
    from rich.console import Console

    from pct.scoring.cohort import cohort, metric_table
    from pct.scoring.pairs import CAUTION, difference_table, differences

    whole, trials = cohort(rows), list(rows["trial"].unique())
    console = Console(width=WIDTH)
    if as_program:
        print(whole.to_json(orient="records"))
    else:
        console.print(metric_table(whole))
    if len(trials) < 2:
        return
    gaps = differences(rows, trials)
    if as_program:
        print(gaps.to_json(orient="records"))
        return
    print()
    console.print(difference_table(gaps))
    print(CAUTION)
