"""A small sweep with a fork that faults befall, and what must hold once it has survived them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from ruamel.yaml import YAML

from sweeps import spool
from sweeps.job import Job
from sweeps.recipe import Recipe
from sweeps.search.space import Search
from sweeps.sweep import Sweep, prepare_sweep
from sweeps.tracking import Place, client_at
from tests.data_folder import SIZE
from tests.sweeps.unhurt import difference, last_state, litter
from tests.sweeps.watched import begun, planned

EPOCHS = 5
FORKED = {
    "ngf": {"schedule": {"lambda_ngf": {0: 20, 2: {"keep": 20, "drop": 0}}}},
    "never": {"schedule": {"lambda_ngf": 0}},
}
"""Three leaves, 15 epochs written, 13 to train."""

SETTINGS = {"epochs": EPOCHS, "data": {"size": SIZE}, "val": {"slices": 1}, "seed": 3}

TRIAL, WORKER = "ray::ImplicitFunc", "ray::RayTrainWorker"
"""How Ray calls the process of a trial and that of a training worker."""


def forked_sweep(
    folder: Path, data: Path, trials: Mapping[str, Any] = FORKED, *, store: str | None = None
) -> Sweep:
    """A sweep of the `smoke` preset on the tiny data."""
    recipe = Recipe("faults", "smoke", SETTINGS, dict(trials), (), {}, Search())
    return prepare_sweep(recipe, data=data, folder=folder, store=store)


def write_recipe(path: Path, trials: Mapping[str, Any] = FORKED) -> Path:
    """The same sweep as a file, for the command line."""
    YAML().dump({"base": "smoke", **SETTINGS, "trials": dict(trials)}, path)
    return path


def until(condition: Callable[[], Any], *, seconds: float = 240) -> Any:
    """What the condition gives once it holds; fails if it does not in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in {seconds} s: {condition}"
        time.sleep(0.1)
    return found


def processes(kind: str, *, parent: int | None = None) -> list[psutil.Process]:
    """Processes below this one (or `parent`) whose command line names the kind."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            if kind in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            pass
    return found


def job_of(sweep: Sweep, leaf: str) -> Job:
    return next(job for job in sweep.jobs if job.leaf == leaf)


def trial_of(leaf: str) -> psutil.Process:
    """The process of a leaf's Tune trial, which drives its workers."""
    (found,) = (process for process in processes(TRIAL) if Path(process.cwd()).name == leaf)
    return found


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Another thread acts; what it raises is raised here in the end."""
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(action)
        yield
        acting.result(timeout=60)


def told(job: Job) -> list[int]:
    """Epochs in a leaf's spool."""
    return [line["epoch"] for line in spool.epochs(job.spool)]


def assert_survived(
    sweep: Sweep,
    *,
    tracking: Place,
    expected: Mapping[str, Mapping[str, Any]],
    failed: Mapping[str, tuple[str, int]] = {},
) -> None:
    """Each leaf FINISHED equal to the undisturbed run, or FAILED with its reason and epochs.

    Each epoch stands once in the spool and once in MLflow; nothing half-written is left.
    """
    trials = pd.read_parquet(sweep.folder / "trials.parquet").set_index("trial")
    assert sorted(trials.index) == sorted(job.leaf for job in sweep.jobs)
    for job in sweep.jobs:
        row = trials.loc[job.leaf]
        reason, epochs = failed.get(job.leaf, ("", job.run.epochs))
        assert row["status"] == ("FAILED" if job.leaf in failed else "FINISHED"), row["reason"]
        assert reason in row["reason"]
        assert row["epochs"] == epochs
        steps = list(range(1, epochs + 1))
        assert told(job) == steps, job.leaf
        assert tracked(row["run_id"], tracking) == (row["status"], steps), job.leaf
        if job.leaf not in failed:
            assert not difference(last_state(job), expected[job.leaf])
    assert_nothing_left(sweep)


def tracked(run_id: str, tracking: Place) -> tuple[str, list[int]]:
    """Status and steps of a run in MLflow."""
    client = client_at(tracking)
    points = client.get_metric_history(run_id, "val/psnr_masked")
    return client.get_run(run_id).info.status, [point.step for point in points]


def assert_nothing_left(sweep: Sweep) -> None:
    """No half-written file, no stage that no leaf keeps, none lost."""
    assert litter(sweep.folder, list(sweep.jobs)) == []


def assert_trained(log: Path, sweep: Sweep, *, since: int = 0, again: int = 0) -> None:
    """All epochs were trained: each once, and at most `again` begun once more."""
    counts = Counter(begun(log)[since:])
    wanted = planned(sweep.jobs)
    assert wanted == {key for key in counts if key in wanted}
    assert counts.total() - len(wanted) <= again, counts


def expect_no_process(kind: str, *, parent: int | None = None) -> None:
    """Ray ends a trial's processes a moment after the trial."""
    try:
        until(lambda: not processes(kind, parent=parent), seconds=30)
    except AssertionError:
        pytest.fail(f"still there: {processes(kind, parent=parent)}")
