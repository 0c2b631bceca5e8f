"""Files that are whole or not there: written under a temporary name, then renamed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def renamed(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """Give the block a temporary path beside `path`, made `path` when the block succeeds.

    When it fails nothing is left. `suffix` ends the temporary name, for writers that go by a
    file's ending. The folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp{suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
