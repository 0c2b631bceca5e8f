"""COMMIT: the file that makes a stage exist, and the files that it names with their hashes."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sweeps.store.files import Files, Seen
from sweeps.store.patience import StoreError

COMMIT = "COMMIT"

Commit = dict[str, dict[str, str]]
"""Name -> `file`, its name in the folder, and `sha256`."""


class Missing(StoreError):
    """A stage that is not committed."""


class Damaged(StoreError):
    """A committed stage whose bytes are not those that were committed."""


@dataclass(frozen=True)
class StageInfo:
    """A committed stage from outside."""

    key: str
    bytes: int
    """Of the files that COMMIT names."""
    committed: float
    """Unix time."""
    names: tuple[str, ...]


def at(key: str, name: str) -> str:
    """Where a key's file lies below the root."""
    return f"{key[:2]}/{key}/{name}"


def is_committed(found: Iterable[Seen]) -> bool:
    """Whether the files of a folder are a stage."""
    return any(file.name == COMMIT for file in found)


def draft(files: Mapping[str, bytes]) -> Commit:
    """What COMMIT shall say of these files. No two writers get the same names."""
    commit, writer = {}, uuid.uuid4().hex[:8]
    for name, content in files.items():
        digest = hashlib.sha256(content).hexdigest()
        stem, dot, suffix = name.rpartition(".")
        stored = f"{stem}-{digest[:8]}-{writer}{dot}{suffix}"
        commit[name] = {"file": stored, "sha256": digest}
    return commit


def read_commit(files: Files, path: str) -> Commit:
    """What a COMMIT says; one that says nothing of the kind is `Damaged`."""
    try:
        commit = json.loads(files.read(path))
        return {
            name: {"file": str(entry["file"]), "sha256": str(entry["sha256"])}
            for name, entry in commit.items()
        }
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise damaged(files, path, "it does not say which files the stage has") from error


def stored_names(commit: Commit) -> set[str]:
    """The files that COMMIT names, as they are called in the folder."""
    return {entry["file"] for entry in commit.values()}


def read_file(files: Files, key: str, name: str, commit: Commit) -> bytes:
    """A file of a stage; `Damaged` where it is gone or its hash is wrong."""
    if name not in commit:
        raise StoreError(f"stage {key} in {files.root} holds no {name}.")
    path = at(key, commit[name]["file"])
    try:
        content = files.read(path)
    except FileNotFoundError as error:
        raise damaged(files, path, "it cannot be read, it is gone") from error
    if hashlib.sha256(content).hexdigest() != commit[name]["sha256"]:
        raise damaged(files, path, "its content has changed since it was committed")
    return content


def damaged(files: Files, path: str, what: str) -> Damaged:
    """The error that says which file of a stage is damaged and how."""
    return Damaged(
        f"{files.root}/{path}: {what}. Take the stage out of the way with "
        f"`pct store verify {files.root} --set-aside`; the sweep trains it anew."
    )
