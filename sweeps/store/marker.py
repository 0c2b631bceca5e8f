"""The file STORE, which says that a folder is a store: an unmounted one looks like an empty one."""

import errno
import json
import uuid

from sweeps.store.files import Files
from sweeps.store.patience import StoreError

MARKER, FORMAT = "STORE", 1

_ids_seen: dict[str, str] = {}
"""Place -> the id in its marker, once this process has read it."""


def reached(files: Files, *, expected: bool) -> bool:
    """Whether the marker can be read.

    False only where none was ever seen by this process and none is `expected`; else its absence,
    or another store's marker, is an `OSError` as of a mount that is away.
    """
    try:
        marker = json.loads(files.read(MARKER))
        kind, identity = int(marker["format"]), str(marker["id"])
    except FileNotFoundError as error:
        if expected or _place(files) in _ids_seen:
            raise OSError(errno.ESTALE, f"its file {MARKER} is not there") from error
        return False
    except (ValueError, LookupError, TypeError) as error:
        raise OSError(errno.EIO, f"its file {MARKER} cannot be read") from error
    if kind > FORMAT:
        raise StoreError(
            f"{files.root}: a store of format {kind}, this release reads {FORMAT}. "
            "Install the release that wrote it, or give another --store."
        )
    if _ids_seen.setdefault(_place(files), identity) != identity and files.local:
        raise OSError(errno.ESTALE, "another store lies there now")
    return True


def establish(files: Files) -> None:
    """Write a marker, unless another process does so first."""
    files.make_folder("")
    files.create(MARKER, json.dumps({"id": uuid.uuid4().hex, "format": FORMAT}).encode())


def _place(files: Files) -> str:
    return f"{files.filesystem.type_name}:{files.root}"
