"""One session of a sweep: what is missing is trained, tracked, and laid out in tables."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pct.alone import alone as hold
from pct.config import Run
from pct.needs import WrongData
from pct.scoring.declared import declare
from sweeps import labels, records, spool
from sweeps.changed import has_other_data, why_anew, write_environment
from sweeps.every import Every
from sweeps.job import Job, Outcome, failed, read_outcome, write_outcome
from sweeps.keeping import clear_leftovers, end_needs_of_others, needed_by, tell_needs
from sweeps.recipe import leaves_at
from sweeps.replay import copy_twin, forget, forget_cases
from sweeps.runner import Where, run_here, run_on_ray
from sweeps.search.points import Points, open_study
from sweeps.search.space import corner
from sweeps.source import Listed
from sweeps.store.leases import Leases, leases_on
from sweeps.sweep import Sweep
from sweeps.tracking import Place, Tracker
from sweeps.tree import unique_epochs


@dataclass(frozen=True)
class Result:
    """What `pct sweep` reports."""

    outcomes: dict[str, Outcome]
    trained_epochs: int
    unique_epochs: int
    written_epochs: int
    sweep: str
    experiment_id: str
    selected_by: str


def run_sweep(
    sweep: Sweep,
    place: Place,
    where: Where = Where(),  # noqa: B008  frozen
    *,
    on_tick: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda line: None,
) -> Result:
    """Train what is missing, track it, and write the sweep's tables. Again = go on from there.

    `on_tick` is called about every second, `tell` with what the user should know.
    """
    with alone(sweep.folder):
        if sweep.recipe.claim:
            declare(sweep.folder, sweep.recipe.claim)
        for line in _why_anew(sweep):
            tell(line)
        if has_other_data(sweep.folder, sweep.environment):
            forget_cases(sweep.folder)
        write_environment(sweep.folder, sweep.environment)
        with leases_on(sweep.store, labels.sweep_name(sweep)) as leases:
            return _run(sweep, place, where, leases, on_tick, tell)


def _why_anew(sweep: Sweep) -> list[str]:
    return why_anew(sweep.folder, sweep.jobs, sweep.environment, sweep.store.which)


def alone(folder: Path) -> AbstractContextManager[None]:
    """Hold the sweep's folder; a second sweep in it is told so."""
    busy = f"{folder}: another pct sweep is running there. Wait for it, or choose another --to."
    return hold(folder, busy=WrongData(busy))


def _run(
    sweep: Sweep,
    place: Place,
    where: Where,
    leases: Leases | None,
    on_tick: Callable[[], None],
    tell: Callable[[str], None],
) -> Result:
    if sweep.recipe.space:
        open_study(sweep)  # one of another search is refused before anything is made
    with _tracker(sweep, place) as tracker:
        source = _source(sweep, tracker)
        with Every(1.0, tracker.drain), Every(1.0, on_tick):
            if source.anything and where.here:
                run_here(source, sweep.store, leases)
            elif source.anything:
                run_on_ray(
                    source, sweep.store, sweep.folder,
                    runs=_runs(sweep), where=where, leases=leases,
                )  # fmt: skip
            whole = sweep.of(source.leaves) if isinstance(source, Points) else sweep
            outcomes = _settle(whole)
        mine = {key for job in whole.jobs for key in job.course.all_keys()}
        clear_leftovers(
            whole.store, labels.sweep_name(whole), mine, needed=needed_by(whole.jobs), leases=leases
        )
        if behind := _finish_tracking(whole, outcomes, tracker):
            tell(behind)
    return _write_tables(whole, outcomes, tracker)


def _tracker(sweep: Sweep, place: Place) -> Tracker:
    return Tracker(
        place,
        experiment=f"pct/{sweep.data.name}-{sweep.recipe.name}",
        sweep=labels.sweep_name(sweep),
        tags=labels.sweep_tags(sweep),
    )


def _source(sweep: Sweep, tracker: Tracker) -> Listed | Points:
    """Where the leaves come from; each is told to the store and to tracking before it is run."""
    if not sweep.recipe.space:
        return Listed(begin(sweep, sweep, tracker))
    points = Points(sweep, begin=lambda part: begin(part, sweep.of(points.leaves), tracker))
    return points


