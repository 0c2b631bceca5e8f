"""How far a sweep is: what its folder, its store's leases and its spools say."""

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from rich.table import Table

from sweeps import spool
from sweeps.job import Job, read_jobs, read_outcome
from sweeps.store.leases import running_of
from sweeps.store.refs import read_refs
from sweeps.store.store import Store
from sweeps.tree import twins

State = Literal["finished", "failed", "running", "waiting", "stopped"]


@dataclass(frozen=True)
class Progress:
    """One trial."""

    trial: str
    state: State
    epochs: int
    """In its history, shared ones too."""
    planned: int
    epoch_seconds: float
    """Median over its own epochs; NaN before the first."""
    best: float
    """Highest value of the metric it is selected by; NaN before the first epoch."""
    note: str


@dataclass(frozen=True)
class Status:
    """A sweep at this moment."""

    going: bool
    """Whether a `pct sweep` is at work in the folder."""
    trials: tuple[Progress, ...]


def status_of(folder: Path) -> Status:
    """Look at a sweep's folder. `NoSweep` where there is none."""
    jobs = read_jobs(folder)
    going = _is_locked(folder / ".lock")
    running = _running(folder, Store(jobs[0].store)) if going and jobs else set()
    same = twins([job.course for job in jobs])
    return Status(going, tuple(_progress(job, going, running, same[job.leaf]) for job in jobs))


def summary(status: Status) -> str:
    """One line: how many trials are in which state, epochs done and to come."""
    states = [trial.state for trial in status.trials]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    done, planned = (
        sum(trial.epochs for trial in status.trials), sum(t.planned for t in status.trials)
    )  # fmt: skip
    hint = "" if status.going or set(states) <= {"finished"} else "; the same pct sweep goes on"
    return f"{len(states)} trials: {', '.join(counts)}; {done} of {planned} epochs written{hint}"


def status_table(status: Status) -> Table:
    """For the terminal, a row a trial."""
    table = Table(box=None, pad_edge=False)
    for name, right in (
        ("trial", False), ("state", False), ("epochs", True), ("s/epoch", True), ("best", True),
        ("", False),
    ):  # fmt: skip
        table.add_column(name, justify="right" if right else "left")
    for trial in status.trials:
        table.add_row(
            trial.trial, trial.state, f"{trial.epochs}/{trial.planned}",
            _spell(trial.epoch_seconds, 1), _spell(trial.best, 3), trial.note,
        )  # fmt: skip
    return table


def without_nan(plain: Any) -> Any:
    """The same with None for NaN, which JSON does not know."""
    if isinstance(plain, dict):
        return {key: without_nan(value) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [without_nan(item) for item in plain]
    return None if isinstance(plain, float) and math.isnan(plain) else plain


def _spell(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def _running(folder: Path, store: Store) -> set[str]:
    place = str(folder.resolve())
    return running_of(store, {ref.sweep for ref in read_refs(store) if ref.folder == place})


def _progress(job: Job, going: bool, running: set[str], twin: str) -> Progress:
    lines = spool.epochs(job.spool) if spool.run_of(job.spool) == job.last_key else []
    own = [line["metrics"]["time/epoch_s"] for line in lines if not line["carried"]]
    judged = [line["metrics"][job.run.select.metric] for line in lines]
    state, note = _state(job, going, running)
    if twin != job.leaf and state == "waiting":
        note = f"the same run as {twin}"
    return Progress(
        job.leaf, state, len(lines), job.run.epochs,
        statistics.median(own) if own else float("nan"),
        max(judged, default=float("nan")), note,
    )  # fmt: skip


def _state(job: Job, going: bool, running: set[str]) -> tuple[State, str]:
    outcome = read_outcome(job)
    if outcome is not None:
        return ("finished" if outcome.status == "FINISHED" else "failed"), outcome.reason
    if job.leaf in running:
        return "running", ""
    return ("waiting" if going else "stopped"), ""


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
