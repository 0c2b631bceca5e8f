"""A sweep's side of the stage store: what it needs is told, what it leaves over is cleared away."""

from collections.abc import Iterable, Sequence

from sweeps.job import Job, failed, read_outcome, write_outcome
from sweeps.stages import committed_epochs
from sweeps.store.leases import Leases
from sweeps.store.needs import needs_of
from sweeps.store.refs import LeafRef, Ref, drop_ref, read_refs, this_host, wanted, write_ref
from sweeps.store.store import Store, StoreError
from sweeps.tree import Course


def tell_needs(
    store: Store, sweep: str, folder: str, leaves: Iterable[tuple[Course, Sequence[int]]]
) -> None:
    """Name the stages of all leaves, and their snapshots, as this sweep's: no one removes them."""
    needs = {
        course.name: LeafRef(keys=tuple(course.all_keys()), snapshots=tuple(snapshots))
        for course, snapshots in leaves
    }
    write_ref(store, Ref(sweep=sweep, folder=folder, host=this_host(), leaves=needs))


def end_needs_of_others(store: Store, sweep: str, folder: str) -> None:
    """Forget sweeps that were in the same folder before: of other data, or another recipe."""
    here = (folder, this_host())
    for ref in read_refs(store):
        if (ref.folder, ref.host) == here and ref.sweep != sweep:
            drop_ref(store, ref.sweep)


def needed_by(jobs: Sequence[Job]) -> set[str]:
    """Keys that the sweep's own leaves need: snapshots and the last, and all of an unfinished one.

    A leaf that patience has ended has its last stage where no snapshot was planned.
    """
    found: set[str] = set()
    for job in jobs:
        outcome = read_outcome(job)
        if outcome is None or outcome.status != "FINISHED":
            found.update(job.course.all_keys())
        else:
            found.update((*map(job.key, job.snapshots), outcome.last_stage))
    return found


def clear_leftovers(
    store: Store, sweep: str, mine: set[str], *, needed: set[str], leases: Leases | None
) -> None:
    """Of `mine`, remove what killed workers left: passing stages, half-written files.

    What is `needed`, what another sweep needs or trains now stays. Nobody starts meanwhile. Without
    leases, as on an object store, nothing is removed: `pct store gc` does so after an hour.
    """
    if leases is None:
        return

    def clear(others: Sequence[Course]) -> None:
        idle = mine - {key for course in others for key in course.all_keys()}
        for key in store.which(idle - needed - _needed_by_others(store, sweep)):
            store.drop(key)
        store.tidy(sorted(idle))

    leases.alone_with(clear)


def _needed_by_others(store: Store, sweep: str) -> frozenset[str]:
    others = [ref for ref in read_refs(store) if ref.sweep != sweep]
    return wanted(store) | {key for ref in others for key, _ in needs_of(ref)}


def break_off(job: Job, reason: str) -> None:
    """Write that a leaf has FAILED, after the epochs that the store holds of it.

    A store that is away now counts as holding none; nothing is lost by that.
    """
    try:
        store = Store(job.store, patience=0.0, must_exist=True)
        reached = committed_epochs(job.course, store.which)
    except StoreError:
        reached = 0
    write_outcome(job, failed(job, reason, reached))
