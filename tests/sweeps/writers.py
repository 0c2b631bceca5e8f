"""Programs that write to one tracking place at the same time."""

import multiprocessing
from collections.abc import Callable

from sweeps import spool
from sweeps.labels import card, sweep_name
from sweeps.recipe import Recipe
from sweeps.search.space import Search
from sweeps.sweep import prepare_sweep
from sweeps.tracking import Place, Tracker
from tests.data_folder import SIZE

Work = Callable[[Place, int], None]

EPOCHS, METRICS = 12, 20


def all_at_once(work: Work, place: Place, count: int) -> list[int]:
    """Do the work in `count` processes; their exit codes. They share one process' imports."""
    context = multiprocessing.get_context("spawn")
    found = context.SimpleQueue()
    parent = context.Process(target=_fork, args=(work, place, count, found))
    parent.start()
    parent.join()
    return found.get() if parent.exitcode == 0 else [parent.exitcode]


def _fork(work: Work, place: Place, count: int, found) -> None:
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(count)
    children = [context.Process(target=_pass, args=(gate, work, place, n)) for n in range(count)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    found.put([child.exitcode for child in children])


def _pass(gate, work: Work, place: Place, number: int) -> None:
    gate.wait()
    work(place, number)


def begin_sweep(place: Place, number: int) -> None:
    """First contact, and the run of a sweep."""
    Tracker(place, experiment="shared", sweep=f"s{number}", tags={})


def write_sweep(place: Place, number: int) -> None:
    """A sweep of one trial whose epochs come one by one, each sent at once."""
    folder = place.artifacts.parent / f"writer-{number}"
    settings = {"epochs": EPOCHS, "data": {"size": SIZE}}
    recipe = Recipe("writers", "smoke", settings, {"only": {}}, (), {}, Search())
    sweep = prepare_sweep(recipe, data=place.artifacts.parent / "data", folder=folder)
    (job,) = sweep.jobs
    tracker = Tracker(place, experiment="shared", sweep=sweep_name(sweep), tags={})
    job.spool.parent.mkdir(parents=True, exist_ok=True)
    spool.begin(job.spool, job.last_key)
    tracker.register(job, card(job, sweep))
    for epoch in range(1, EPOCHS + 1):
        more = {f"loss/{n}": float(epoch) for n in range(METRICS)}
        row = {"epoch": epoch, "time": 1e9 + epoch, "val/psnr_masked": number + epoch, **more}
        spool.add_epochs(job.spool, [row], carried=False)
        tracker.drain()
    assert tracker.finish(failed=False) == ""
