"""Promotion: pick a trial, pass the gate, write a model folder, register it as the champion."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pct.alone import alone
from pct.card_text import SCORES
from pct.model import BadModel
from pct.scoring.rows import read_rows
from sweeps import records
from sweeps.job import Job, Outcome, read_jobs
from sweeps.place import tracking_place
from sweeps.promotion.candidate import Candidate, choose, read_candidate, write_model
from sweeps.promotion.description import describe
from sweeps.promotion.gate import COMPARED_IN, Refused, gate, objections
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
    known_place,
    version_by,
    versions,
)
from sweeps.records import read_summary
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
    """Make a finished trial the champion. The same weights again change nothing.

    A sweep or another promotion at work in the folder is told as `Refused`.
    """
    job, outcome = choose(read_jobs(folder), trial)
    busy = f"{folder}: a sweep, or another promotion, is at work there. Wait for it."
    with alone(folder, busy=Refused(busy)):
        return _promote(folder, job, outcome, tracking=tracking, force=force, note=note.strip())


def _promote(
    folder: Path, job: Job, outcome: Outcome, *, tracking: str | None, force: bool, note: str
) -> Promotion:
    run_id = run_of(folder, job.leaf)
    place = known_place(folder, tracking, wanted=f"the run of trial {job.leaf!r}")
    client = client_at(place)
    with answering(place):
        champion, known = version_by(client, CHAMPION), versions(client)
    candidate = read_candidate(job, outcome)
    if champion and _is_of(champion, candidate):
        _tell(folder, job.leaf, champion.number)
        return Promotion(job.leaf, champion.number, ADDRESS, True, [], job.data)
    _refuse_changed_data(folder, candidate)
    problems = [
        *_headless(champion, known), *_rolled_back(known, candidate),
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
    runs = read_rows(path).set_index("trial")["run_id"]
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
    test = [_from_here(folder), "--trial", made.trial, "--test"]
    named = ["--tracking", without_secrets(tracking)] if tracking else []
    predict = ["--mr", "mr.nii.gz", "--to", "pct.nii.gz"]
    return [
        shlex.join(["pct", "promote", *test, *named]),
        shlex.join(["pct", "predict", ADDRESS, *where, *predict]),
    ]


def _is_of(champion: Version, candidate: Candidate) -> bool:
    """Whether the champion has these weights, of whichever trial; of old ones, this stage."""
    if digest := champion.tags.get(DIGEST):
        return digest == candidate.entrant.digest
    wanted = {TRIAL: candidate.job.leaf, STAGE: candidate.outcome.last_stage}
    return all(champion.tags.get(name) == value for name, value in wanted.items())


def _headless(champion: Version | None, known: Sequence[Version]) -> Iterator[str]:
    """Models were promoted, but none is champion: there is nothing to be compared with."""
    if known and champion is None:
        yield (
            f"no version is {CHAMPION}, of {len(known)} that the registry has, so nobody can tell "
            f"whether it is worse than {known[0].shown}; set the alias again in MLflow"
        )


def _weighed(candidate: Candidate, champion: Version | None, place: Place) -> list[str]:
    """What the gate has against it, beside the champion's validation scores."""
    if champion is None:
        return objections(candidate.scores, None, cases=candidate.cases)
    try:
        path = find_champion(champion.address, tracking=place.uri) / SCORES
        scores = pd.read_parquet(path)[["case", "metric", "value", *COMPARED_IN]]
    except (OSError, ValueError, KeyError, BadModel) as error:
        without = objections(candidate.scores, None, cases=candidate.cases)
        reason = type(error).__name__  # its text holds paths, which would go into the registry
        return [*without, f"the scores of the champion, {champion.shown}, cannot be read: {reason}"]
    return objections(candidate.scores, scores, cases=candidate.cases)


def _refuse_changed_data(folder: Path, candidate: Candidate) -> None:
    """Data that were prepared anew cannot say whom the trial has learnt from: not to be forced."""
    then = read_summary(folder)["data"]["digest"]
    now = candidate.model.card["data_digest"]
    if then != now:
        raise Refused(
            f"{candidate.job.data} has changed since the sweep: its digest was {then[:12]} and is "
            f"{now[:12]}. Scores, and the list of cases it was trained on, are of the old data: "
            "sweep again on the new, or prepare the old anew."
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
    if read_summary(folder).get("champion") != promoted:
        records.add_to_summary(folder, champion=promoted)
