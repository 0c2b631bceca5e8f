"""The verbs `show`, `predict` and `score`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from pct.config import (
    Background,
    Geometry,
    build_run,
    load_preset,
    merge,
    parse_override,
    place,
)

Tracking = Annotated[
    Optional[str],  # noqa: UP045  typer reads this form in every version
    typer.Option(help="MLflow URI for models:/; else MLFLOW_TRACKING_URI, else ./mlflow.db"),
]
Split = Literal["val", "test"]
ModelAddress = Annotated[str, typer.Argument(help="a model folder, or models:/pct@champion")]


def show(
    preset: Annotated[str, typer.Argument(help="a preset: laptop, thesis_exp1, ...")],
    overrides: Annotated[Optional[list[str]], typer.Argument(metavar="[KEY=VALUE]...")] = None,  # noqa: UP045
    as_program: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Print a preset with everything resolved, its schedules in epochs, and what it costs."""
    from pct.cost import cost_of, refuse_above_budget
    from pct.describe import as_json, as_text

    settings = load_preset(preset)
    for override in overrides or ():
        settings = merge(settings, place(*parse_override(override)))
    run = build_run(settings)
    refuse_above_budget(run)
    cost = cost_of(run)
    print(json.dumps(as_json(run, cost)) if as_program else "\n".join(as_text(run, cost)))


def predict(
    model: ModelAddress,
    mr: Annotated[Path, typer.Option(help="MR volume, .nii or .nii.gz")],
    to: Annotated[Path, typer.Option(help="pseudo-CT to write, .nii or .nii.gz, on the MR's grid")],
    onto: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write it on this volume's grid instead, of a CT say"),
    ] = None,
    geometry: Annotated[
        Optional[Geometry],  # noqa: UP045
        typer.Option(help="on training's grid, or in tiles at the image's scale; else the model's"),
    ] = None,
    background: Annotated[
        Optional[Background],  # noqa: UP045
        typer.Option(help="beyond 5 mm from the MR's head; else the model's"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto: cuda if there")] = "auto",
    tracking: Tracking = None,
) -> None:
    """Make a pseudo-CT in HU from an MR of any spacing, orientation and size, on its own grid."""
    from data_prep.progress import bar
    from data_prep.volume import BadVolume, load_nifti, save_nifti
    from pct.model import choose_device, find_model, load_model, predicting
    from pct.predict import predict_volume

    for path in filter(None, (mr, onto)):
        if path.is_dir():
            raise BadVolume(
                f"{path}: is a folder. Convert its series first: pct inspect {path} --to mr.nii.gz"
            )
        if not path.exists():
            raise BadVolume(f"{path}: no such file.")
    if not to.name.endswith((".nii", ".nii.gz")):
        raise BadVolume(f"{to}: expected a name that ends in .nii or .nii.gz.")
    loaded = load_model(find_model(model, tracking=tracking), device=choose_device(device))
    loaded = predicting(loaded, geometry=geometry, background=background)
    grid = load_nifti(onto).grid if onto else None
    with bar("predict", total=100, unit="%") as show_bar:
        pct = predict_volume(
            loaded,
            load_nifti(mr),
            onto=grid,
            on_slices=lambda done, total: show_bar(100 * done // total, f"{total} slices"),
        )
    save_nifti(pct, to)
    print(
        f"{loaded.name}: pseudo-CT {'x'.join(map(str, pct.array.shape))}, "
        f"{pct.array.min()} to {pct.array.max()} HU -> {to}"
    )


def score(
    model: ModelAddress,
    data: Annotated[Path, typer.Option(help="folder that pct prep wrote")],
    split: Annotated[Split, typer.Option(help="test is recorded in test_ledger.parquet")] = "val",
    to: Annotated[Path, typer.Option(help="table to add the rows to")] = Path("scores.parquet"),
    tracking: Tracking = None,
    again: Annotated[
        bool, typer.Option(help="score on the test set though this model was before")
    ] = False,
    as_program: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Score a model in 3D, a row a case, and print n, mean and SD."""
    from rich.console import Console

    from data_prep.progress import bar
    from data_prep.shards import list_cases
    from pct import score as scoring
    from pct.cohort import cohort, terminal_table
    from pct.model import find_model, load_model

    loaded = load_model(find_model(model, tracking=tracking))
    opened = scoring.opened_for(data, loaded) if split == "test" else None
    known = scoring.has_scores(to, loaded, split)
    if opened and known and not again:
        print(
            f"{loaded.name}: scored on the test set on {opened} already; --again opens it once more"
        )
        return
    total = len(list_cases(data, split))
    with bar("score", total=total, unit=f"{split} cases") as show_bar:
        scores = scoring.table(scoring.score_cases(loaded, data, split, on_case=show_bar))
    scoring.append_parquet(to, scores, unique=["trial", "case", "split", "metric"])
    if split == "test":
        scoring.open_test_set(data, loaded)
    cohort_table = cohort(scores)
    if as_program:
        print(cohort_table.to_json(orient="records"))
    else:
        Console(width=120).print(terminal_table(cohort_table))
    print(f"{loaded.name}: {scores['case'].nunique()} {split} cases -> {to}", file=sys.stderr)
