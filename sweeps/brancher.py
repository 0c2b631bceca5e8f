"""The branching scheduler as Ray Tune sees it: a `Searcher` that hands over whole trials.

It is no `TrialScheduler`, since Tune starts every pending trial at once and cannot hold one back.
"""

from collections.abc import Mapping
from typing import Any

from ray.tune.search import Searcher

from sweeps.release import Releases


class Brancher(Searcher):
    """Releases leaves to Tune in an order in which every shared stage is trained once."""

    def __init__(self, releases: Releases) -> None:
        super().__init__()
        self._releases = releases
        self._names: dict[str, str] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next leaf's config; None while all wait for a running one; FINISHED at the end."""
        task = self._releases.next()
        if task is None:
            return Searcher.FINISHED if self._releases.over else None
        self._names[trial_id] = task.course.name
        return task.config

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """A leaf has ended: those that waited for it may go."""
        name = self._names.pop(trial_id, None)
        if name:
            self._releases.ended(name)

    def __getstate__(self) -> dict[str, Any]:
        """For Tune's own snapshot, which nothing is restored from: see `save`."""
        return {**self.__dict__, "_releases": None}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the stage store is the truth, a sweep goes on from there."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as for `save`."""
