"""The stage store: bytes under content-addressed keys, committed last, on disk or object store.

    ROOT/3f/3f9a.../state-5d41402a.pt     named after their hash, so that writers never clash
    ROOT/3f/3f9a.../COMMIT                {"state.pt": {"file": ..., "sha256": ...}}; written last

A key without COMMIT does not exist. This module moves bytes; `pct.state` turns them into state.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from pyarrow import ArrowInvalid, fs

from data_prep.errors import PctError


class StoreError(PctError):
    """A stage that is missing, torn, or altered after it was committed."""


@dataclass(frozen=True)
class Store:
    """Stages below `root`: a folder, or a URI that pyarrow knows (s3://bucket/stages)."""

    root: str

    @cached_property
    def _place(self) -> tuple[fs.FileSystem, str]:
        if "://" in self.root:
            try:
                filesystem, path = fs.FileSystem.from_uri(self.root)
            except (ArrowInvalid, OSError) as error:
                raise StoreError(
                    f"--store {self.root}: {error}. Give a folder or s3://..."
                ) from error
            return filesystem, path
        return fs.LocalFileSystem(), str(Path(self.root).resolve())

    def has(self, key: str) -> bool:
        """Whether the key is committed."""
        filesystem, _ = self._place
        found: bool = filesystem.get_file_info(self._path(key, "COMMIT")).type == fs.FileType.File
        return found

    def put(self, key: str, files: Mapping[str, bytes]) -> bool:
        """Commit files under a key. One that is committed already is left as it is: False."""
        if self.has(key):
            return False
        filesystem, _ = self._place
        filesystem.create_dir(self._path(key, ""), recursive=True)
        commit = {}
        for name, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            stem, dot, suffix = name.rpartition(".")
            stored = f"{stem}-{digest[:8]}{dot}{suffix}"
            self._write(self._path(key, stored), content)
            commit[name] = {"file": stored, "sha256": digest}
        self._write(self._path(key, "COMMIT"), json.dumps(commit, indent=1).encode())
        return True

    def get(self, key: str, name: str) -> bytes:
        """One file of a committed key, its hash verified."""
        entry = self._commit(key).get(name)
        if entry is None:
            raise StoreError(f"stage {key} in {self.root} holds no {name}.")
        path = self._path(key, entry["file"])
        content = self._read(path)
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise StoreError(
                f"{path}: its content has changed since it was committed. "
                "Delete the stage's folder; the sweep trains it anew."
            )
        return content

    def names(self, key: str) -> list[str]:
        """Names of a committed key's files."""
        return list(self._commit(key))

    def drop(self, key: str) -> None:
        """Forget a key: its COMMIT goes first, so no reader finds a half of it."""
        filesystem, _ = self._place
        if self.has(key):
            filesystem.delete_file(self._path(key, "COMMIT"))
            filesystem.delete_dir(self._path(key, ""))

    def _commit(self, key: str) -> dict[str, dict[str, str]]:
        if not self.has(key):
            raise StoreError(f"stage {key} is not in {self.root}.")
        commit: dict[str, dict[str, str]] = json.loads(self._read(self._path(key, "COMMIT")))
        return commit

    def _path(self, key: str, name: str) -> str:
        return str(PurePosixPath(self._place[1]) / key[:2] / key / name)

    def _read(self, path: str) -> bytes:
        try:
            with self._place[0].open_input_file(path) as file:
                content: bytes = file.readall()
                return content
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be read ({error}). Delete the stage's folder; "
                "the sweep trains it anew."
            ) from error

    def _write(self, path: str, content: bytes) -> None:
        """Under a temporary name, then renamed."""
        temporary = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            with self._place[0].open_output_stream(temporary) as file:
                file.write(content)
            self._place[0].move(temporary, path)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot write {len(content)} bytes ({error}). "
                "Free space or give another --store; what is committed is safe."
            ) from error
