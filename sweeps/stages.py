"""A course's way through the store: where it can go on from, and committing what has finished."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Set

from sweeps.store.refs import wanted
from sweeps.store.store import Damaged, Missing, Store
from sweeps.tree import Course

log = logging.getLogger(__name__)

Which = Callable[[Iterable[str]], Set[str]]
"""Those of some keys that are in the store."""


def snapshots(epochs: int, cuts: Iterable[int]) -> tuple[int, ...]:
    """Epochs to keep: forks, every tenth (every one of a run of at most 12), and the last."""
    step = 1 if epochs <= 12 else 10
    return tuple(sorted({*range(step, epochs, step), *(c for c in cuts if c < epochs), epochs}))


def committed_epochs(course: Course, which: Which, *, upto: int | None = None) -> int:
    """The longest prefix of a course that is in the store, of at most `upto` epochs."""
    keys = course.all_keys()[:upto]
    held = which(keys)
    return max((epoch for epoch, key in enumerate(keys, 1) if key in held), default=0)


def go_on_from(
    course: Course, store: Store, *, upto: int | None = None
) -> tuple[int, dict[str, bytes]]:
    """Finished epochs and files of the longest whole stage; (0, {}) where there is none.

    A stage damaged since it was committed is set aside, to be trained anew.
    """
    while epoch := committed_epochs(course, store.which, upto=upto):
        try:
            return epoch, store.get_all(course.key(epoch))
        except Missing:
            continue  # dropped since we looked, where there are no leases: look again
        except Damaged as error:
            log.warning("%s goes on from before epoch %d: %s", course.name, epoch, error)
            store.set_aside(course.key(epoch), str(error))
    return 0, {}


class Commits:
    """Commits epochs of one course; of those that nobody keeps, only the latest stays."""

    def __init__(
        self, course: Course, store: Store, *, keep: Collection[int], own: str | None = None
    ) -> None:
        """`own` is a passing stage that this course left when it was broken off, if any."""
        self._course, self._store, self._keep, self._passing = course, store, set(keep), own

    def __call__(self, finished: int, files: Mapping[str, bytes]) -> None:
        """Commit the epoch just finished; the one before goes once this one is safe.

        Stages of other runs, and those at which another sweep wants to fork, are not touched.
        """
        key = self._course.key(finished)
        wrote = self._store.put(key, files)
        if self._passing and self._passing != key and self._passing not in wanted(self._store):
            self._store.drop(self._passing)
        self._passing = key if wrote and finished not in self._keep else None
