"""The branching rule: which course may start now, so that every shared stage is trained once.

A course is released when no running one, of this sweep or of another on the same store, is on
the way to a stage that it could share. The first below a fork thus goes on in place, and its
siblings follow once the fork is in the store. The one with most epochs left goes first.
"""

import logging
from collections.abc import Iterable

from sweeps.source import Source, Task
from sweeps.stages import Which, committed_epochs
from sweeps.store.leases import Leases
from sweeps.store.patience import StoreError
from sweeps.tree import Course, shared_epochs

log = logging.getLogger(__name__)


class Releases:
    """Hands out the tasks of a source, each when its time has come."""

    def __init__(self, source: Source, which: Which, leases: Leases | None = None) -> None:
        self._source, self._which, self._leases = source, which, leases
        self._waiting: list[Task] = []
        self._running: dict[str, Course] = {}
        self._committed: dict[str, int] = {}
        self._told: set[str] = set()
        self._in_vain = False

    def next(self) -> Task | None:
        """A task that may start now; None while all wait for a running one, here or elsewhere.

        A store that is away lets nothing start; with nothing under way that ends the sweep.
        """
        try:
            return self._next()
        except StoreError as error:
            if not self._running:
                raise
            log.warning("nothing is released: %s", error)
            return None

    def _next(self) -> Task | None:
        while True:
            for task in sorted(self._waiting, key=self._epochs_left, reverse=True):
                if self._free(task.course, self._running.values()) and self._taken(task.course):
                    self._waiting.remove(task)
                    self._running[task.course.name] = task.course
                    log.info("released %s", task.course.name)
                    self._in_vain = False
                    return task
            # Of a batch that is blocked too, more would be asked without knowing more.
            if self._in_vain or not self._ask():
                return None
            self._in_vain = True

    @property
    def over(self) -> bool:
        """Whether every task has been handed out and has ended."""
        return not self._waiting and not self._running and self._source.exhausted

    def ended(self, name: str) -> None:
        """A task has ended, well or not: those that waited for it may go."""
        if self._running.pop(name, None):
            self._in_vain = False
            if self._leases:
                self._leases.release(name)
            self._source.settled(name)

    def _ask(self) -> bool:
        """Let the source think of more: only when nothing known is free, so it knows most then."""
        new = list(self._source.more())
        self._waiting += new
        for task in new:
            self._committed[task.course.name] = committed_epochs(task.course, self._which)
        return bool(new)

    def _epochs_left(self, task: Task) -> int:
        return task.course.epochs - self._committed[task.course.name]

    def _free(self, course: Course, others: Iterable[Course]) -> bool:
        """Whether none of `others` is on the way to a stage that `course` shares and lacks."""
        shared = max((shared_epochs(course, other) for other in others), default=0)
        if shared > self._committed[course.name] and self._which([course.key(shared)]):
            self._committed[course.name] = shared
        return shared <= self._committed[course.name]

    def _taken(self, course: Course) -> bool:
        """Whether no other sweep trains what `course` lacks; if so, others wait for it from now."""
        if self._leases is None:
            return True
        taken = self._leases.take(course, allowed=lambda others: self._free(course, others))
        if not taken and course.name not in self._told:
            self._told.add(course.name)
            log.warning("%s waits for another sweep, which trains what it shares", course.name)
        return taken
