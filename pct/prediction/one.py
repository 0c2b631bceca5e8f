"""One MR to a pseudo-CT, DICOM or NIfTI, with a picture and a record of its quality beside it."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from data_prep.atomic import renamed
from data_prep.dicom_ct import Maker, refuse_unwritable, write_ct
from data_prep.volume import Volume, save_nifti
from pct.model import Model
from pct.prediction.asked import Asked, Kind
from pct.prediction.check import warnings
from pct.prediction.grids import grid_onto, own_grid
from pct.prediction.picture import qc_picture
from pct.prediction.quality import look_over
from pct.prediction.record import (
    Made,
    as_json,
    checks_in,
    hu_histogram,
    output_facts,
    record_of,
)
from pct.prediction.sources import Mr, MrFiles, read_mr, sha256_of_mr
from pct.prediction.targets import DESCRIPTION, beside, expect_fitting, is_nifti
from pct.prediction.volume import OnSlices, predict_prepared, prepare
from pct.scoring.score import entrant_of


@dataclass(frozen=True)
class Predicted:
    """A pseudo-CT that is there, and what to say of it."""

    shape: tuple[int, int, int]
    warnings: tuple[str, ...]
    """A sentence for each check that failed."""
    range_hu: tuple[int, int] | None = None
    """Lowest and highest value; None of one that was kept, for it was not read."""


def maker_of(model: Model, address: str) -> Maker:
    """Who makes the pseudo-CTs: trial@epoch, a digest of the weights, and where they were found.

    Of a model in a folder only the folder's name: a path may tell whose machine this is.
    """
    entrant = entrant_of(model)
    if not address.startswith("models:"):
        address = Path(address).resolve().name
    software = ", ".join(f"{name} {version(name)}" for name in ("pct-sweeps", "torch", "monai"))
    return Maker(entrant.name, entrant.digest, address, software)


def predict_one(
    model: Model,
    source: MrFiles,
    target: Path,
    *,
    maker: Maker,
    asked: Asked,
    on_slices: OnSlices = lambda done, total: None,
) -> Predicted:
    """Read an MR, predict, look it over and write: NIfTI by the target's name, else a CT series.

    What was there before stays until all is written. A folder that holds anything but this very
    series is a `BadTarget`; a DICOM series of a NIfTI MR, which has no patient, a `BadSource`.
    """
    expect_fitting(source, target, onto=asked.onto)
    made = _made(model, maker, source, target=target, asked=asked)
    if asked.keep and (record := record_of(target, made)) is not None:
        i, j, k = record["output"]["shape"]
        return Predicted((i, j, k), tuple(warnings(checks_in(record))))
    mr = read_mr(source)
    out = grid_onto(asked.onto, mr, made.kind) if asked.onto else own_grid(mr, made.grid, made.kind)
    if mr.series and made.kind == "dicom":
        refuse_unwritable(out.grid, target, like=mr.series, maker=maker, frame_uid=out.frame_uid)
    prepared = prepare(model, mr.volume, onto=out.given)
    pct = predict_prepared(model, prepared, out.grid, on_slices)
    checks = [*look_over(model, prepared, pct), *out.checks]
    with renamed(beside(target, "json")) as facts, renamed(beside(target, "png")) as picture:
        picture.write_bytes(qc_picture(prepared, pct, checks, model=model.name))
        series_uid = _write(pct, target, mr, maker=maker, frame_uid=out.frame_uid)
        written = output_facts(pct, target, series_uid)
        histogram = hu_histogram(prepared, pct)
        told = as_json(made, maker, prepared, checks, output=written, histogram=histogram)
        facts.write_text(told, encoding="utf-8")
    low, high = int(pct.array.min()), int(pct.array.max())
    return Predicted(pct.grid.shape, tuple(warnings(checks)), (low, high))


def _made(model: Model, maker: Maker, source: MrFiles, *, target: Path, asked: Asked) -> Made:
    kind: Kind = "nifti" if is_nifti(target) else "dicom"
    return Made(
        digest=maker.digest,
        geometry=model.run.geometry,
        background=model.run.background,
        mr_sha256=sha256_of_mr(source),
        kind=kind,
        grid="onto" if asked.onto else asked.grid or ("axial" if kind == "dicom" else "mr"),
        software=maker.software,
    )


def _write(pct: Volume, target: Path, mr: Mr, *, maker: Maker, frame_uid: str | None) -> str | None:
    """Write a pseudo-CT, which never stands beside the record of another; UID of its series."""
    if is_nifti(target) or not target.exists():
        for end in ("json", "png"):
            beside(target, end).unlink(missing_ok=True)
    if mr.series is None or is_nifti(target):
        save_nifti(pct, target, description=DESCRIPTION)
        return None
    return write_ct(pct, target, like=mr.series, maker=maker, frame_uid=frame_uid).series_uid