def _finish_tracking(sweep: Sweep, outcomes: dict[str, Outcome], tracker: Tracker) -> str:
    """End the MLflow run of every leaf, then the sweep's own. What to tell of it, or ""."""
    for job in sweep.jobs:
        if job.leaf not in tracker.run_ids:  # of a point that an earlier session settled
            tracker.register(job, labels.card(job, sweep))
    return tracker.finish(failed=any(o.status == "FAILED" for o in outcomes.values()))


def begin(part: Sweep, whole: Sweep, tracker: Tracker) -> list[Job]:
    """Announce the leaves of `part`; those that have to be trained, a twin's only once.

    `whole` is the sweep as far as it is known: all its leaves' stages are needed.
    """
    records.write_jobs(whole.folder, whole.jobs)
    needs = [(job.course, job.snapshots) for job in whole.jobs]
    name, folder = labels.sweep_name(whole), str(whole.folder.resolve())
    end_needs_of_others(whole.store, name, folder)
    tell_needs(whole.store, name, folder, needs)
    todo = [job for job in part.jobs if not _finished(job)]
    for job in todo:
        _clear(job)
    for job in part.jobs:
        tracker.register(job, labels.card(job, part))
    return [job for job in todo if part.same[job.leaf] == job.leaf]


def _runs(sweep: Sweep) -> list[Run]:
    """Every kind of run that may come, as far as workers and threads go."""
    leaves = sweep.leaves or leaves_at(sweep.recipe, corner(sweep.recipe.space, "low"))
    return list({(leaf.run.workers, leaf.run.threads): leaf.run for leaf in leaves}.values())


def _write_tables(sweep: Sweep, outcomes: dict[str, Outcome], tracker: Tracker) -> Result:
    records.write_recipe(sweep.folder, sweep.recipe, sweep.jobs)
    history = records.write_history(sweep.folder, sweep.jobs)
    records.write_scores(sweep.folder, sweep.jobs)
    records.write_cases(sweep.folder, sweep.data)
    records.write_trials(
        sweep.folder, sweep.jobs, outcomes, sweep.paths, sweep.same, tracker.run_ids
    )
    own = history[~history["carried"]].drop_duplicates(["trial", "epoch"])
    result = Result(
        outcomes=outcomes, trained_epochs=len(own), unique_epochs=unique_epochs(sweep.stages),
        written_epochs=sum(outcome.epochs for outcome in outcomes.values()),
        sweep=labels.sweep_name(sweep),
        experiment_id=tracker.experiment_id, selected_by=sweep.jobs[0].run.select.metric,
    )  # fmt: skip
    records.write_summary(sweep.folder, labels.summary(sweep, result))
    return result


def done_epochs(folder: Path) -> int:
    """Epochs that the sweep's trials have trained themselves so far."""
    return sum(
        not line["carried"]
        for path in (folder / "spool").glob("*.jsonl")
        for line in spool.epochs(path)
    )


def _finished(job: Job) -> bool:
    outcome = read_outcome(job)
    return outcome is not None and outcome.status == "FINISHED"


def _clear(job: Job) -> None:
    """Forget a failure, and the records of another run that once had this name."""
    if spool.run_of(job.spool) != job.last_key:
        forget(job)
    job.outcome.unlink(missing_ok=True)


def _settle(sweep: Sweep) -> dict[str, Outcome]:
    """Every leaf's outcome; twins get theirs from the leaf that trained for them."""
    by_name = {job.leaf: job for job in sweep.jobs}
    outcomes: dict[str, Outcome] = {}
    for job in sorted(sweep.jobs, key=lambda job: sweep.same[job.leaf] != job.leaf):
        twin = by_name[sweep.same[job.leaf]]
        if twin is not job and read_outcome(job) is None:
            copy_twin(job, twin, outcomes[twin.leaf])
        outcome = read_outcome(job)
        if outcome is None:
            outcome = failed(job, "broke off without an outcome; see the Ray logs")
            write_outcome(job, outcome)
        outcomes[job.leaf] = outcome
    return outcomes
