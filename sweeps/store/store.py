"""The stage store: bytes under content-addressed keys, committed last, on disk or object store.

    ROOT/STORE                                    says that this is a store (sweeps/store/marker.py)
    ROOT/3f/3f9a.../state-5d41402a-9c1b2e07.pt    after hash and writer, so that writers never clash
    ROOT/3f/3f9a.../COMMIT                        {"state.pt": {"file": ..., "sha256": ...}}; last

A key without COMMIT does not exist. This module moves bytes; `pct.state` turns them into state.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from sweeps.store import marker
from sweeps.store.commit import (
    COMMIT,
    Commit,
    Damaged,
    Missing,
    StageInfo,
    at,
    damaged,
    draft,
    is_committed,
    read_commit,
    read_file,
    stored_names,
)
from sweeps.store.files import Files, Seen, open_root
from sweeps.store.patience import PATIENCE_SECONDS, Found, StoreError, Unreachable, patiently

__all__ = ["Damaged", "Missing", "StageInfo", "Store", "StoreError", "Unreachable"]

SET_ASIDE = "set-aside"


@dataclass(frozen=True)
class Store:
    """Stages below `root`: a folder, or a URI that pyarrow knows (s3://bucket/stages).

    A root whose marker this process has read, and one of which the caller knows that it
    `must_exist`, is waited for up to `patience` seconds when it is away, and never believed empty.
    """

    root: str
    patience: float = PATIENCE_SECONDS
    must_exist: bool = False

    @cached_property
    def files(self) -> Files:
        """The files below the root: for what lies beside the stages."""
        return open_root(self.root)

    def exists(self) -> bool:
        """Whether there is a store at the root. Nothing is made."""
        return self.patiently(lambda: self.reached() or self._is_unmarked(), "look for a store")

    def establish(self) -> None:
        """Make the root a store, or adopt one of the release that wrote no marker."""
        self.patiently(self._establish, "make a store")

    def has(self, key: str) -> bool:
        """Whether the key is committed."""
        return bool(self.which([key]))

    def which(self, keys: Iterable[str]) -> frozenset[str]:
        """Those of the keys that are committed; one look at the marker for all of them."""
        asked = list(dict.fromkeys(keys))
        return self.patiently(lambda: self._which(asked), f"look for {len(asked)} stages")

    def put(self, key: str, files: Mapping[str, bytes]) -> bool:
        """Commit files under a key. One that is committed already is left as it is: False.

        On disk all is synced before COMMIT gets its name: 7 fsync, 4 ms on an idle virtual disk and
        30 ms on one that others sync too, beside 5 ms to hash and write a state of 5 MB.
        """
        size = sum(map(len, files.values()))
        return self.patiently(lambda: self._put(key, files), f"commit {size} bytes of stage {key}")

    def get(self, key: str, name: str) -> bytes:
        """One file of a committed key, its hash verified."""
        return self.patiently(lambda: self._get(key, [name]), f"read stage {key}")[name]

    def get_all(self, key: str) -> dict[str, bytes]:
        """All files of a committed key, each hash verified."""
        return self.patiently(lambda: self._get(key, None), f"read stage {key}")

    def names(self, key: str) -> list[str]:
        """Names of a committed key's files."""
        return list(self.commit(key))

    def commit(self, key: str) -> Commit:
        """What a key's COMMIT says of its files."""
        return self.patiently(lambda: self._commit(key), f"read stage {key}")

    def keys(self) -> Iterator[str]:
        """All committed keys, in order."""
        return (key for key, found in self.folders().items() if is_committed(found))

    def info(self, key: str) -> StageInfo:
        """Size, time and names of a committed key. Its content is not read: see `get_all`."""
        return self.patiently(lambda: self._info(key), f"look at stage {key}")

    def drop(self, key: str) -> None:
        """Forget a key: its COMMIT goes first, so no reader finds a half of it."""
        self.patiently(lambda: self._drop(key), f"remove stage {key}")

    def set_aside(self, key: str, why: str) -> None:
        """Take a damaged stage out of the way, to ROOT/set-aside/, COMMIT first.

        A COMMIT that cannot be read goes alone: the other files are leftovers then.
        """
        target = f"{SET_ASIDE}/{key}-{uuid.uuid4().hex[:8]}"

        def move(stored: str) -> None:
            with suppress(FileNotFoundError):
                self.files.move(at(key, stored), f"{target}/{stored}")

        def act() -> None:
            if self._which([key]):
                self.files.write(f"{target}/why.txt", why.encode())
                self._take_away(key, f"{target}/{COMMIT}", move)
                self._prune(at(key, COMMIT))

        self.patiently(act, f"set stage {key} aside")

    def tidy(self, keys: Iterable[str]) -> None:
        """Remove what killed writers of these keys have left. Nobody may be writing them."""
        for key in keys:
            for leftover in self.leftovers(key):
                self.files.remove(leftover.path)
            self._prune(at(key, COMMIT))

    def leftovers(self, key: str) -> list[Seen]:
        """Files of a key that its COMMIT does not name; all of them where there is none."""
        return self.patiently(lambda: self._leftovers(key), f"look at stage {key}")

    def folders(self) -> dict[str, list[Seen]]:
        """Key -> the files in its folder, committed or not, in order."""
        return self.patiently(self._folders, "list the stages")

    def remove(self, path: str) -> None:
        """Remove one file below the root, and its folders where they become empty."""

        def act() -> None:
            self.files.remove(path)
            self._prune(path)

        self.patiently(act, f"remove {path}")

    def patiently(self, action: Callable[[], Found], doing: str) -> Found:
        """What the action on `files` gives; its `OSError` is waited out or told."""
        try:
            return patiently(action, root=self.root, patience=self.patience)
        except OSError as error:
            free = self.files.free_bytes()
            room = "" if free is None else f"; {free} bytes are free"
            raise StoreError(
                f"{self.root}: cannot {doing} ({error}{room}). Make room or mend the rights there, "
                "or give another --store; what is committed is safe."
            ) from error

    def reached(self) -> bool:
        """Whether the marker can be read; `OSError` where it must be and cannot."""
        expected = self.must_exist and not self._is_unmarked()
        return marker.reached(self.files, expected=expected)

    def _is_unmarked(self) -> bool:
        """Whether stages lie there without a marker, as the release before it left them."""
        return not self.files.exist([marker.MARKER])[0] and any(
            is_committed(found) for _, found in self._walk()
        )

    def _establish(self) -> None:
        if not self.reached():
            marker.establish(self.files)
            self.reached()

    def _which(self, keys: list[str]) -> frozenset[str]:
        """A mount may go and come between two looks: a "no" counts if said on both sides of it."""
        found = self._look(keys)
        absent = [key for key in keys if key not in found]
        return found | self._look(absent) if absent and self.reached() else found

    def _look(self, keys: list[str]) -> frozenset[str]:
        there = self.files.exist([at(key, COMMIT) for key in keys])
        return frozenset(key for key, yes in zip(keys, there, strict=True) if yes)

    def _put(self, key: str, files: Mapping[str, bytes]) -> bool:
        self._establish()
        if self._which([key]):
            return False
        commit = draft(files)
        own, named, made = stored_names(commit), False, False
        try:
            for name, content in files.items():
                self.files.write(at(key, commit[name]["file"]), content)
            self.files.sync(at(key, stored) for stored in own)
            if not self._which([key]):  # looks at the marker too: not into an empty mount point
                named = True
                made = self.files.create(at(key, COMMIT), json.dumps(commit, indent=1).encode())
        finally:
            won = named and self._may_have_won(key, own)
            if not won:
                self._withdraw(key, own)
        return won and made

    def _may_have_won(self, key: str, own: set[str]) -> bool:
        """Whether COMMIT names a writer's files. An error does not say that it was not renamed."""
        try:
            return own <= self._named(key)
        except (OSError, StoreError):
            return True

    def _withdraw(self, key: str, own: set[str]) -> None:
        with suppress(OSError):
            for stored in own:
                self.files.remove(at(key, stored))
            self._prune(at(key, COMMIT))

    def _get(self, key: str, names: Iterable[str] | None) -> dict[str, bytes]:
        commit = self._commit(key)
        try:
            return {name: read_file(self.files, key, name, commit) for name in names or commit}
        except Damaged:
            if self._commit(key) == commit:
                raise
        return self._get(key, names)  # it was dropped and committed anew while we read

    def _commit(self, key: str) -> Commit:
        while True:
            with suppress(FileNotFoundError):
                return read_commit(self.files, at(key, COMMIT))
            if not self._which([key]):  # else it was committed just now
                raise Missing(f"stage {key} is not in {self.root}.")

    def _named(self, key: str) -> set[str]:
        """The files that a key's COMMIT names; none without one."""
        try:
            return stored_names(self._commit(key))
        except Missing:
            return set()

    def _info(self, key: str) -> StageInfo:
        commit = self._commit(key)
        sizes = {file.name: file for file in self.files.listing(at(key, ""))}
        if COMMIT not in sizes:
            raise Missing(f"stage {key} is not in {self.root}.")
        for stored in stored_names(commit):
            if stored not in sizes:
                raise damaged(self.files, at(key, stored), "it is gone")
        total = sum(sizes[stored].bytes for stored in stored_names(commit))
        return StageInfo(key, total, sizes[COMMIT].modified, tuple(commit))

    def _leftovers(self, key: str) -> list[Seen]:
        try:
            named = self._named(key) | {COMMIT}
        except Damaged:
            return []
        return [file for file in self.files.listing(at(key, "")) if file.name not in named]

    def _drop(self, key: str) -> None:
        if self._which([key]):
            gone = f"{COMMIT}.{uuid.uuid4().hex[:8]}.tmp"
            self._take_away(key, at(key, gone), lambda stored: self.files.remove(at(key, stored)))
            self.files.remove(at(key, gone))
        self._prune(at(key, COMMIT))

    def _take_away(self, key: str, to: str, take: Callable[[str], object]) -> None:
        """Rename COMMIT, so that of two who do so one has it; then take what that one names."""
        try:
            self.files.move(at(key, COMMIT), to)
            named = stored_names(read_commit(self.files, to))
        except (FileNotFoundError, Damaged):
            named = set()
        for stored in named:
            take(stored)

    def _prune(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        self.files.remove_empty(folder)
        if "/" in folder:
            self.files.remove_empty(folder.rpartition("/")[0])

    def _folders(self) -> dict[str, list[Seen]]:
        found = dict(self._walk())
        self.reached()
        return found

    def _walk(self) -> Iterator[tuple[str, list[Seen]]]:
        for shelf in self.files.folders():
            stages: dict[str, list[Seen]] = {}
            for file in self.files.listing(shelf) if len(shelf) == 2 else ():
                stages.setdefault(file.path.split("/")[1], []).append(file)
            yield from sorted(stages.items())
