"""Promotion: pick a trial, pass the gate, write a model folder, register it as the champion."""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pct.card_text import SCORES
from pct.model import BadModel
from sweeps import records
from sweeps.job import Job, Outcome, read_jobs
from sweeps.place import tracking_place
from sweeps.promotion.candidate import Candidate, choose, read_candidate, write_model
from sweeps.promotion.description import describe
from sweeps.promotion.gate import Refused, gate, objections
from sweeps.promotion.register import Entry, crown, register
from sweeps.promotion.registry import (
    ADDRESS,
    CHAMPION,
    DIGEST,
    NAME,
    REPLACES,
    ROLLED_BACK,
    ROLLED_BACK_NOTE,
    STAGE,
    TRIAL,
    Version,
    answering,
    find_champion,
    version_by,
    versions,
)
from sweeps.tracking import Place, client_at
from sweeps.tracking.place import without_secrets


@dataclass(frozen=True)
class Promotion:
    """What `pct promote` did."""

    trial: str
    version: str
    address: str
    already: bool
    overridden: list[str]
    data: str
    """The data folder of the trial."""


def promote(
    folder: Path, *, trial: str | None, tracking: str | None, force: bool, note: str
) -> Promotion:
    """Make a finished trial the champion. The same trial again changes nothing."""
    job, outcome = choose(read_jobs(folder), trial)
    run_id = run_of(folder, job.leaf)
    place = tracking_place(folder, tracking)
    client = client_at(place)
    with answering(place):
        champion, known = version_by(client, CHAMPION), versions(client)
    if champion and _is_of(champion, job, outcome):
        _tell(folder, job.leaf, champion.number)
        return Promotion(job.leaf, champion.number, ADDRESS, True, [], job.data)
    candidate = read_candidate(job, outcome)
    problems = [
        *_changed(folder, candidate), *_rolled_back(known, candidate),
        *_weighed(candidate, champion, place),
    ]  # fmt: skip
    overridden = gate(job.leaf, problems, force=force, note=note)
    entry = _entry(candidate, folder, run_id, champion, note=note, overridden=overridden)
    with answering(place):
        number = register(client, entry)
        crown(client, number, over=champion)
    _tell(folder, job.leaf, number)
    return Promotion(job.leaf, number, ADDRESS, False, overridden, job.data)


def run_of(folder: Path, trial: str) -> str:
    """The MLflow run of a trial."""
    path = folder / "trials.parquet"
    if not path.exists():
        raise Refused(f"{folder}: its sweep has not ended: {path.name} is missing. Wait for it.")
    runs = pd.read_parquet(path).set_index("trial")["run_id"]
    run_id = str(runs.get(trial) or "")
    if not run_id:
        raise Refused(
            f"trial {trial!r} has no MLflow run yet: tracking was away when the sweep ended. "
            "Run the same pct sweep again, it sends what waits."
        )
    return run_id


def next_commands(made: Promotion, folder: Path, tracking: str | None) -> list[str]:
    """What one does with a new champion: the test set once, and a first pseudo-CT."""
    place = tracking_place(folder, tracking)
    found_alone = place.uri == tracking_place(Path("here"), None).uri
    where = [] if found_alone else ["--tracking", without_secrets(place.uri)]
    data, table = _from_here(Path(made.data)), _from_here(folder / "scores.parquet")
    score = ["--data", data, "--split", "test", "--to", table]
    predict = ["--mr", "mr.nii.gz", "--to", "pct.nii.gz"]
    return [
        shlex.join(["pct", "score", ADDRESS, *where, *score]),
        shlex.join(["pct", "predict", ADDRESS, *where, *predict]),
    ]


def _is_of(champion: Version, job: Job, outcome: Outcome) -> bool:
    wanted = {TRIAL: job.leaf, STAGE: outcome.last_stage}
    return all(champion.tags.get(name) == value for name, value in wanted.items())


def _weighed(candidate: Candidate, champion: Version | None, place: Place) -> list[str]:
    """What the gate has against it, beside the champion's validation scores."""
    if champion is None:
        return objections(candidate.scores, None, cases=candidate.cases)
    try:
        path = find_champion(champion.address, tracking=place.uri) / SCORES
        scores = pd.read_parquet(path)
    except (OSError, ValueError, BadModel) as error:
        alone = objections(candidate.scores, None, cases=candidate.cases)
        return [*alone, f"the scores of the champion, {champion.shown}, cannot be read: {error}"]
    return objections(candidate.scores, scores, cases=candidate.cases)


def _changed(folder: Path, candidate: Candidate) -> Iterator[str]:
    """Data that were prepared anew since: the scores, and who was trained on, are of the old."""
    then = json.loads((folder / "sweep.json").read_text())["data"]["digest"]
    now = candidate.model.card["data_digest"]
    if then != now:
        yield (
            f"{candidate.job.data} has changed since the sweep: its digest was {then[:12]} and is "
            f"{now[:12]}"
        )


def _rolled_back(known: Sequence[Version], candidate: Candidate) -> Iterator[str]:
    """The very same weights may have been champion, and given up, before."""
    for version in known:
        when = version.tags.get(ROLLED_BACK)
        if when and version.tags.get(DIGEST) == candidate.entrant.digest:
            why = version.tags.get(ROLLED_BACK_NOTE) or "no reason given"
            yield f"the same weights were rolled back on {when}, as {version.shown}: {why}"


def _entry(
    candidate: Candidate, folder: Path, run_id: str, champion: Version | None,
    *, note: str, overridden: list[str],
) -> Entry:  # fmt: skip
    """The candidate's model folder, written, with what the registry says of it."""
    from sweeps.promotion.flavours import add_flavours

    model = folder / "models" / candidate.job.leaf
    write_model(candidate, model, note=note, overridden=overridden)
    add_flavours(model)
    tags = {
        TRIAL: candidate.job.leaf,
        STAGE: candidate.outcome.last_stage,
        DIGEST: candidate.entrant.digest,
        REPLACES: champion.number if champion else "",
        "pct.data_digest": candidate.model.card["data_digest"],
        "pct.note": note,
        "pct.overridden": "; ".join(overridden),
        "pct.test_opened": str(candidate.opened),
        "pct.test_opened_for_it": str(candidate.opened_for_it),
    }
    text = describe(candidate, champion, note=note, overridden=overridden)
    return Entry(model, run_id, {tag: value for tag, value in tags.items() if value}, text)


def _from_here(path: Path) -> str:
    """Relative to the working directory where that is above it."""
    path, here = path.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _tell(folder: Path, trial: str, version: str) -> None:
    """Let the report and the store know; a file that says so already stays as it is."""
    promoted = {"trial": trial, "version": version, "model": f"models:/{NAME}/{version}"}
    if json.loads((folder / "sweep.json").read_text()).get("champion") != promoted:
        records.add_to_summary(folder, champion=promoted)
