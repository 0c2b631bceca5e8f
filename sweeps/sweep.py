"""`pct sweep`: recipe, data and what is there already -> finished leaves and the sweep's tables."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data_prep.schema import Manifest
from data_prep.shards import read_manifest
from pct.config import NUMERICS, Run, suggest
from pct.cost import refuse_above_budget
from pct.metrics.names import METRICS
from pct.needs import WrongData, check_fit
from pct.precision import Precision, settle_precision
from pct.scoring.declared import declare
from sweeps import labels, records, spool
from sweeps.job import Job, Outcome, failed, read_outcome, snapshots, write_json, write_outcome
from sweeps.points import Points
from sweeps.recipe import Leaf, Recipe, leaves_at
from sweeps.replay import copy_twin, forget
from sweeps.runner import run_here, run_on_ray
from sweeps.source import Listed
from sweeps.space import corner
from sweeps.store import Store
from sweeps.tracking import Draining, Place, Tracker
from sweeps.tree import Stage, build_tree, identity, path_of, twins, unique_epochs


@dataclass(frozen=True)
class Sweep:
    """A recipe, the data it runs on, and the leaves known so far (a search adds more)."""

    recipe: Recipe
    folder: Path
    data: Path
    manifest: Manifest
    store: Store
    leaves: tuple[Leaf, ...]

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What, beside the run itself, decides its numbers."""
        return {"data": self.manifest.digest, "numerics": NUMERICS, "torch": version("torch")}

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The roots of the stage tree."""
        return build_tree(self.leaves, self.environment)

    @cached_property
    def same(self) -> dict[str, str]:
        """Leaf -> the leaf that trains for it (itself, for most)."""
        return twins(self.leaves, self.environment)

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """The leaves as workers receive them."""
        return tuple(self._job(leaf) for leaf in self.leaves)

    def _job(self, leaf: Leaf) -> Job:
        cuts = tuple(stage.last for stage in path_of(leaf.name, self.stages))
        return Job(
            leaf=leaf.name,
            run=leaf.run,
            base=identity(leaf.run, self.environment),
            data=str(self.data.resolve()),
            store=self.store.root,
            folder=str(self.folder.resolve()),
            snapshots=snapshots(leaf.run, cuts),
        )

    def of(self, leaves: Sequence[Leaf]) -> "Sweep":
        """The same sweep with these leaves, checked against the data."""
        for leaf in leaves:
            check_fit(leaf.run, self.manifest, self.data, name=leaf.name)
            refuse_above_budget(leaf.run)
        return replace(self, leaves=tuple(_resolved(leaf, self.folder) for leaf in leaves))


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


def prepare_sweep(recipe: Recipe, *, data: Path, folder: Path, store: str | None = None) -> Sweep:
    """Check the recipe against the data and lay out its leaves; those of a search come later."""
    if recipe.claim:
        _check_metric(recipe.claim.on)
    place = Store(store or str((folder / ".." / "stages").resolve()))
    sweep = Sweep(recipe, folder, data, read_manifest(data), place, ())
    checked = sweep.of(leaves_at(recipe, corner(recipe.space, "low")))
    return sweep if recipe.space else checked


def _check_metric(name: str) -> None:
    if name not in METRICS:
        raise WrongData(f"claim: no metric {name!r}{suggest(name, list(METRICS))}")


def run_sweep(
    sweep: Sweep,
    place: Place,
    *,
    here: bool = False,
    address: str = "local",
    max_concurrent: int | None = None,
    on_tick: Callable[[], None] = lambda: None,
) -> Result:
    """Train what is missing, track it, and write the sweep's tables. Again = go on from there."""
    with alone(sweep.folder):
        if sweep.recipe.claim:
            declare(sweep.folder, sweep.recipe.claim)
        return _run(sweep, place, here, address, max_concurrent, on_tick)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the sweep's folder; a second sweep in it is told so."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise WrongData(
            f"{folder}: another pct sweep is running there. Wait for it, or choose another --to."
        ) from error


