"""The verb `predict`."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from pct.config import Background, Geometry

Tracking = Annotated[
    Optional[str],  # noqa: UP045  typer reads this form in every version
    typer.Option(help="MLflow URI for models:/; else MLFLOW_TRACKING_URI, else ./mlflow.db"),
]
ModelAddress = Annotated[
    str, typer.Argument(help="a model folder, models:/pct@champion, or DIR/TRIAL@EPOCH of a sweep")
]


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
    from pct.prediction.volume import predict_volume

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
