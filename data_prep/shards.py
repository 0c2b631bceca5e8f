"""A data folder read: manifest, slice pairs, whole volumes, the case table.

Every file is checked against the manifest's sha256 and settings and its own page checksums when it
is read; what does not match raises `ShardError` with the file and the remedy.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_prep.parquet import ShardError, from_fixed_binary, read_json, read_table
from data_prep.schema import (
    CASE_SCHEMA,
    MASKS,
    PREP,
    SCHEMA_VERSION,
    CaseVolumes,
    Manifest,
    SliceGrid,
    Slices,
    Split,
    config_hash,
    slice_schema,
    slices_from,
)
from data_prep.volume_shards import decode_volumes

__all__ = [
    "ShardError",
    "list_cases",
    "manifest_digest",
    "read_case_table",
    "read_manifest",
    "read_slices",
    "read_volumes",
]

_FINISH = "Run `pct prep` (again): it writes the manifest last and keeps what is done."


def read_manifest(data: Path) -> Manifest:
    """Read DATA/manifest.json; raises `ShardError` if absent, of another version, or edited."""
    path = data / "manifest.json"
    if not path.is_file():
        raise ShardError(f"{data}: no manifest.json, so no finished data folder. {_FINISH}")
    content = read_json(path, remedy=_FINISH)
    try:
        for name, expected in (("schema_version", SCHEMA_VERSION), ("prep", PREP)):
            if (found := content[name]) != expected:
                raise ShardError(
                    f"{path}: {name} {found}, this program reads {expected}. {_FINISH}"
                )
        content["grid"] = SliceGrid(**content["grid"])
        for name in ("mask_backends", "mr_channels"):
            content[name] = tuple(content[name])
        manifest = Manifest(**content)
    except (KeyError, TypeError) as error:
        raise ShardError(f"{path}: not a manifest of ours ({error}). {_FINISH}") from error
    if manifest.digest != manifest_digest(manifest.grid, manifest.files, manifest.mr_channels):
        raise ShardError(f"{path}: its digest does not fit its files: edited or torn. {_FINISH}")
    return manifest


def manifest_digest(
    grid: SliceGrid, files: dict[str, str], mr_channels: tuple[str, ...] = ("t1",)
) -> str:
    """Identity of the data: versions, grid, splits and shards, without the contact sheets."""
    counted = {name: sha for name, sha in files.items() if not name.startswith("contact/")}
    facts = [SCHEMA_VERSION, PREP, asdict(grid), mr_channels, sorted(counted.items())]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def list_cases(data: Path, split: Split) -> list[str]:
    """Taken subjects of a split, sorted."""
    return _cases(data, read_manifest(data), split)


def read_slices(data: Path, split: Split) -> Slices:
    """All stored slice pairs of a split, ordered by (subject, z): val has all, train its pick.

    Test patients have none (they are read with `read_volumes`), so `split="test"` is empty.
    Reads whole into memory: 4.4 bytes a pixel (280 KiB a slice of 256 x 256), 2 more a further
    channel. Training maps them from a cache instead (`data_prep.cache.open_slices`).
    """
    manifest = read_manifest(data)
    size, total = manifest.grid.size, manifest.num_slices.get(split, 0)
    schema, config = slice_schema(size), config_hash(manifest.settings)
    columns = _empty_columns(total, size, len(manifest.mr_channels))
    start = 0
    for subject in _cases(data, manifest, split):
        name = f"slices/{subject}.parquet"
        if name not in manifest.files:
            continue
        sha256 = manifest.files[name]
        table = read_table(data / name, schema=schema, sha256=sha256, config=config)
        stop = start + table.num_rows
        if stop > total:
            raise ShardError(f"{data / name}: more rows than the manifest counts. {_FINISH}")
        _check_channels(table, manifest.mr_channels, path=data / name)
        _fill(columns, slice(start, stop), table)
        start = stop
    if start != total:
        raise ShardError(f"{data}: {start} {split} slices, the manifest counts {total}. {_FINISH}")
    columns["subject"] = np.array(columns["subject"].tolist(), dtype=np.str_)
    return slices_from(columns)


def read_volumes(data: Path, subject: str) -> CaseVolumes:
    """One validation or test patient in 3D. Others raise `ShardError`: they are kept as slices."""
    manifest = read_manifest(data)
    name = f"volumes/{subject}.parquet"
    if name not in manifest.files:
        kept = sorted(Path(file).stem for file in manifest.files if file.startswith("volumes/"))
        raise ShardError(
            f"{data}: no volume of {subject!r}; volumes are kept of {', '.join(kept) or 'nobody'}."
        )
    config = config_hash(manifest.settings)
    table = read_table(data / name, sha256=manifest.files[name], config=config)
    return decode_volumes(table, _splits(data, manifest)[subject], path=data / name)


def read_case_table(data: Path) -> pa.Table:
    """DATA/cases.parquet: one row a case, taken or refused; columns as `CASE_SCHEMA`."""
    sha256 = read_manifest(data).files["cases.parquet"]
    return read_table(data / "cases.parquet", schema=CASE_SCHEMA, sha256=sha256)


def _splits(data: Path, manifest: Manifest) -> dict[str, Split]:
    path = data / "splits.json"
    splits: dict[str, Split] = read_json(path, remedy=_FINISH)
    if hashlib.sha256(path.read_bytes()).hexdigest() != manifest.split_sha:
        raise ShardError(f"{path}: changed since the manifest was written. {_FINISH}")
    return splits


def _cases(data: Path, manifest: Manifest, split: Split) -> list[str]:
    prepared = {Path(n).stem for n in manifest.files if n.startswith(("slices/", "volumes/"))}
    splits = _splits(data, manifest)
    return sorted(case for case in prepared if splits.get(case) == split)


def _check_channels(table: pa.Table, expected: tuple[str, ...], *, path: Path) -> None:
    found = set(pc.list_value_length(table["mr_codes"]).to_pylist())
    if found - {len(expected)}:
        raise ShardError(
            f"{path}: {', '.join(map(str, sorted(found)))} MR channels a slice, the manifest names "
            f"{len(expected)} ({', '.join(expected)}). {_FINISH}"
        )


def _empty_columns(num: int, size: int, channels: int) -> dict[str, NDArray[Any]]:
    return {
        "subject": np.empty(num, object),
        "z": np.empty(num, np.int32),
        "pixel_mm": np.empty(num, np.float64),
        "mr_codes": np.empty((num, channels, size, size), np.uint16),
        "mr_slope": np.empty((num, channels), np.float64),
        "mr_intercept": np.empty((num, channels), np.float64),
        "mr_head_window": np.empty((num, channels, 2), np.float64),
        "mr_volume_window": np.empty((num, channels, 2), np.float64),
        "ct_hu": np.empty((num, size, size), np.int16),
        **{name: np.empty((num, (size * size + 7) // 8), np.uint8) for name in MASKS},
    }


def _fill(columns: dict[str, NDArray[Any]], rows: slice, table: pa.Table) -> None:
    for name in ("subject", "z", "mr_slope", "mr_intercept", "mr_head_window", "mr_volume_window"):
        columns[name][rows] = table[name].to_pylist()
    columns["pixel_mm"][rows] = pc.list_element(table["spacing_mm"], 0)
    cells = {"mr_codes": pc.list_flatten(table["mr_codes"])}
    cells |= {name: table[name] for name in ("ct_hu", *MASKS)}
    for name, column in cells.items():
        into = columns[name][rows]
        into[...] = from_fixed_binary(column, into.dtype.newbyteorder("<").str).reshape(into.shape)
