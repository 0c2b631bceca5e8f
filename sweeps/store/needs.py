"""Why a stage must stay: an unfinished leaf, a report to be written, a promoted model, a lease."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeps.store.leases import FOLDER, STALE_SECONDS
from sweeps.store.refs import LeafRef, Ref, listed, read_beside, read_refs, this_host
from sweeps.store.store import Store, StoreError


class BadLease(StoreError):
    """A lease in force that cannot be read."""


@dataclass(frozen=True)
class Ended:
    """What a finished leaf's outcome says."""

    last_stage: str


def needs(store: Store) -> dict[str, str]:
    """Key -> why it must stay. Keys that are not in it are needed by nobody."""
    found: dict[str, str] = {}
    for ref in read_refs(store):
        for key, why in needs_of(ref):
            found.setdefault(key, why)
    for key, why in leased(store):
        found[key] = why
    return found


def needs_of(ref: Ref) -> Iterator[tuple[str, str]]:
    """The keys that a sweep needs, with the reason: nothing, once it is reported and not promoted.

    A sweep whose folder was removed on this host needs nothing; what cannot be seen from here (on
    another host, or below a folder that is not there or empty, as an unmounted one is) needs all.
    """
    folder = Path(ref.folder)
    if not _is_folder(folder):
        if not is_gone(ref):
            why = f"{ref.sweep}: its folder {ref.folder} on {ref.host} cannot be seen from here"
            yield from ((key, why) for leaf in ref.leaves.values() for key in leaf.keys)
        return
    reported, promoted = is_reported(folder, ref.sweep), promoted_leaves(folder)
    for name, leaf in ref.leaves.items():
        end = ended(folder, name, leaf)
        if end is None:
            yield from ((key, f"{ref.sweep}: {name} has not finished") for key in leaf.keys)
            continue
        kept = (*leaf.snapshot_keys, end.last_stage)
        if name in promoted:
            yield from ((key, f"{ref.sweep}: {name} was promoted") for key in kept)
        elif not reported:
            yield from ((key, f"{ref.sweep}: no report yet") for key in kept)


def ended(folder: Path, name: str, leaf: LeafRef) -> Ended | None:
    """The end of this very leaf; None if it has not finished, or its outcome is another run's."""
    outcome = _read(folder / "outcomes" / f"{name}.json")
    if outcome.get("status") != "FINISHED" or outcome.get("key") != leaf.keys[-1]:
        return None
    return Ended(str(outcome.get("last_stage") or leaf.keys[-1]))


def is_reported(folder: Path, sweep: str) -> bool:
    """Whether the report is at least as new as the sweep's summary and all outcomes."""
    if _read(folder / "sweep.json").get("sweep") != sweep:
        return False
    try:
        told = [path.stat().st_mtime_ns for path in (folder / "outcomes").glob("*.json")]
        told.append((folder / "sweep.json").stat().st_mtime_ns)
        return (folder / "report.html").stat().st_mtime_ns >= max(told)
    except OSError:
        return False


def promoted_leaves(folder: Path) -> set[str]:
    """The champion's leaf, and those whose model folders earlier promotions left."""
    champion = _read(folder / "sweep.json").get("champion")
    found = {path.name for path in (folder / "models").glob("*")}
    return found | ({str(champion["trial"])} if champion else set())


def leased(store: Store) -> Iterator[tuple[str, str]]:
    """The keys of all leases in force."""
    for seen in listed(store, FOLDER):
        if time.time() - seen.modified >= STALE_SECONDS:
            continue
        content = read_beside(store, seen.path)
        if content is None:
            continue
        try:
            lease = json.loads(content)
            keys, holder = [str(key) for key in lease["keys"]], f"{lease['host']}:{lease['pid']}"
        except (ValueError, LookupError, TypeError) as error:
            raise BadLease(
                f"{store.root}/{seen.path}: not a lease ({error}). If no sweep is running, it is "
                f"void {STALE_SECONDS:.0f} s after it was written: try again then."
            ) from error
        yield from ((key, f"in use by {holder}") for key in keys)


def is_gone(ref: Ref) -> bool:
    """Whether the folder was removed: here, and from a folder that is there and not empty."""
    folder = Path(ref.folder)
    try:
        here = ref.host == this_host() and any(folder.parent.iterdir())
        return here and not folder.exists()
    except OSError:
        return False


def _is_folder(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:  # of a mount that is away
        return False


def _read(path: Path) -> Mapping[str, Any]:
    """A JSON object; nothing where it is missing or torn, which keeps what depends on it."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
