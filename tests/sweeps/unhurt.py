"""What must hold of a sweep however often it was killed: compared with one that nothing disturbed.

Every leaf has finished once, with the weights, random states and history of the undisturbed one;
its epochs stand once each, in order, in our tables and in MLflow; the store holds its snapshots
and nothing else of it; no half-written file is left.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pct.state import read_content
from sweeps.job import Job, read_jobs, read_outcome
from sweeps.keeping import needed_by
from sweeps.place import tracking_place
from sweeps.store.leases import FOLDER
from sweeps.store.store import Store
from sweeps.tracking import client_at

CLOCKS = ("time", "time/epoch_s")
"""All that may differ."""


@dataclass(frozen=True)
class Unhurt:
    """A sweep that nothing disturbed."""

    states: dict[str, Any]
    """Leaf -> its last state."""
    unique_epochs: int

    @classmethod
    def of(cls, folder: Path) -> "Unhurt":
        """Read from its folder, of which it must be the only sweep."""
        jobs = read_jobs(folder)
        history = pd.read_parquet(folder / "history.parquet")
        own = history[~history["carried"]].drop_duplicates(["trial", "epoch"])
        return cls({job.leaf: last_state(job) for job in jobs}, len(own))


def last_state(job: Job) -> Any:
    """A leaf's state after its last epoch."""
    return read_content(Store(job.store).get(job.last_key, "state.pt"), torch.device("cpu"))


def problems_of(folder: Path, undisturbed: Unhurt) -> list[str]:
    """All that does not hold; a line each."""
    jobs = read_jobs(folder)
    problems = [] if len(jobs) == len(undisturbed.states) else [f"{len(jobs)} leaves"]
    for job in jobs:
        outcome = read_outcome(job)
        if outcome is None or outcome.status != "FINISHED":
            problems.append(f"{job.leaf}: {outcome.reason if outcome else 'has no outcome'}")
        elif at := difference(last_state(job), undisturbed.states[job.leaf]):
            problems.append(f"{job.leaf}: another {at} than undisturbed")
    return [*problems, *told(folder, jobs), *litter(folder, jobs)]


def told(folder: Path, jobs: list[Job]) -> list[str]:
    """Epochs that do not stand once each, in order, in history.parquet or in MLflow."""
    history = pd.read_parquet(folder / "history.parquet")
    client = client_at(tracking_place(folder, None))
    trials = pd.read_parquet(folder / "trials.parquet").set_index("trial")
    problems = []
    for job in jobs:
        metric, expected = job.run.select.metric, list(range(1, job.run.epochs + 1))
        rows = history[(history["trial"] == job.leaf) & (history["metric"] == metric)]
        if rows["epoch"].tolist() != expected:
            problems.append(f"{job.leaf}: epochs {rows['epoch'].tolist()} in history.parquet")
        sent = client.get_metric_history(trials.loc[job.leaf, "run_id"], metric)
        if [entry.step for entry in sent] != expected:
            problems.append(f"{job.leaf}: epochs {[entry.step for entry in sent]} in MLflow")
        if client.get_run(trials.loc[job.leaf, "run_id"]).info.status != "FINISHED":
            problems.append(f"{job.leaf}: its run is not FINISHED in MLflow")
    return problems


def litter(folder: Path, jobs: list[Job]) -> list[str]:
    """Files of ours that nobody needs."""
    store = Store(jobs[0].store)
    kept, held = needed_by(jobs), set(store.keys())
    lost = {job.key(e) for job in jobs if _finished(job) for e in job.snapshots} - held
    problems = [f"stage {key} is left over" for key in held - kept]
    problems += [f"stage {key} is lost" for key in lost]
    problems += [seen.path for key in store.folders() for seen in store.leftovers(key)]
    root = Path(store.files.root)
    problems += [str(path) for path in (root / FOLDER).glob("*.json")]
    ours = [at for at in (*folder.iterdir(), root) if at.name != "ray"]  # there Ray keeps its own
    hidden = [path for at in ours for path in (*at.rglob(".*"), *at.rglob("*.tmp"))]
    hidden += [path for path in folder.glob(".*") if path.name != ".lock"]
    return problems + [str(path) for path in hidden if path.name != ".lock"]


def _finished(job: Job) -> bool:
    outcome = read_outcome(job)
    return outcome is not None and outcome.epochs == job.run.epochs


def difference(found: Any, expected: Any, where: str = "state") -> str:
    """Where two states first differ, to the last bit and clocks apart; "" where nowhere."""
    if isinstance(expected, torch.Tensor):
        return "" if torch.equal(found, expected) else where
    if isinstance(expected, dict):
        if found.keys() != expected.keys():
            return where
        parts = [(f"{where}.{key}", key) for key in expected if key not in CLOCKS]
    elif isinstance(expected, list | tuple):
        if len(found) != len(expected):
            return where
        parts = [(f"{where}[{index}]", index) for index in range(len(expected))]
    else:
        return "" if found == expected else where
    return next(filter(None, (difference(found[k], expected[k], at) for at, k in parts)), "")
