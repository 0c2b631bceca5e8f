"""Promotion: pick a trial, pass the gate, write a model folder, register it as the champion."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from data_prep.shards import read_manifest
from pct.card import make_card
from pct.given import trained_on
from pct.model import save_model
from pct.state import read_content
from sweeps import records
from sweeps.job import Job, Outcome, read_jobs, read_outcome
from sweeps.place import tracking_place
from sweeps.promotion.gate import Refused, gate
from sweeps.promotion.registry import ALIAS, NAME, champion_tags, find_champion, register
from sweeps.store.store import Store
from sweeps.tracking import client_at

SCORES = "validation.parquet"
"""The validation scores that lie in every model folder, for the next candidate's gate."""


ADDRESS = f"models:/{NAME}@{ALIAS}"


@dataclass(frozen=True)
class Promotion:
    """What `pct promote` did."""

    trial: str
    version: str
    address: str
    already: bool
    overridden: list[str]


def promote(
    folder: Path, *, trial: str | None, tracking: str | None, force: bool, note: str
) -> Promotion:
    """Make a finished trial the champion. The same trial again changes nothing."""
    job = choose(read_jobs(folder), trial)
    outcome = _finished(job)
    place = tracking_place(folder, tracking)
    client = client_at(place)
    old = champion_tags(client)
    if old and old.get("pct.stage") == outcome.last_stage and old.get("pct.trial") == job.leaf:
        _tell(folder, job.leaf, old["version"])
        return Promotion(job.leaf, old["version"], ADDRESS, True, [])
    scores = pd.read_parquet(job.scores)
    overridden = gate(
        job.leaf, scores, champion_scores(place.uri) if old else None,
        learnt_from=trained_on(job.run, Path(job.data)), force=force, note=note,
    )  # fmt: skip
    model = folder / "models" / job.leaf
    write_model(job, outcome, model, note=note)
    tags = {
        "pct.trial": job.leaf,
        "pct.stage": outcome.last_stage,
        "pct.note": note,
        "pct.overridden": "; ".join(overridden),
    }
    version = register(client, run_of(folder, job.leaf), model, tags=tags)
    _tell(folder, job.leaf, version)
    return Promotion(job.leaf, version, ADDRESS, False, overridden)


def choose(jobs: list[Job], trial: str | None) -> Job:
    """The named trial, or the finished one with the best selection metric."""
    done = {
        job.leaf: outcome
        for job in jobs
        if (outcome := read_outcome(job)) and outcome.status == "FINISHED"
    }
    if trial is not None and trial not in done:
        raise Refused(
            f"trial {trial!r} has not finished here; finished are {', '.join(done) or 'none'}."
        )
    if not done:
        raise Refused("no trial has finished here. Run pct sweep again.")
    name = trial or max(done, key=lambda leaf: done[leaf].best_value)
    return next(job for job in jobs if job.leaf == name)


def champion_scores(uri: str) -> pd.DataFrame:
    """The reigning champion's validation scores."""
    return pd.read_parquet(find_champion(ADDRESS, tracking=uri) / SCORES)


def write_model(job: Job, outcome: Outcome, folder: Path, *, note: str) -> None:
    """Write the best generator of a finished leaf as a model folder, its scores beside it."""
    content = read_content(
        Store(job.store).get(outcome.last_stage, "state.pt"), torch.device("cpu")
    )
    best = content["best"]
    card = make_card(
        job.run, Path(job.data), trial=job.leaf, epoch=best["epoch"], value=best["value"],
        stage=outcome.last_stage, validation=outcome.final, note=note,
    )  # fmt: skip
    save_model(
        folder, best["weights"], run=job.run, grid=read_manifest(Path(job.data)).grid, card=card
    )
    pd.read_parquet(job.scores).to_parquet(folder / SCORES)


def run_of(folder: Path, trial: str) -> str:
    """The MLflow run of a trial."""
    table = pd.read_parquet(folder / "trials.parquet")
    run_id = str(table.set_index("trial").loc[trial, "run_id"])
    if not run_id:
        raise Refused(
            f"trial {trial!r} has no MLflow run yet: tracking was away when the sweep ended. "
            "Run the same pct sweep again, it sends what waits."
        )
    return run_id


def _finished(job: Job) -> Outcome:
    outcome = read_outcome(job)
    assert outcome is not None
    return outcome


def _tell(folder: Path, trial: str, version: str) -> None:
    """Let the report know of the champion."""
    champion = {"trial": trial, "version": version, "model": ADDRESS}
    records.add_to_summary(folder, champion=champion)
