"""Where the tasks of a sweep come from."""

from collections.abc import Sequence
from typing import Any, Protocol

from sweeps.tree import Course


class Task(Protocol):
    """One course to train, and what its trainer is told."""

    @property
    def course(self) -> Course:
        """What the engine has to know."""
        ...

    @property
    def config(self) -> dict[str, Any]:
        """Plain values, for the trainer."""
        ...


class Source(Protocol):
    """A recipe's list of leaves, or the points of a search."""

    def more(self) -> Sequence[Task]:
        """New tasks, perhaps none for now. Asked only when no known one can start."""
        ...

    def settled(self, name: str) -> None:
        """A task has ended, well or not."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether no more will come."""
        ...


class Listed:
    """A fixed list of tasks."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks: Sequence[Task] = list(tasks)

    def more(self) -> Sequence[Task]:
        """All of them, once."""
        tasks, self._tasks = self._tasks, []
        return tasks

    def settled(self, name: str) -> None:
        """Nothing follows from it."""

    @property
    def exhausted(self) -> bool:
        """After the first call of `more`."""
        return not self._tasks

    @property
    def anything(self) -> bool:
        """Whether there is a task at all."""
        return bool(self._tasks)
