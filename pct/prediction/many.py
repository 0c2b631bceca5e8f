"""A folder of patients to pseudo-CTs: one failure does not stop the rest, a second run goes on."""

import csv
import re
import struct
import time
import traceback
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from data_prep.atomic import renamed
from data_prep.dicom_census import UNREADABLE, BadSeries
from data_prep.dicom_ct import Maker
from data_prep.errors import PctError
from pct.model import Model
from pct.prediction.asked import Asked
from pct.prediction.one import Predicted, predict_one
from pct.prediction.qc_page import Entry, write_page
from pct.prediction.record import checks_in, read_record
from pct.prediction.series import BadSource
from pct.prediction.sources import MrFiles, Patient, find_mr
from pct.prediction.targets import beside, expect_series_name

TABLE, PAGE = "predictions.csv", "qc.html"
COLUMNS = ("name", "status", "output", "warnings", "seconds", "reason")

_MEMORY = (MemoryError, torch.OutOfMemoryError)

_OURS = (*UNREADABLE, ArithmeticError, AttributeError, RuntimeError, struct.error, zlib.error)
"""By what files that nobody thought of let this program, or another's, fail."""

_OF_ONE = (PctError, OSError, *_MEMORY, *_OURS)
"""What one patient may fail by and another not."""

OnPatient = Callable[[str, int, int], None]
"""Told a patient's name and how many slices are done, of how many."""


@dataclass(frozen=True)
class Outcome:
    """What became of one patient."""

    name: str
    status: Literal["done", "kept", "failed"]
    target: Path | None
    seconds: float
    predicted: Predicted | None = None
    failure: str = ""
    """In words for a person at a terminal, who may be shown paths and descriptions of series."""
    reason: str = ""
    """In words for a file, without those."""


def predict_many(
    model: Model,
    patients: Sequence[Patient],
    to: Path,
    *,
    maker: Maker,
    asked: Asked,
    on_slices: OnPatient = lambda name, done, total: None,
) -> list[Outcome]:
    """Predict each patient to TO/NAME or TO/NAME.nii.gz, in order.

    `predictions.csv` there grows with each; `qc.html` shows all when they are through.
    """
    outcomes: list[Outcome] = []
    (to / PAGE).unlink(missing_ok=True)  # of an earlier run, should this one be interrupted
    for patient in patients:
        on_slices(patient.name, 0, 0)
        outcomes.append(_attempt(model, patient, to, maker=maker, asked=asked, on_slices=on_slices))
        _write_table(outcomes, to)
    write_page([_entry(outcome) for outcome in outcomes], to / PAGE)
    return outcomes


def _attempt(
    model: Model, patient: Patient, to: Path, *, maker: Maker, asked: Asked, on_slices: OnPatient
) -> Outcome:
    began = time.monotonic()
    source, target = None, to / patient.name
    try:
        source = find_mr(patient.place, series=asked.series)
        target = to / _file_name(patient, source, asked)
        predicted = predict_one(
            model,
            source,
            target,
            maker=maker,
            asked=asked,
            on_slices=lambda done, total: on_slices(patient.name, done, total),
        )
    except _OF_ONE as error:
        told = _and_left(_failure(error, target), patient, to)
        reason = _and_left(_reason(error, target, source.files if source else ()), patient, to)
        seconds = time.monotonic() - began
        return Outcome(patient.name, "failed", None, seconds, failure=told, reason=reason)
    status: Literal["done", "kept"] = "kept" if predicted.range_hu is None else "done"
    return Outcome(patient.name, status, target, time.monotonic() - began, predicted)


def _file_name(patient: Patient, source: MrFiles, asked: Asked) -> str:
    if (asked.kind or source.kind) == "nifti":
        return f"{patient.name}.nii.gz"
    expect_series_name(patient, taken=(TABLE, PAGE))
    return patient.name


def _failure(error: BaseException, target: Path) -> str:
    """Why a patient failed."""
    if isinstance(error, PctError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or target}: {error.strerror or error or type(error).__name__}"
    if isinstance(error, _MEMORY):
        return f"not enough memory ({error})"
    # Its words may quote a header, so where it was raised must do.
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return f"{type(error).__name__} in {where}: the MR is not as expected, or a fault of pct"


def _reason(error: BaseException, target: Path, mr: Sequence[Path]) -> str:
    """The same without paths or what headers say."""
    if isinstance(error, BadSource):
        return error.reason
    if isinstance(error, BadSeries):
        return "; ".join(error.reasons)
    if isinstance(error, OSError):
        return error.strerror or f"cannot be read or written ({type(error).__name__})"
    text = _failure(error, target)
    for path, name in ((target, target.name), *((file, "the MR") for file in mr)):
        whole = rf"(?<![\w./-]){re.escape(str(path))}(?!\w)"
        text = name.join(re.split(whole, text))
    return text


def _and_left(failure: str, patient: Patient, to: Path) -> str:
    """A failure, and what was there before: with failed in the table it would not be looked for."""
    names = (patient.name, f"{patient.name}.nii.gz")
    left = " and ".join(name for name in names if name != TABLE and (to / name).exists())
    told = f"Still there, of an earlier run and perhaps of another MR: {left}."
    return f"{failure.rstrip('.')}. {told}" if left else failure


def _write_table(outcomes: Sequence[Outcome], to: Path) -> None:
    with (
        renamed(to / TABLE) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in outcomes:
            warnings = one.predicted.warnings if one.predicted else ()
            output = one.target.name if one.target else ""
            reason = one.reason or "; ".join(warnings)
            cells = (one.name, one.status, output, len(warnings), f"{one.seconds:.1f}", reason)
            writer.writerow(cells)


def _entry(outcome: Outcome) -> Entry:
    if outcome.target is None:
        return Entry(outcome.name, b"", (), outcome.reason)
    picture, record = beside(outcome.target, "png").read_bytes(), read_record(outcome.target)
    return Entry(outcome.name, picture, checks_in(record) if record else (), "")
