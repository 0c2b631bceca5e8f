"""A sweep's side of the stage store: what it needs is told, what it leaves over is cleared away."""

import socket
from collections.abc import Sequence

from sweeps.job import Job, failed, read_outcome, write_outcome
from sweeps.leases import Leases
from sweeps.refs import LeafRef, Ref, drop_ref, read_refs, wanted, write_ref
from sweeps.stages import committed_epochs
from sweeps.store import Store, StoreError


def tell_needs(store: Store, sweep: str, folder: str, jobs: Sequence[Job]) -> None:
    """Name the stages of all leaves as this sweep's, so that no one removes them.

    Refs of sweeps that were in the same folder before (other data, another recipe) end.
    """
    host = socket.gethostname()
    for ref in read_refs(store):
        if (ref.folder, ref.host) == (folder, host) and ref.sweep != sweep:
            drop_ref(store, ref.sweep)
    leaves = {
        job.leaf: LeafRef(keys=tuple(job.course.all_keys()), snapshots=job.snapshots)
        for job in jobs
    }
    tell(store, sweep, folder, leaves)


def tell(store: Store, sweep: str, folder: str, leaves: dict[str, LeafRef]) -> None:
    """Name the stages of a sweep's leaves as needed."""
    write_ref(store, Ref(sweep=sweep, folder=folder, host=socket.gethostname(), leaves=leaves))


def needed_by(jobs: Sequence[Job]) -> set[str]:
    """Keys that the sweep's own leaves need: snapshots, and all that an unfinished one may have."""
    return {
        key
        for job in jobs
        for key in (job.course.all_keys() if _unfinished(job) else map(job.key, job.snapshots))
    }


def clear_leftovers(
    store: Store, mine: set[str], *, needed: set[str], leases: Leases | None
) -> None:
    """Of `mine`, remove what killed workers left: passing stages, half-written files.

    What is `needed`, what any sweep wants, and what another trains now stays.
    """
    busy = {key for course in leases.others() for key in course.all_keys()} if leases else set()
    idle = mine - busy
    for key in store.which(idle - needed - wanted(store)):
        store.drop(key)
    store.tidy(sorted(idle))


def break_off(job: Job, reason: str) -> None:
    """Write that a leaf has FAILED, after the epochs that the store holds of it.

    A store that is away now counts as holding none; nothing is lost by that.
    """
    try:
        reached = committed_epochs(job.course, Store(job.store, patience=0.0).has)
    except StoreError:
        reached = 0
    write_outcome(job, failed(job, reason, reached))


def _unfinished(job: Job) -> bool:
    outcome = read_outcome(job)
    return outcome is None or outcome.status != "FINISHED"
