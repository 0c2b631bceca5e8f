"""The verbs `show` and `predict`."""

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from pct.config import build_run, load_preset, merge, parse_override, place

Tracking = Annotated[
    Optional[str],  # noqa: UP045  typer reads this form in every version
    typer.Option(help="MLflow URI for models:/; else MLFLOW_TRACKING_URI, else ./mlflow.db"),
]
ModelAddress = Annotated[str, typer.Argument(help="a model folder, or models:/pct@champion")]


def show(
    preset: Annotated[str, typer.Argument(help="laptop, resize, l1_only, thesis_exp1 ... 4, ...")],
    overrides: Annotated[Optional[list[str]], typer.Argument(metavar="[KEY=VALUE]...")] = None,  # noqa: UP045
    as_program: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Print a preset with everything resolved, and the size of its networks."""
    settings = load_preset(preset)
    for override in overrides or ():
        settings = merge(settings, place(*parse_override(override)))
    run = build_run(settings)

    import torch

    from pct.networks import Discriminator, Generator, count_parameters

    with torch.device("meta"):
        sizes = {
            "generator_parameters": count_parameters(Generator(run.generator)),
            "discriminator_parameters": count_parameters(Discriminator(run.discriminator)),
        }
    content = {**run.model_dump(mode="json"), **sizes}
    if as_program:
        print(json.dumps(content))
        return
    for name, value in content.items():
        print(f"{name:<24} {value:,}" if name in sizes else f"{name:<24} {value}")


def predict(
    model: ModelAddress,
    mr: Annotated[Path, typer.Option(help="MR volume, .nii or .nii.gz")],
    to: Annotated[Path, typer.Option(help="pseudo-CT to write, .nii or .nii.gz, on the MR's grid")],
    tracking: Tracking = None,
) -> None:
    """Make a pseudo-CT in HU from an MR, on the MR's own grid."""
    from data_prep.volume import BadVolume, load_nifti, save_nifti
    from pct.model import find_model, load_model
    from pct.predict import predict_volume

    if mr.is_dir():
        raise BadVolume(
            f"{mr}: is a folder. Convert its series first: pct inspect {mr} --to mr.nii.gz"
        )
    if not mr.exists():
        raise BadVolume(f"{mr}: no such file.")
    if not to.name.endswith((".nii", ".nii.gz")):
        raise BadVolume(f"{to}: expected a name that ends in .nii or .nii.gz.")
    loaded = load_model(find_model(model, tracking=tracking))
    pct = predict_volume(loaded, load_nifti(mr))
    save_nifti(pct, to)
    print(
        f"{loaded.name}: pseudo-CT {'x'.join(map(str, pct.array.shape))}, "
        f"{pct.array.min()} to {pct.array.max()} HU -> {to}"
    )
