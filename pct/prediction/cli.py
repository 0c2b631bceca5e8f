"""The verb `predict`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from data_prep.metadata import BadInput
from data_prep.words import counted
from pct.config import Background, Geometry
from pct.prediction.asked import Asked, GridName, Kind

if TYPE_CHECKING:
    from pct.model import Model
    from pct.prediction.many import Outcome
    from pct.prediction.one import Predicted
    from pct.prediction.sources import Patient

Tracking = Annotated[
    Optional[str],  # noqa: UP045  typer reads this form in every version
    typer.Option(help="MLflow URI for models:/; else MLFLOW_TRACKING_URI, else ./mlflow.db"),
]
ModelAddress = Annotated[
    str, typer.Argument(help="a model folder, models:/pct@champion, or DIR/TRIAL@EPOCH of a sweep")
]

NIFTI = (".nii", ".nii.gz")
FILES = (*NIFTI, ".dcm", ".mha", ".mhd", ".nrrd")
"""What names a file and no folder."""


def predict(
    model: ModelAddress,
    mr: Annotated[
        Path,
        typer.Option(help="a NIfTI or MetaImage file, a DICOM series' folder, or one of patients"),
    ],
    to: Annotated[
        Path,
        typer.Option(help="pseudo-CT to write: .nii or .nii.gz, else a folder for a DICOM series"),
    ],
    as_: Annotated[
        Optional[Kind],  # noqa: UP045
        typer.Option("--as", help="of many patients: what to write; else what each MR is"),
    ] = None,
    grid: Annotated[
        Optional[GridName],  # noqa: UP045
        typer.Option(help="axial in the patient, or the MR's own; else axial for DICOM only"),
    ] = None,
    onto: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write it on the grid of this volume, or DICOM CT in the MR's frame"),
    ] = None,
    geometry: Annotated[
        Optional[Geometry],  # noqa: UP045
        typer.Option(help="on training's grid, or in tiles at the image's scale; else the model's"),
    ] = None,
    background: Annotated[
        Optional[Background],  # noqa: UP045
        typer.Option(help="beyond 5 mm from the MR's head; else the model's"),
    ] = None,
    series: Annotated[
        str, typer.Option(help="of several MR series: part of the description of the one to take")
    ] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto: cuda if there")] = "auto",
    tracking: Tracking = None,
) -> None:
    """Make a pseudo-CT in HU from an MR of any spacing, orientation and size, or from many.

    Beside each lie a picture (.qc.png) and what was checked (.qc.json). With a folder of patients,
    --to is a folder for all of them, with predictions.csv and qc.html; run it again to go on.
    """
    from pct.prediction.sources import find_patients, is_one_patient

    def load() -> "Model":
        from pct.model import choose_device, find_model, load_model, predicting

        loaded = load_model(find_model(model, tracking=tracking), device=choose_device(device))
        return predicting(loaded, geometry=geometry, background=background)

    asked = Asked(kind=as_, grid=grid, onto=onto, series=series)
    if grid and onto:
        raise BadInput(f"--onto {onto} says the grid already: leave out --grid {grid}.")
    if is_one_patient(mr):
        _predict_one(load, model, mr, to, asked=asked)
    elif len(patients := find_patients(mr)) == 1 and to.name.endswith(NIFTI):
        _predict_one(load, model, patients[0].place, to, asked=asked)
    else:
        _expect_folder(mr, to, asked, len(patients))
        _predict_many(load, model, patients, to, asked=replace(asked, keep=True))


def _predict_one(
    load: "Callable[[], Model]", address: str, place: Path, to: Path, *, asked: Asked
) -> None:
    from data_prep.progress import bar
    from pct.prediction.sources import find_mr

    _expect_kind(to, asked)
    source = find_mr(place, series=asked.series)
    if asked.series and source.kind == "nifti":
        raise BadInput(f"--series {asked.series}: {place} is no DICOM. Leave it out.")
    loaded = load()

    from pct.prediction.one import maker_of, predict_one  # slow to import

    with bar("predict", total=100, unit="%") as show:
        predicted = predict_one(
            loaded,
            source,
            to,
            maker=maker_of(loaded, address),
            asked=asked,
            on_slices=lambda done, total: show(100 * done // total, f"{total} slices"),
        )
    print(f"{loaded.name}: {_in_words(predicted)} -> {to}")


def _predict_many(
    load: "Callable[[], Model]",
    address: str,
    patients: "Sequence[Patient]",
    to: Path,
    *,
    asked: Asked,
) -> None:
    from data_prep.progress import bar
    from pct.prediction.many import PAGE, TABLE, predict_many
    from pct.prediction.one import maker_of

    loaded, begun = load(), [patient.name for patient in patients]
    with bar("predict", total=len(patients), unit="patients") as show:
        outcomes = predict_many(
            loaded,
            patients,
            to,
            maker=maker_of(loaded, address),
            asked=asked,
            on_slices=lambda name, done, total: show(
                begun.index(name), f"{name}: {done} of {total} slices" if total else name
            ),
        )
        show(len(patients), "")
    for outcome in outcomes:
        print(_told(outcome))
    num_failed = sum(outcome.status == "failed" for outcome in outcomes)
    done = f"{counted(len(outcomes) - num_failed, 'pseudo-CT')} of {len(outcomes)}"
    print(f"{loaded.name}: {done} -> {to} ({TABLE}, {PAGE})")
    if num_failed:
        raise typer.Exit(3 if num_failed < len(outcomes) else 2)


def _expect_folder(mr: Path, to: Path, asked: Asked, num_patients: int) -> None:
    """Of many patients, refuse what is for one."""
    from pct.prediction.targets import expect_folder

    if to.name.endswith(FILES):
        raise BadInput(f"--to {to}: {mr} holds {counted(num_patients, 'patient')}. Name a folder.")
    if asked.onto:
        raise BadInput(f"--onto {asked.onto} is for one patient: {mr} is a folder of patients.")
    expect_folder(to, mr)


def _expect_kind(to: Path, asked: Asked) -> None:
    """Of one patient, the name of --to says what to write."""
    is_nifti = to.name.endswith(NIFTI)
    if to.name.endswith(FILES) and not is_nifti:
        words = "expected a name that ends in .nii or .nii.gz, or a folder for a DICOM series"
        raise BadInput(f"--to {to}: {words}.")
    if asked.kind and (asked.kind == "nifti") != is_nifti:
        wants = "a name that ends in .nii or .nii.gz" if asked.kind == "nifti" else "a folder"
        raise BadInput(f"--to {to}: expected {wants}, by --as {asked.kind}.")


def _in_words(predicted: "Predicted") -> str:
    """Size, HU range and warnings; of one that was kept, the warnings alone."""
    size = f"pseudo-CT {'x'.join(map(str, predicted.shape))}"
    found = "kept"
    if predicted.range_hu is not None:
        low, high = predicted.range_hu
        found = f"{low} to {high} HU"
    num = len(predicted.warnings)
    warnings = f"{counted(num, 'warning')}: {'; '.join(predicted.warnings)}"
    return f"{size}, {found}, {warnings if num else 'no warning'}"


def _told(outcome: "Outcome") -> str:
    if outcome.predicted is None:
        return f"{outcome.name}: failed: {outcome.failure}"
    return f"{outcome.name}: {_in_words(outcome.predicted)} -> {outcome.target}"
