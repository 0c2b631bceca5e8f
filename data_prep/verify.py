"""Every file of a data folder against its manifest: sha256, page checksums, versions, settings."""

from collections.abc import Callable
from pathlib import Path

from data_prep.parquet import ShardError, read_table, sha256_of
from data_prep.schema import CASE_SCHEMA, Manifest, config_hash, slice_schema
from data_prep.shards import read_manifest
from data_prep.volume_shards import VOLUME_SCHEMA

OnFile = Callable[[int, str], None]


def verify(data: Path, *, on_file: OnFile | None = None) -> int:
    """Read all files that the manifest lists, one at a time, and return how many there are.

    `on_file` hears how many are done and the name of the last. Raises one `ShardError` that names
    every damaged file, a line each.
    """
    manifest = read_manifest(data)
    damaged = []
    for number, name in enumerate(manifest.files, start=1):
        try:
            _check(data, name, manifest)
        except ShardError as error:
            damaged.append(str(error))
        if on_file is not None:
            on_file(number, name)
    if damaged:
        are = "is" if len(damaged) == 1 else "are"
        first = f"{data}: {len(damaged)} of {len(manifest.files)} files {are} damaged:"
        raise ShardError("\n".join([first, *damaged]))
    return len(manifest.files)


def _check(data: Path, name: str, manifest: Manifest) -> None:
    path, sha256 = data / name, manifest.files[name]
    if name == "cases.parquet":
        read_table(path, schema=CASE_SCHEMA, sha256=sha256)
    elif name.endswith(".parquet"):
        slices = name.startswith("slices/")
        schema = slice_schema(manifest.grid.size) if slices else VOLUME_SCHEMA
        read_table(path, schema=schema, sha256=sha256, config=config_hash(manifest.settings))
    elif not path.is_file() or sha256_of(path) != sha256:
        remedy = "Run `pct prep` again."
        if name == "splits.json":
            remedy = "Restore it from a copy: splits must not be drawn anew."
        raise ShardError(f"{path}: gone, or its sha256 differs from the manifest's. {remedy}")
