"""A file that survives a power cut: whole before or whole after, never half."""

import os
from pathlib import Path

from data_prep.atomic import renamed


def write_safely(path: Path, content: bytes) -> None:
    """Replace `path`: written beside it, forced to disk, renamed, and the renaming forced too."""
    with renamed(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
