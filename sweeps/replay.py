"""What a shared stage brings along: its history and pictures, laid into a leaf's own records."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from data_prep.atomic import renamed
from sweeps import spool
from sweeps.job import Job, Outcome, write_outcome
from sweeps.store.store import Missing, Store


def replay(job: Job, store: Store, history: Sequence[dict[str, float]]) -> None:
    """Put the epochs of a shared stage, and what the store has of their pictures, into records."""
    spool.begin(job.spool, job.last_key)
    spool.add_epochs(job.spool, history, carried=True)
    for snapshot in job.snapshots:
        if snapshot <= len(history):
            for name, png in _pictures(store, job.key(snapshot)).items():
                write_panel(job, name, png)


def _pictures(store: Store, key: str) -> dict[str, bytes]:
    """The panels of a stage; none where it is not there, or no more."""
    try:
        names = [name for name in store.names(key) if name.endswith(".png")]
        return {name: store.get(key, name) for name in names}
    except Missing:
        return {}


def write_panel(job: Job, name: str, png: bytes) -> None:
    """Lay a panel into the sweep's folder and tell the spool, once."""
    path = job.panels / name
    picture = str(path.relative_to(job.folder))
    if spool.has_picture(job.spool, picture):
        return
    write_bytes(path, png)
    stem, _, case = name.removesuffix(".png").partition("_")
    epoch, key = int(stem.removeprefix("epoch-")), f"val/panel_{case}"
    spool.append(job.spool, {"kind": "image", "epoch": epoch, "key": key, "path": picture})


def write_bytes(path: Path, content: bytes) -> None:
    """Under a temporary name, then renamed."""
    with renamed(path) as temporary:
        temporary.write_bytes(content)


def copy_twin(job: Job, twin: Job, outcome: Outcome) -> None:
    """Give a leaf that is the very same run as `twin` its own records; nothing is trained."""
    if outcome.status == "FINISHED":
        spool.begin(job.spool, job.last_key)
        rows = [
            {"epoch": line["epoch"], "time": line["time"], **line["metrics"]}
            for line in spool.epochs(twin.spool)
        ]
        spool.add_epochs(job.spool, rows, carried=True)
        for picture in sorted(twin.panels.glob("epoch-*.png")):
            write_panel(job, picture.name, picture.read_bytes())
        for best in twin.panels.glob("best_*.png"):
            write_bytes(job.panels / best.name, best.read_bytes())
        scores = pd.read_parquet(twin.scores).assign(trial=job.leaf)
        job.scores.parent.mkdir(parents=True, exist_ok=True)
        scores.to_parquet(job.scores)
    write_outcome(job, outcome.model_copy(update={"leaf": job.leaf, "seconds": 0.0}))


def forget(job: Job) -> None:
    """Remove the records of another run under this leaf's name, before it starts anew."""
    job.spool.unlink(missing_ok=True)
    job.outcome.unlink(missing_ok=True)
    job.scores.unlink(missing_ok=True)
    shutil.rmtree(job.panels, ignore_errors=True)
