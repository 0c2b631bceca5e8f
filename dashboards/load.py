"""A sweep's folder, read into records. No torch, no Ray: any machine can write the report."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.errors import PctError

HISTORY_COLUMNS = ("trial", "epoch", "metric", "value", "carried")
CASE_COLUMNS = ("subject", "split", "status", "reason")
SCORE_COLUMNS = (
    "trial", "case", "split", "split_sha", "metric", "value", "unit",
    "mask_backend", "geometry", "background", "metric_version",
)  # fmt: skip


class NoSweep(PctError):
    """A folder that does not hold a finished sweep, or holds one that cannot be read."""


@dataclass(frozen=True)
class Stage:
    """A run of epochs, counted from 1, with constant values; trials sharing it share its key."""

    first: int
    last: int
    key: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """One row of `trials.parquet`."""

    trial: str
    status: str
    reason: str | None
    epochs: int
    own_epochs: int
    """Epochs that this trial trained itself; the others it took from the trial it forked from."""
    forked_from: str | None
    forked_at: int | None
    same_as: str | None
    """The trial whose run this one is, under another name."""
    best_epoch: int | None
    best_value: float | None
    stages: tuple[Stage, ...]
    seconds: float | None


@dataclass(frozen=True)
class Fork:
    """Where runs part: after `epoch`, the last one of the stage that they share."""

    epoch: int
    branches: tuple[Trial, ...]
    """The first run of each way on."""


@dataclass(frozen=True)
class Sweep:
    """All that a report is made of."""

    folder: Path
    info: dict[str, Any]
    """`sweep.json` as it is."""
    trials: tuple[Trial, ...]
    history: pd.DataFrame
    """One row a trial, epoch and metric; `carried` where another trial trained the epoch."""
    scores: pd.DataFrame
    """One row a trial, case and metric."""
    cases: pd.DataFrame | None = None
    """The data's table of cases, refused ones too; None where the folder holds none."""

    @cached_property
    def runs(self) -> tuple[Trial, ...]:
        """The trials that are runs of their own, in the order of the recipe."""
        return tuple(trial for trial in self.trials if trial.same_as is None)

    def names_of(self, run: Trial) -> str:
        """The run's name and that of a trial that is the same run: "exp1 = exp3.keep".

        Of several only their number is told.
        """
        others = self._twins.get(run.trial, [])
        shown = others if len(others) < 2 else [f"{len(others)} more"]
        return " = ".join([run.trial, *shown])

    @cached_property
    def _twins(self) -> dict[str, list[str]]:
        """Run -> the other trials that it is."""
        found: dict[str, list[str]] = {}
        for trial in self.trials:
            if trial.same_as is not None:
                found.setdefault(trial.same_as, []).append(trial.trial)
        return found

    @cached_property
    def forks(self) -> tuple[Fork, ...]:
        """Stages with two or more successors, early ones first."""
        ways: dict[tuple[int, str], dict[str, Trial]] = {}
        for run in self.runs:
            for before, after in pairwise(run.stages):
                ways.setdefault((before.last, before.key), {}).setdefault(after.key, run)
        found = [Fork(epoch, tuple(on.values())) for (epoch, _), on in ways.items() if len(on) > 1]
        return tuple(sorted(found, key=lambda fork: fork.epoch))

    @property
    def fork_epochs(self) -> tuple[int, ...]:
        """Finished epochs after which runs part."""
        return tuple(sorted({fork.epoch for fork in self.forks}))

    @property
    def times_test_opened(self) -> int:
        """Rows of the ledger in the data folder; 0 where that folder is not at hand."""
        ledger = Path(self.info["data"].get("folder", "")) / "test_ledger.parquet"
        return int(pq.read_metadata(ledger).num_rows) if ledger.is_file() else 0

    @cached_property
    def ranked(self) -> tuple[Trial, ...]:
        """Finished runs with a best value, best first by the sweep's `select` rule."""
        able = [run for run in self.runs if run.status == "FINISHED" and run.best_value is not None]
        maximise = self.info["select"]["mode"] == "max"
        return tuple(sorted(able, key=lambda run: run.best_value or 0.0, reverse=maximise))


def load_sweep(folder: Path) -> Sweep:
    """Read `sweep.json` and the tables of a sweep's folder; `scores.parquet` may be absent.

    Raises `NoSweep` when another is missing, or one is unreadable or lacks a column, naming the
    file and the command that writes it.
    """
    info = _read_info(folder)
    required = [field.name for field in fields(Trial)]
    rows = _read_table(folder, "trials.parquet", required).select(required).to_pylist()
    return Sweep(
        folder=folder,
        info=info,
        trials=tuple(_trial(row) for row in rows),
        history=_read_table(folder, "history.parquet", HISTORY_COLUMNS).to_pandas(),
        scores=_read_scores(folder),
        cases=_read_cases(folder),
    )


def _read_scores(folder: Path) -> pd.DataFrame:
    """A sweep writes no scores when every trial failed: then there are no rows."""
    if not (folder / "scores.parquet").exists():
        return pd.DataFrame(columns=list(SCORE_COLUMNS))
    scores: pd.DataFrame = _read_table(folder, "scores.parquet", SCORE_COLUMNS).to_pandas()
    return scores


def _read_cases(folder: Path) -> pd.DataFrame | None:
    """Sweeps of earlier versions keep no copy of their data's table of cases."""
    if not (folder / "cases.parquet").exists():
        return None
    cases: pd.DataFrame = _read_table(folder, "cases.parquet", CASE_COLUMNS).to_pandas()
    return cases


def _trial(row: dict[str, Any]) -> Trial:
    stages = tuple(
        Stage(stage["first"], stage["last"], key=stage["stage"], values=stage["values"])
        for stage in json.loads(row["stages"])
    )
    whole = {name: _known(row[name], int) for name in ("forked_at", "best_epoch")}
    real = {name: _known(row[name], float) for name in ("best_value", "seconds")}
    return Trial(**{**row, **whole, **real, "stages": stages})


def _known(value: Any, kind: type[int] | type[float]) -> Any:
    """None for null and NaN; a column with nulls holds whole numbers as floating ones."""
    return None if value is None or value != value else kind(value)


def _read_info(folder: Path) -> dict[str, Any]:
    path = folder / "sweep.json"
    try:
        info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (ValueError, OSError) as error:
        raise _unreadable(path, str(error)) from error
    absent = {"sweep", "recipe", "select", "data", "epochs_written", "epochs_trained"} - set(info)
    if absent:
        raise _unreadable(path, f"it lacks {', '.join(sorted(absent))}")
    return info


def _read_table(folder: Path, name: str, columns: Sequence[str]) -> pa.Table:
    path = folder / name
    if not path.is_file():
        raise _missing(path)
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, str(error)) from error
    absent = [column for column in columns if column not in table.column_names]
    if absent:
        raise _unreadable(path, f"it lacks the columns {', '.join(absent)}")
    return table


def _missing(path: Path) -> NoSweep:
    return NoSweep(
        f"{path} is missing: {path.parent} holds no finished sweep. Run `pct sweep RECIPE --data "
        f"DATA --to {path.parent}`; a sweep that was interrupted goes on where it stopped."
    )


def _unreadable(path: Path, why: str) -> NoSweep:
    return NoSweep(
        f"{path} cannot be used: {why}. Run `pct sweep RECIPE --data DATA --to {path.parent}` "
        "again: it writes its tables anew from finished stages."
    )
