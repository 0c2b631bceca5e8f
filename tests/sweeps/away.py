"""A store that goes away: its folder unmounted, or its file system failing."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeps.store.files import Files
from sweeps.store.store import Store


@contextmanager
def unmounted(root: Path) -> Iterator[None]:
    """The folder is there, and empty, as a mount point without its mount."""
    real = root.with_name(f"{root.name}-elsewhere")
    root.rename(real)
    root.mkdir()
    try:
        yield
    finally:
        root.rmdir()  # fails if anything was written into the mount point
        real.rename(root)


@contextmanager
def back_after(seconds: float, root: Path) -> Iterator[None]:
    """Unmounted now, mounted again by another thread in `seconds`."""
    gone, back = threading.Event(), threading.Event()

    def hold() -> None:
        with unmounted(root):
            gone.set()
            back.wait(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    gone.wait()
    try:
        yield
    finally:
        thread.join()


class Failing:
    """A file system that answers the calls numbered `first`... with an error, `times` times."""

    def __init__(self, real, number: int, *, first: int = 0, times: int = 10**9) -> None:
        self._real, self._number = real, number
        self._first, self._times, self.calls = first, times, 0

    def __getattr__(self, name: str):
        value = getattr(self._real, name)
        if not callable(value):
            return value

        def call(*args, **kwargs):
            self.calls += 1
            if self._first < self.calls <= self._first + self._times:
                raise OSError(self._number, os.strerror(self._number))
            return value(*args, **kwargs)

        return call


def on(store: Store, filesystem) -> Store:
    """The same store on another file system."""
    other = Store(store.root, patience=store.patience, must_exist=store.must_exist)
    other.__dict__["files"] = Files(filesystem, store.files.root, store.files.local)
    return other


def uses() -> dict[str, Callable[[Store, str], object]]:
    """Every operation on a key, by name."""
    return {
        "has": lambda store, key: store.has(key),
        "get": lambda store, key: store.get(key, "state.pt"),
        "get_all": lambda store, key: store.get_all(key),
        "names": lambda store, key: store.names(key),
        "info": lambda store, key: store.info(key),
        "keys": lambda store, key: list(store.keys()),
        "put": lambda store, key: store.put(key, {"state.pt": b"new"}),
        "drop": lambda store, key: store.drop(key),
        "set_aside": lambda store, key: store.set_aside(key, "why"),
        "leftovers": lambda store, key: store.leftovers(key),
        "exists": lambda store, key: store.exists(),
        "establish": lambda store, key: store.establish(),
    }


AWAY = [
    errno.ESTALE,
    errno.EIO,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
]
REFUSED = [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM, errno.ENAMETOOLONG]
