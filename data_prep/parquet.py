"""Parquet and JSON files that notice damage: page checksums, sha256, a rename at the end."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data_prep.atomic import renamed
from data_prep.errors import PctError
from data_prep.schema import PREP, SCHEMA_VERSION

ROWS_A_GROUP = 16
"""A batch or two: what a reader of a few slices must decompress at most."""


class ShardError(PctError):
    """A data folder or one of its files that is missing, damaged, foreign or out of date."""


def write_table(table: pa.Table, path: Path, *, config: str = "") -> str:
    """Write `table` under a temporary name, rename it to `path`, return the file's sha256.

    zstd, no dictionaries or statistics (pixels have none worth keeping), groups of `ROWS_A_GROUP`,
    CRC on every page. The versions of schema and arithmetic go into the file's metadata; of a
    shard, also `config`, the hash of the settings that decide its numbers.
    """
    with renamed(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata(_stamps(config)),
            temporary,
            compression="zstd",
            compression_level=3,
            row_group_size=ROWS_A_GROUP,
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        )
        return sha256_of(temporary)


def read_table(
    path: Path, *, schema: pa.Schema | None = None, sha256: str | None = None, config: str = ""
) -> pa.Table:
    """Read a file whole; `sha256` is what the manifest says, `schema` what it must hold.

    Raises `ShardError`, naming the file and the remedy, when it is missing, damaged, truncated,
    not one of ours, of another schema or arithmetic version, or of other settings than `config`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}. Run `pct prep` again.") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ShardError(
            f"{path}: its sha256 differs from the manifest's: damaged or replaced. "
            "Run `pct prep` again, or copy the data folder anew."
        )
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        table = file.read(use_threads=False)  # Arrow's threads may abort a process that ends
    except (pa.ArrowException, OSError) as error:
        raise ShardError(
            f"{path}: damaged or no Parquet file ({error}). Run `pct prep` again."
        ) from error
    _check_stamps(path, table.schema.metadata or {}, _stamps(config))
    if schema is not None and not table.schema.equals(schema, check_metadata=False):
        found = ", ".join(table.schema.names)
        raise ShardError(
            f"{path}: found columns {found} or their types, expected {', '.join(schema.names)}. "
            "It belongs to another grid or program: run `pct prep` again."
        )
    return table


def _stamps(config: str) -> dict[str, str]:
    versions = {"pct.schema": str(SCHEMA_VERSION), "pct.prep": str(PREP)}
    return versions | ({"pct.config": config} if config else {})


def _check_stamps(path: Path, facts: Mapping[bytes, bytes], stamps: Mapping[str, str]) -> None:
    for key, expected in stamps.items():
        found = facts.get(key.encode(), b"none").decode(errors="replace")
        if found != expected:
            told = f"{key} is {found}, this program reads {expected}"
            if key == "pct.config":
                told = f"made with other settings ({key} {found}) than the manifest's ({expected})"
            raise ShardError(f"{path}: {told}. Run `pct prep` again.")


def write_json(content: Any, path: Path) -> str:
    """Write sorted, indented JSON under a temporary name, rename it, return its sha256."""
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    with renamed(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        return sha256_of(temporary)


def read_json(path: Path, *, remedy: str) -> Any:
    """Read JSON; a missing or broken file raises `ShardError` ending in `remedy`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}. {remedy}") from error
    except ValueError as error:
        raise ShardError(f"{path}: not readable as JSON ({error}). {remedy}") from error


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fixed_binary(rows: NDArray[Any]) -> pa.Array:
    """(n, ...) pixels to n fixed-size binary cells, in C order and native little-endian bytes."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), math.prod(rows.shape[1:]))
    kind = pa.binary(flat.shape[1] * flat.itemsize)
    return pa.Array.from_buffers(kind, len(flat), [None, pa.py_buffer(flat.reshape(-1))])


def listed_binary(rows: NDArray[Any]) -> pa.Array:
    """(n, channels, ...) pixels to n lists of `channels` fixed-size binary cells."""
    num, channels = rows.shape[:2]
    cells = fixed_binary(rows.reshape(num * channels, *rows.shape[2:]))
    return pa.ListArray.from_arrays(np.arange(num + 1, dtype=np.int32) * channels, cells)


def from_fixed_binary(column: pa.ChunkedArray, dtype: str) -> NDArray[Any]:
    """Undo `fixed_binary`: (n, values a cell), a copy of the column's bytes."""
    width = column.type.byte_width
    flat = np.empty((len(column), width), np.uint8)
    start = 0
    for chunk in column.chunks:
        first, count = chunk.offset * width, len(chunk) * width
        raw = np.frombuffer(chunk.buffers()[1], np.uint8, count=count, offset=first)
        flat[start : start + len(chunk)] = raw.reshape(-1, width)
        start += len(chunk)
    return flat.view(dtype)


def pack(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(n, ...) masks to (n, bytes) of packed bits, padded with zeros to a whole byte."""
    return np.packbits(masks.reshape(len(masks), -1), axis=1)


def unpack(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Undo `pack`: (n, bytes) to (n, *shape)."""
    bits = np.unpackbits(packed, axis=1, count=int(np.prod(shape)))
    return bits.view(np.bool_).reshape(len(packed), *shape)