def _run(
    sweep: Sweep,
    place: Place,
    here: bool,
    address: str,
    max_concurrent: int | None,
    on_tick: Callable[[], None],
) -> Result:
    tracker = Tracker(
        place,
        experiment=f"pct/{sweep.data.name}-{sweep.recipe.name}",
        sweep=labels.sweep_name(sweep),
        tags=labels.sweep_tags(sweep),
    )
    source: Listed | Points
    if sweep.recipe.space:
        source = Points(sweep, begin=lambda part: begin(part, tracker))
    else:
        source = Listed(begin(sweep, tracker))
    with Draining(tracker, also=on_tick):
        if source.anything and here:
            run_here(source)
        elif source.anything:
            need, slots = _neediest(sweep), max_concurrent
            run_on_ray(
                source, sweep.store, sweep.folder, need=need, address=address, max_concurrent=slots
            )
        whole = sweep.of(source.leaves) if isinstance(source, Points) else sweep
        outcomes = _settle(whole)
    _close_runs(whole, outcomes, tracker)
    return _write_tables(whole, outcomes, tracker)


def _close_runs(sweep: Sweep, outcomes: dict[str, Outcome], tracker: Tracker) -> None:
    """End the MLflow run of every leaf, then the sweep's own."""
    for job in sweep.jobs:
        if job.leaf not in tracker.run_ids:  # of a point that an earlier session settled
            tracker.register(job, params=labels.run_params(job), tags=labels.trial_tags(job, sweep))
        tracker.close(job, outcomes[job.leaf])
    tracker.close_sweep(failed=any(o.status == "FAILED" for o in outcomes.values()))


def begin(sweep: Sweep, tracker: Tracker) -> list[Job]:
    """Register the leaves' runs; those that have to be trained, a twin's only once."""
    todo = [job for job in sweep.jobs if not _finished(job)]
    for job in todo:
        _clear(job)
    for job in sweep.jobs:
        tracker.register(job, params=labels.run_params(job), tags=labels.trial_tags(job, sweep))
    return [job for job in todo if sweep.same[job.leaf] == job.leaf]


def _neediest(sweep: Sweep) -> Run:
    """The run that asks for most CPUs."""
    leaves = sweep.leaves or leaves_at(sweep.recipe, corner(sweep.recipe.space, "low"))
    return max((leaf.run for leaf in leaves), key=lambda run: run.workers * run.threads)


def _write_tables(sweep: Sweep, outcomes: dict[str, Outcome], tracker: Tracker) -> Result:
    records.write_recipe(sweep.folder, sweep.recipe, sweep.jobs)
    history = records.write_history(sweep.folder, sweep.jobs)
    records.write_scores(sweep.folder, sweep.jobs)
    paths = {job.leaf: path_of(job.leaf, sweep.stages) for job in sweep.jobs}
    records.write_trials(sweep.folder, sweep.jobs, outcomes, paths, sweep.same, tracker.run_ids)
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


def _resolved(leaf: Leaf, folder: Path) -> Leaf:
    """`precision: auto` and `init` settled once a sweep, by the driver's machine."""
    run = leaf.run
    if run.precision == "auto":
        precision = _written_precision(folder / "precision.json", run)
        run = run.model_copy(update={"precision": precision})
    if run.init and not run.init.digest:
        from pct.given import settle_init  # loads torch, which a driver does without

        run = run.model_copy(update={"init": settle_init(run.init)})
    return Leaf(leaf.name, run, leaf.point)


def _written_precision(path: Path, run: Run) -> Precision:
    """What `auto` came to in this sweep: from its file if it has one, so a resume agrees."""
    if not path.exists():
        write_json(path, {"auto": settle_precision(run)})
    precision: Precision = json.loads(path.read_text())["auto"]
    return precision


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
            copy_twin(job, twin, outcomes[twin.leaf], sweep.store)
        outcome = read_outcome(job)
        if outcome is None:
            outcome = failed(job, "broke off without an outcome; see the Ray logs")
            write_outcome(job, outcome)
        outcomes[job.leaf] = outcome
    return outcomes
