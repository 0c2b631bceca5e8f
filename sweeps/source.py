"""Where the leaves of a sweep come from."""

from collections.abc import Sequence
from typing import Protocol

from sweeps.job import Job


class Source(Protocol):
    """A recipe's list of leaves, or the points of a search."""

    def more(self) -> Sequence[Job]:
        """New leaves to run, perhaps none for now."""
        ...

    def settled(self, leaf: str) -> None:
        """A leaf has ended, well or not."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether no more will come."""
        ...


class Listed:
    """A fixed list of leaves, the one with the most epochs first."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs: Sequence[Job] = sorted(jobs, key=lambda job: -job.run.epochs)

    def more(self) -> Sequence[Job]:
        """All of them, once."""
        jobs, self._jobs = self._jobs, []
        return jobs

    def settled(self, leaf: str) -> None:
        """Nothing follows from it."""

    @property
    def exhausted(self) -> bool:
        """After the first call of `more`."""
        return not self._jobs

    @property
    def anything(self) -> bool:
        """Whether there is a leaf to train."""
        return bool(self._jobs)
