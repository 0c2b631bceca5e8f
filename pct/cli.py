"""The verbs `show`, `train` and `baseline`."""

import json
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from pct.config import build_run, load_preset, merge, parse_override, place


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
