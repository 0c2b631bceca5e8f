"""The verbs `show`, `train`, `predict` and `baseline`."""

import json
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
ModelAddress = Annotated[
    str, typer.Argument(help="a model folder, models:/pct@champion, or DIR/TRIAL@EPOCH of a sweep")
]


def show(
    preset: Annotated[str, typer.Argument(help="laptop, resize, l1_only, thesis_exp1 ... 4, ...")],
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


def train(
    preset: Annotated[str, typer.Argument(help="laptop, smoke, resize, crop, thesis_exp1 ... 4")],
    data: Annotated[Path, typer.Option(help="folder that pct prep wrote")],
    to: Annotated[Path, typer.Option(help="folder of this one run; the same line goes on in it")],
    overrides: Annotated[Optional[list[str]], typer.Argument(metavar="[KEY=VALUE]...")] = None,  # noqa: UP045
) -> None:
    """Train one run on this machine, without Ray. Run again, it goes on; more epochs= go on too."""
    settings = load_preset(preset)
    for override in overrides or ():
        settings = merge(settings, place(*parse_override(override)))
    run = build_run(settings)

    from data_prep.progress import bar
    from data_prep.shards import read_manifest
    from pct.batches import num_steps
    from pct.one_run import train_here
    from pct.train import EpochEnd, stop_reason

    steps = num_steps(read_manifest(data).num_slices["train"], run.batch)
    with bar("train", total=run.epochs * steps, unit="steps") as show_bar:

        def tell(event: EpochEnd) -> None:
            value = f"{run.select.metric} {event.metrics[run.select.metric]:.3f}"
            best = ", the best so far" if event.is_best else ""
            print(f"epoch {event.epoch}: loss/g {event.metrics['loss/g']:.4g}, {value}{best}")

        state = train_here(
            run, data, to, on_epoch=tell,
            on_step=lambda epoch, done: show_bar(epoch * steps + done, f"epoch {epoch + 1}"),
        )  # fmt: skip
    assert state.best is not None
    print(
        f"{state.epoch} epochs ({stop_reason(run, state.history) or 'all done'}); best is epoch "
        f"{state.best.epoch}, {run.select.metric} {state.best.value:.3f} -> {to / 'model'}"
    )
    print(f"next: pct score {to / 'model'} --data {data}")


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


def baseline(
    kind: Annotated[Literal["mean_hu"], typer.Argument(help="the training set's mean HU as head")],
    data: Annotated[Path, typer.Option(help="folder that pct prep wrote")],
    to: Annotated[Path, typer.Option(help="folder of the pseudo-CTs, CASE.nii.gz")],
    split: Annotated[Literal["val", "test"], typer.Option(help="whose")] = "val",
) -> None:
    """Write pseudo-CTs that any model must beat, for `pct score --pred`."""
    from data_prep.cache import open_slices
    from data_prep.shards import list_cases, read_volumes
    from data_prep.volume import save_nifti
    from pct.baselines import fill_head, mean_head_hu

    hu = mean_head_hu(open_slices(data, "train"))
    cases = list_cases(data, split)
    for case in cases:
        save_nifti(fill_head(read_volumes(data, case), hu), to / f"{case}.nii.gz")
    print(f"{kind}: {hu:.0f} HU in the head, {len(cases)} {split} cases -> {to}")
    print(f"next: pct score --pred {to} --name {kind} --data {data} --split {split}")
