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
            for name, content in _pictures(store, job.key(snapshot)).items():
                write_look(job, name, content)


def _pictures(store: Store, key: str) -> dict[str, bytes]:
    """The panels and slices of a stage; none where it is not there, or no more."""
    try:
        names = [name for name in store.names(key) if name.endswith((".png", ".npz"))]
        return {name: store.get(key, name) for name in names}
    except Missing:
        return {}


def write_look(job: Job, name: str, content: bytes) -> None:
    """Lay a look's file into the sweep's folder; the spool is told of an epoch's panel, once."""
    if name.endswith(".npz"):
        write_bytes(job.slices / name, content)
        return
    path = job.panels / name
    picture = str(path.relative_to(job.folder))
    if spool.has_picture(job.spool, picture):
        return
    write_bytes(path, content)
    stem, _, case = name.removesuffix(".png").partition("_")
    if stem != "best":
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
        for path in [*sorted(_whole(twin.panels, ".png")), *_whole(twin.slices, ".npz")]:
            write_look(job, path.name, path.read_bytes())
        for path in _whole(twin.volumes, ".nii.gz"):
            write_bytes(job.volumes / path.name, path.read_bytes())
        if twin.histograms.exists():  # a sweep of an earlier version has none
            write_bytes(job.histograms, twin.histograms.read_bytes())
        scores = pd.read_parquet(twin.scores).assign(trial=job.leaf)
        job.scores.parent.mkdir(parents=True, exist_ok=True)
        scores.to_parquet(job.scores)
    write_outcome(job, outcome.model_copy(update={"leaf": job.leaf, "seconds": 0.0}))


def _whole(folder: Path, suffix: str) -> list[Path]:
    """Files that were written to their end."""
    return [path for path in folder.glob(f"*{suffix}") if not path.name.startswith(".")]


def forget_cases(folder: Path) -> None:
    """Remove what was kept of the cases themselves: they are another data set's."""
    for path in [folder / "looks" / "cases.npz", *(folder / "volumes").glob("*.nii.gz")]:
        path.unlink(missing_ok=True)


def forget(job: Job) -> None:
    """Remove the records of another run under this leaf's name, before it starts anew."""
    job.spool.unlink(missing_ok=True)
    job.outcome.unlink(missing_ok=True)
    job.scores.unlink(missing_ok=True)
    job.histograms.unlink(missing_ok=True)
    for folder in (job.panels, job.slices, job.volumes):
        shutil.rmtree(folder, ignore_errors=True)
