"""The branching scheduler: hands Tune whole trials, and holds a branch back until its fork exists.

A leaf is released when no running leaf is computing something that it could share. The first leaf
below a fork thus goes on in place and its siblings follow once the fork is in the store. A custom
`Searcher` and no `TrialScheduler`, since Tune starts every pending trial at once.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.search import Searcher

from sweeps.job import Job, committed_epochs
from sweeps.source import Source

log = logging.getLogger(__name__)


class Brancher(Searcher):
    """Releases leaves to Tune in an order in which every shared stage is trained once."""

    def __init__(self, source: Source, has: Callable[[str], bool]) -> None:
        super().__init__()
        self._source, self._has = source, has
        self._waiting: list[Job] = []
        self._running: dict[str, Job] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next leaf's config; None while all wait for a running one; FINISHED at the end."""
        self._waiting += self._source.more()
        released = next((job for job in self._waiting if self._free(job)), None)
        if released is None:
            if not self._waiting and not self._running and self._source.exhausted:
                return Searcher.FINISHED
            return None
        self._waiting.remove(released)
        self._running[trial_id] = released
        log.info("released %s", released.leaf)
        return {"leaf": released.leaf, "job": released.model_dump_json()}

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """A leaf has ended: those that waited for it may go."""
        job = self._running.pop(trial_id, None)
        if job:
            self._source.settled(job.leaf)

    def _free(self, job: Job) -> bool:
        """Whether no running leaf is on the way to a stage that `job` shares and lacks."""
        committed = committed_epochs(job, self._has)
        return all(shared_epochs(job, other) <= committed for other in self._running.values())

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the stage store is the truth, a sweep goes on from there."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as for `save`."""


def shared_epochs(one: Job, other: Job) -> int:
    """Epochs from the start in which two leaves are the same run."""
    low, high = 0, min(one.run.epochs, other.run.epochs)
    while low < high:
        middle = (low + high + 1) // 2
        if one.key(middle) == other.key(middle):
            low = middle
        else:
            high = middle - 1
    return low
