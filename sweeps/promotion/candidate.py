"""Who stands for promotion: a finished trial, its best generator, its scores, whom it has seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from data_prep.shards import list_cases, read_manifest
from pct.card import carded_model
from pct.config import suggest
from pct.model import Model, save_model
from pct.scoring.ledger import Entrant, openings
from pct.scoring.rows import read_rows
from pct.scoring.score import entrant_of
from pct.state import read_content
from sweeps.job import Job, Outcome, read_outcome
from sweeps.promotion.gate import COMPARED_IN, Cases, Refused
from sweeps.store.store import Store

AGAIN = "Run the same pct sweep again"


@dataclass(frozen=True)
class Candidate:
    """A finished trial with all that the gate and the record want to know."""

    job: Job
    outcome: Outcome
    model: Model
    """Its best generator."""
    scores: pd.DataFrame
    cases: Cases
    entrant: Entrant
    opened: int
    """How often the test set of its data was opened."""
    opened_for_it: int
    """And how often for this very model."""


def choose(jobs: Sequence[Job], trial: str | None) -> tuple[Job, Outcome]:
    """The named trial, or the finished one whose selection metric is highest, as PSNR should be."""
    found = {job.leaf: (job, read_outcome(job)) for job in jobs}
    done = [
        (job, outcome)
        for job, outcome in found.values()
        if outcome and outcome.status == "FINISHED"
    ]
    aims = sorted({job.run.select.metric for job, _ in done})
    if trial is None and len(aims) > 1:
        raise Refused(
            f"its trials select by {' and '.join(aims)}, whose values cannot be compared. Name "
            f"one: --trial {done[0][0].leaf}"
        )
    if trial is None and done:
        return max(done, key=lambda pair: pair[1].best_value)
    for job, outcome in done:
        if job.leaf == trial:
            return job, outcome
    names = [job.leaf for job, _ in done]
    shown = f"Finished are: {', '.join(names)}." if names else f"None has. {AGAIN}."
    if trial is None:
        raise Refused(f"no trial has finished here. {AGAIN}.")
    if trial not in found:
        raise Refused(f"no trial {trial!r} here{suggest(trial, list(found))} {shown}")
    ended = found[trial][1]
    how = f"failed ({ended.reason})" if ended else "has not finished"
    raise Refused(f"trial {trial!r} {how}, so it has no scores to be judged by. {shown}")


def read_candidate(job: Job, outcome: Outcome) -> Candidate:
    """All of it; scores that are lost are `Refused` with what makes them anew."""
    data, model = Path(job.data), best_of(job, outcome)
    scores = read_rows(job.scores)
    if scores.empty:
        raise Refused(
            f"trial {job.leaf!r} has no 3D scores: {job.scores} is "
            f"{'empty' if job.scores.exists() else 'missing'}. Remove {job.outcome} and run the "
            "same pct sweep again: it scores the trial anew, from its last stage."
        )
    _refuse_odd(job, scores)
    manifest, entrant = read_manifest(data), entrant_of(model)
    cases = Cases(
        trained_on=model.card["trained_on"],
        val=list_cases(data, "val"),
        test=list_cases(data, "test"),
        id_key=str(manifest.settings["id_key"]),
        id_keys=model.card["id_keys"],
    )
    opened, own = openings(data), openings(data, entrant)
    return Candidate(job, outcome, model, scores, cases, entrant, opened, own)


def _refuse_odd(job: Job, scores: pd.DataFrame) -> None:
    """A table that is not this trial's, or not one of scores."""
    lacking = sorted({"trial", "case", "metric", "value", *COMPARED_IN} - set(scores.columns))
    found = f"lacks {', '.join(lacking)}" if lacking else ""
    if not lacking and (others := sorted(set(scores["trial"].astype(str)) - {job.leaf})):
        found = f"holds the scores of {', '.join(others)}"
    if not lacking and scores["value"].dtype.kind != "f":
        found = f"has values of type {scores['value'].dtype}"
    if found:
        raise Refused(
            f"{job.scores}: {found}, expected this trial's own. Remove {job.outcome} and run the "
            "same pct sweep again: it scores the trial anew, from its last stage."
        )


def best_of(job: Job, outcome: Outcome) -> Model:
    """The best generator of a finished leaf, from the stage store."""
    content = read_content(
        Store(job.store).get(outcome.last_stage, "state.pt"), torch.device("cpu")
    )
    best = content["best"]
    return carded_model(
        best["weights"], job.run, Path(job.data), trial=job.leaf, epoch=best["epoch"],
        value=best["value"], stage=outcome.last_stage, validation=outcome.final,
    )  # fmt: skip


def write_model(
    candidate: Candidate, folder: Path, *, note: str, overridden: Sequence[str] = ()
) -> None:
    """Write the best generator as a model folder, with its scores and what its promotion said."""
    model = candidate.model
    card = model.card | {
        "note": note,
        "overridden": list(overridden),
        "test_opened": candidate.opened,
        "test_opened_for_it": candidate.opened_for_it,
    }
    weights, run = model.generator.state_dict(), model.run
    if run.init:  # its digest says which; where it lay is nobody's business
        init = run.init.model_copy(update={"model": Path(run.init.model).name})
        run = run.model_copy(update={"init": init})
    save_model(folder, weights, run=run, grid=model.grid, card=card, scores=candidate.scores)
