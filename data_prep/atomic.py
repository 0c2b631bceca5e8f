"""Files and folders that are whole or not there: written under a temporary name, then renamed.

The temporary name is each writer's own, so two at one place never mix. It names the process, so
what a killed one left is swept away by the next writer at that place.
"""

import functools
import hashlib
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def renamed(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """Give the block a temporary path beside `path`, made `path` when the block succeeds.

    When it fails nothing is left; of two writers the last one stays. `suffix` ends the temporary
    name, for writers that go by a file's ending. The folder is made.
    """
    temporary = _own_name(path, suffix)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def renamed_folder(path: Path) -> Iterator[Path]:
    """Give the block a new folder beside `path`, made `path` when the block succeeds.

    When it fails nothing is left. `path` may be an empty folder, whose permissions stay; one that
    was filled meanwhile is left as it is and raises `OSError`, so of two writers the first stays.
    """
    temporary = _own_name(path, "")
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _own_name(path: Path, suffix: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}.{_machine()}-"
    _sweep(path.parent, prefix)
    return path.with_name(f"{prefix}{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp{suffix}")


@functools.cache
def _machine() -> str:
    """Where a process number means the same process: a machine, or a container on it."""
    space = Path("/proc/self/ns/pid")
    where = os.readlink(space) if space.is_symlink() else ""
    return hashlib.sha256(f"{platform.node()} {where}".encode()).hexdigest()[:8]


def _sweep(folder: Path, prefix: str) -> None:
    """Remove what processes of this machine left that are no more."""
    dead = re.compile(re.escape(prefix) + r"(\d+)-[0-9a-f]{8}\.tmp")
    for name in os.listdir(folder):
        if name.startswith(prefix) and (found := dead.match(name)) and not _lives(int(found[1])):
            left = folder / name
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    import psutil  # slow to import, and hardly ever needed

    return bool(psutil.pid_exists(process))
