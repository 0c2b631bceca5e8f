"""Who needs which stages: one file a sweep beside the stages, ROOT/refs/SWEEP.json."""

import json
import re
import socket
import time
from functools import lru_cache
from typing import Self

from pydantic import ValidationError, model_validator

from pct.frozen import Frozen
from sweeps.store.files import Seen
from sweeps.store.store import Store, StoreError

REFS = "refs"
CLOCK_TICK_SECONDS = 2.0
"""A file written twice within this may keep its time; object stores count whole seconds."""


class LeafRef(Frozen):
    """The stages on a leaf's path."""

    keys: tuple[str, ...]
    """Of the state after each epoch, from the first on."""
    snapshots: tuple[int, ...]
    """Finished epochs that are kept."""

    @model_validator(mode="after")
    def _snapshots_lie_on_the_path(self) -> Self:
        if not self.keys:
            raise ValueError("a leaf without epochs")
        if not all(1 <= epoch <= len(self.keys) for epoch in self.snapshots):
            raise ValueError(f"snapshots {self.snapshots} of {len(self.keys)} epochs")
        return self

    @property
    def snapshot_keys(self) -> tuple[str, ...]:
        """Keys of the states that are kept."""
        return tuple(self.keys[epoch - 1] for epoch in self.snapshots)


class Ref(Frozen):
    """What a sweep needs of a store."""

    sweep: str
    folder: str
    host: str
    """Where the folder is to be found."""
    leaves: dict[str, LeafRef]


class BadRef(StoreError):
    """A file of refs that cannot be read: nobody may conclude that nothing is needed."""


def this_host() -> str:
    """The name under which this machine's folders are written down."""
    return socket.gethostname()


def write_ref(store: Store, ref: Ref) -> None:
    """Write or replace a sweep's file, whole at once."""
    store.establish()
    path, content = _path(ref.sweep), ref.model_dump_json().encode()
    store.patiently(lambda: store.files.replace(path, content), f"write {path}")


def read_refs(store: Store) -> list[Ref]:
    """All sweeps' refs, by name. One that is torn or odd is a `BadRef`, never "no needs"."""
    return [ref for seen in listed(store, REFS) if (ref := _parsed(store, seen))]


def drop_ref(store: Store, sweep: str) -> None:
    """Forget a sweep's needs."""
    store.remove(_path(sweep))


def wanted(store: Store) -> frozenset[str]:
    """Keys that some sweep keeps: forks and snapshots. Cheap: only files that changed are read."""
    kept = (_snapshot_keys(store, seen) for seen in listed(store, REFS))
    return frozenset[str]().union(*kept)


def listed(store: Store, folder: str) -> list[Seen]:
    """The JSON files in a folder beside the stages; none only if the store could be reached."""

    def look() -> list[Seen]:
        found = store.files.listing(folder, below=False)
        store.reached()
        return [seen for seen in found if seen.path.endswith(".json")]

    return sorted(store.patiently(look, f"list {folder}"), key=lambda seen: seen.path)


def _snapshot_keys(store: Store, seen: Seen) -> frozenset[str]:
    if time.time() - seen.modified < CLOCK_TICK_SECONDS:
        ref = _parsed(store, seen)
        return frozenset(key for leaf in _leaves(ref) for key in leaf.snapshot_keys)
    return _settled_keys(store, seen)


@lru_cache(maxsize=1024)
def _settled_keys(store: Store, seen: Seen) -> frozenset[str]:
    ref = _parsed(store, seen)
    return frozenset(key for leaf in _leaves(ref) for key in leaf.snapshot_keys)


def _leaves(ref: Ref | None) -> list[LeafRef]:
    return list(ref.leaves.values()) if ref else []


def read_beside(store: Store, path: str) -> bytes | None:
    """A file beside the stages, or None where it was removed since it was listed."""

    def read() -> bytes | None:
        try:
            return store.files.read(path)
        except FileNotFoundError:
            if store.reached():
                return None
            raise

    return store.patiently(read, f"read {path}")


def _parsed(store: Store, seen: Seen) -> Ref | None:
    content = read_beside(store, seen.path)
    try:
        return None if content is None else Ref.model_validate(json.loads(content))
    except (ValidationError, ValueError) as error:
        raise BadRef(
            f"{store.root}/{seen.path}: not the needs of a sweep ({_first_line(error)}). Run that "
            "sweep again, which writes them anew, or remove the file if its sweep is gone."
        ) from error


def _first_line(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, found['loc'])) or 'file'}: {found['msg']}"
    return str(error)


def _path(sweep: str) -> str:
    if not re.fullmatch(r"[\w.-]+", sweep):
        raise BadRef(f"sweep {sweep!r}: not the name of a file. Use letters, digits, . _ and -.")
    return f"{REFS}/{sweep}.json"
