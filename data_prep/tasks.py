"""Cases one after another in this process, or each as a single-threaded Ray task."""

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from data_prep.errors import PctError
from data_prep.one_case import prepare_case
from data_prep.records import CaseRecord, Job

_PATIENCE_S = 5.0


class BadAddress(PctError):
    """A Ray cluster that does not answer, or an address that is none."""


@dataclass(frozen=True)
class Tasks:
    """How many cases are under way at a time, and where; below 2 and without address: here."""

    num: int = 0
    address: str | None = None
    """A running Ray cluster (`auto`: this node's) whose nodes see the same folders."""


HERE = Tasks()


def refuse_dead(address: str | None) -> None:
    """Raise `BadAddress` where nothing listens; Ray itself would try for minutes.

    `auto` and `local` are left to Ray.
    """
    if address in (None, "auto", "local"):
        return
    try:
        found = urlsplit(f"//{str(address).removeprefix('ray://')}")
        host, port = (found.hostname or "").encode("idna").decode(), found.port or 0
    except ValueError:  # of a name with an empty part, too
        host, port = "", 0
    if not (host and port):
        raise BadAddress(
            f"--address {address}: expected auto, local, HOST:PORT or ray://HOST:PORT."
        )
    try:
        socket.create_connection((host, port), timeout=_PATIENCE_S).close()
    except OSError as error:
        raise BadAddress(
            f"--address {address}: nothing answers there ({error.strerror or error}). Start the "
            "cluster, or leave out --address."
        ) from error


def run_jobs(jobs: Sequence[Job], tasks: Tasks) -> Iterator[CaseRecord]:
    """Records of `jobs`, in no fixed order. Without an address Ray runs on this machine alone."""
    if len(jobs) < 2 or (tasks.num < 2 and tasks.address is None):
        yield from map(prepare_case, jobs)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    ours = not ray.is_initialized()
    if ours:
        own = {"num_cpus": tasks.num, "include_dashboard": False} if not tasks.address else {}
        ray.init(address=tasks.address or "local", logging_level="warning", **own)
    try:
        task = ray.remote(num_cpus=1)(prepare_case)  # Ray sets OMP_NUM_THREADS to num_cpus
        at_a_time = tasks.num or int(ray.cluster_resources().get("CPU", 1))
        waiting = list(reversed(jobs))
        pending: dict[Any, Job] = {}
        while waiting or pending:
            while waiting and len(pending) < at_a_time:
                job = waiting.pop()
                pending[task.remote(job)] = job
            for ref in ray.wait(list(pending))[0]:
                yield _result(ref, pending.pop(ref))
    finally:
        if ours:
            ray.shutdown()


def _result(ref: Any, job: Job) -> CaseRecord:
    """What the task gave. A case whose process died is refused until the next run tries it."""
    import ray

    try:
        record: CaseRecord = ray.get(ref)
        return record
    except ray.exceptions.RayTaskError:
        raise  # a fault of ours, with its traceback
    except ray.exceptions.RayError as error:
        reason = (
            f"its task died, also when tried again ({type(error).__name__}): too little memory? "
            "Run again with fewer --workers"
        )
        return CaseRecord(job.subject, job.key, reason=reason)
