"""Who trains what on a store, now: sweeps that share a prefix at the same time train it once.

    ROOT/leases/OWNER.json     one a sweep under way: its running courses and their keys

The driver writes it under a lock and touches it every few seconds. One whose process is gone, or
that was not touched for a minute, holds nobody back. On an object store, which knows no exclusive
creation, there are none: two sweeps at once are never wrong there, but may train a stage twice.
"""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from data_prep.atomic import renamed
from sweeps.store.patience import StoreError, is_away
from sweeps.store.store import Store
from sweeps.tree import Course, course_from

log = logging.getLogger(__name__)

FOLDER = "leases"
BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0

Found = TypeVar("Found")


class Leases:
    """The running courses of one sweep; a context that keeps them alive and ends them.

    While the store is away they wait for it; on a full disk a sweep goes on without them.
    """

    def __init__(self, store: Store, owner: str) -> None:
        self._store, self.owner = store, owner
        self._folder = Path(store.files.root) / FOLDER
        self._path = self._folder / f"{owner}-{socket.gethostname()}-{os.getpid()}.json"
        self._courses: dict[str, Course] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Leases":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._if_there(lambda: self._path.unlink(missing_ok=True))

    def take(self, course: Course, *, allowed: Callable[[list[Course]], bool]) -> bool:
        """Lease a course if `allowed`, told what all other sweeps train now, agrees."""

        def act() -> bool:
            if not allowed(self._others()):
                return False
            self._courses[course.name] = course
            self._write()
            return True

        return self._alone(act)

    def release(self, name: str) -> None:
        """The course has ended. While the store is away its lease goes stale by itself."""
        self._courses.pop(name, None)
        self._if_there(self._write)

    def others(self) -> list[Course]:
        """What other sweeps on this store train now."""
        return self._alone(self._others)

    def alone_with(self, action: Callable[[list[Course]], None]) -> None:
        """Act, told what other sweeps train now, while none of them can begin or end anything."""
        self._alone(lambda: action(self._others()))

    def _others(self) -> list[Course]:
        return [
            course_from(plain)
            for path in sorted(self._folder.glob("*.json"))
            if path != self._path
            for plain in _alive(path)["courses"]
        ]

    def _alone(self, action: Callable[[], Found], *, patience: float | None = None) -> Found:
        """Act under the lock of all leases once the store is there, not in an empty mount point."""

        def act() -> Found:
            self._store.reached()
            with _lock(self._folder):
                return action()

        store = self._store if patience is None else replace(self._store, patience=patience)
        return store.patiently(act, "look at the leases")

    def _if_there(self, action: Callable[[], None]) -> None:
        """Act unless the store is away: a lease that nobody renews or ends goes stale by itself."""
        try:
            self._alone(action, patience=0.0)
        except StoreError as error:
            log.info("%s", error)

    def _write(self) -> None:
        """Under a temporary name, then renamed; the keys are for those who collect stages."""
        courses = list(self._courses.values())
        content = {
            "owner": self.owner, "host": socket.gethostname(), "pid": os.getpid(),
            "courses": [asdict(course) for course in courses],
            "keys": [key for course in courses for key in course.all_keys()],
        }  # fmt: skip
        try:
            with renamed(self._path) as temporary:
                temporary.write_text(json.dumps(content))
        except OSError as error:
            if is_away(error):
                raise
            log.warning("%s (%s): another sweep may train the same twice", self._path, error)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            if self._courses:
                self._if_there(self._write)


@contextmanager
def leases_on(store: Store, owner: str) -> Iterator[Leases | None]:
    """The leases of a sweep, while it lasts; none on an object store."""
    if not store.files.local:
        log.info("%s: no leases on an object store", store.root)
        yield None
        return
    store.establish()
    with Leases(store, owner) as leases:
        yield leases


def running_of(store: Store, owners: Collection[str]) -> set[str]:
    """Names of the courses that these sweeps train now."""
    folder = Path(store.files.root) / FOLDER
    if not store.files.local or not folder.exists():
        return set()
    with _lock(folder):
        leases = [_alive(path) for path in folder.glob("*.json")]
    return {
        plain["name"] for lease in leases if lease.get("owner") in owners
        for plain in lease["courses"]
    }  # fmt: skip


def _lock(folder: Path) -> FileLock:
    return FileLock(folder / ".lock")


def _alive(path: Path) -> dict[str, Any]:
    """A lease that is kept alive, or an empty one; a dead one is cleared away.

    One that a power cut has torn counts for nothing: at worst a stage is trained twice.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        log.warning("%s: not a lease (%s)", path, error)
        return {"courses": []}
    here = content["host"] == socket.gethostname()
    if here and not _runs(content["pid"]):
        path.unlink(missing_ok=True)
        return {"courses": []}
    if time.time() - path.stat().st_mtime > STALE_SECONDS:
        return {"courses": []}
    return content


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True
