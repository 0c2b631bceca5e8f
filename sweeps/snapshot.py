"""A trial's generator after a given epoch, from the stage store to a model folder."""

import json
from pathlib import Path

import torch

from data_prep.shards import read_manifest
from pct.card import make_card
from pct.config import suggest
from pct.model import BadModel, save_model
from pct.state import read_content
from sweeps.job import Job, read_jobs
from sweeps.store.store import Store

DEFAULT_FOLDER = "OUT"
"""Where `pct sweep` writes unless it is told otherwise."""


def find_snapshot(address: str, *, tracking: str | None = None) -> Path:
    """The model folder of `DIR/TRIAL@EPOCH` (DIR: a sweep's, ./OUT if left out), made if need be.

    The weights are those that validation saw after that epoch, not the best so far.
    """
    path, _, epoch = address.rpartition("@")
    where, _, trial = path.rpartition("/")
    folder = Path(where or DEFAULT_FOLDER)
    job = _job(folder, trial, address)
    key = _key(job, epoch, address)
    model = folder / "models" / f"{trial}@{epoch}"
    if not _is_of(model, key):
        _write(job, key, int(epoch), model)
    return model


def _job(folder: Path, trial: str, address: str) -> Job:
    jobs = {job.leaf: job for job in read_jobs(folder)}
    if trial not in jobs:
        raise BadModel(f"{address}: no trial {trial!r} in {folder}{suggest(trial, list(jobs))}")
    return jobs[trial]


def _key(job: Job, epoch: str, address: str) -> str:
    """The stage's key; an epoch that is not in the store is told with those that are."""
    store = Store(job.store)
    keys = job.course.all_keys()
    there = store.which(keys)
    held = [finished for finished, key in enumerate(keys, 1) if key in there]
    if not epoch.isdigit() or int(epoch) not in held:
        known = ", ".join(map(str, held)) or "none yet"
        raise BadModel(
            f"{address}: no snapshot of {job.leaf} after epoch {epoch or '?'} in {store.root}; "
            f"there are {known}."
        )
    return job.key(int(epoch))


def _is_of(model: Path, key: str) -> bool:
    path = model / "model.json"
    return path.exists() and json.loads(path.read_text())["card"].get("stage") == key


def _write(job: Job, key: str, epoch: int, model: Path) -> None:
    content = read_content(Store(job.store).get(key, "state.pt"), torch.device("cpu"))
    weights = content["ema"]["weights"] if content["ema"] else content["generator"]
    card = make_card(
        job.run, Path(job.data), trial=job.leaf, epoch=epoch, stage=key,
        value=content["history"][-1][job.run.select.metric],
        note=f"the generator after epoch {epoch}, not the trial's best",
    )  # fmt: skip
    grid = read_manifest(Path(job.data)).grid
    save_model(model, weights, run=job.run, grid=grid, card=card)
