"""One program at a time in a folder: a second one is told so at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from data_prep.errors import PctError


@contextmanager
def alone(folder: Path, *, busy: PctError) -> Iterator[None]:
    """Hold the folder, made if need be; raises `busy` where another program holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise busy from error
