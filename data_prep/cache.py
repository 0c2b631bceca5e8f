"""The slices of a split as one file a node, mapped into memory: all workers share its pages.

FOLDER/DIGEST-SPLIT.slices2.arrow   an uncompressed Arrow IPC file, and after it its sha256
FOLDER/lock                         held while a file is built

FOLDER is $PCT_CACHE, else a folder of the user's alone below the system's temporary one. It may be
deleted at any time: what is missing is built anew from the shards.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock

from data_prep.atomic import renamed
from data_prep.errors import PctError
from data_prep.parquet import fixed_binary
from data_prep.schema import PackedMasks, Slices, Split, slices_from
from data_prep.shards import read_manifest, read_slices

log = logging.getLogger(__name__)

ENDING = ".slices2.arrow"
"""Its number is raised when the layout of the file changes."""

UNUSED_DAYS = 30
_SEAL_BYTES = 32


class CacheError(PctError):
    """A cache folder that cannot be used: full, or not the user's own."""


def open_slices(data: Path, split: Split) -> Slices:
    """What `read_slices` reads, bit for bit, as read-only arrays mapped from the node's cache.

    Who comes first builds the file, others wait for it. Its name holds the data's digest, so
    copies of a data folder share it and another state of the data never finds it. The whole file
    is checked against its sha256 whenever it is opened; a damaged one is built anew, with a
    warning. Raises `CacheError` where there is no room, and `ShardError` as `read_slices` does.
    """
    digest = read_manifest(data).digest
    try:
        folder = cache_folder()
        path = folder / f"{digest}-{split}{ENDING}"
        table = _map(path)
        if table is None:
            with FileLock(folder / "lock"):
                table = _map(path)  # another may have built it meanwhile
                if table is None:
                    _build(data, split, path)
                    table = _map(path)
    except OSError as error:
        raise CacheError(
            f"{error.filename or 'slice cache'}: {error.strerror or error}. Set PCT_CACHE to a "
            "folder that you may write to."
        ) from error
    if table is None:
        raise CacheError(f"{path}: damaged again as soon as it was written. Check this disk.")
    return table


def cache_folder() -> Path:
    """The node's cache folder, made if need be; another user's is refused."""
    if given := os.environ.get("PCT_CACHE"):
        folder = Path(given).absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    folder = Path(tempfile.gettempdir()) / f"pct-cache-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise CacheError(
            f"{folder}: expected a folder of yours that nobody else may enter, found "
            f"{stat.filemode(found.st_mode)} of user {found.st_uid}. Remove it, or set PCT_CACHE."
        )
    return folder


def _map(path: Path) -> Slices | None:
    """None when the file is missing, damaged, or not what its name says."""
    if not path.is_file() or path.stat().st_size <= _SEAL_BYTES:
        return None
    whole = pa.memory_map(str(path)).read_buffer()
    content = whole.slice(0, whole.size - _SEAL_BYTES)
    if hashlib.sha256(content).digest() != whole.slice(content.size).to_pybytes():
        return None
    batch = pa.ipc.open_file(content).get_batch(0)
    if batch.schema.metadata[b"name"].decode() != path.name:
        return None
    os.utime(path)
    return _decode(batch)


def _build(data: Path, split: Split, path: Path) -> None:
    """Write the file of a split; called by one process of the node at a time."""
    if path.exists():
        log.warning("%s is damaged and is built anew from the shards", path)
    for old in path.parent.glob(f"*{ENDING}*"):
        if time.time() - old.stat().st_mtime > UNUSED_DAYS * 86400:
            old.unlink()
    batch = _encode(read_slices(data, split), path.name)
    temporary = path
    try:
        if shutil.disk_usage(path.parent).free < batch.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with renamed(path) as temporary:
            _write(batch, temporary)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        free = shutil.disk_usage(path.parent).free
        raise CacheError(
            f"{path}: {error.strerror or error}; the {split} slices take {batch.nbytes:,} bytes, "
            f"{free:,} are free. Make room, or set PCT_CACHE to a folder on a larger disk."
        ) from error


def _write(batch: pa.RecordBatch, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    with path.open("r+b") as file:
        file.write(hashlib.file_digest(file, "sha256").digest())
        file.flush()
        os.fsync(file.fileno())


def _encode(table: Slices, name: str) -> pa.RecordBatch:
    """Every array as a column of fixed-size binary, its dtype and shape beside it."""
    columns = {}
    for field in fields(Slices):
        value = getattr(table, field.name)
        columns[field.name] = value.bits if isinstance(value, PackedMasks) else value
    cells = [fixed_binary(rows) for rows in columns.values()]
    facts = [{"dtype": c.dtype.str, "shape": json.dumps(c.shape)} for c in columns.values()]
    described = [
        pa.field(key, cell.type, metadata=fact)
        for key, cell, fact in zip(columns, cells, facts, strict=True)
    ]
    return pa.RecordBatch.from_arrays(cells, schema=pa.schema(described, metadata={"name": name}))


def _decode(batch: pa.RecordBatch) -> Slices:
    columns = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        shape = json.loads(field.metadata[b"shape"])
        dtype = field.metadata[b"dtype"].decode()
        columns[field.name] = np.ndarray(shape, dtype, buffer=column.buffers()[1])
    return slices_from(columns)
