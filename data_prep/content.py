"""Whether a case's files are the ones its results were made from: by content, not by name."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from data_prep.pairing import Case
from data_prep.parquet import sha256_of

Stamps = list[list[int]]
"""Size and times of change of each file. While these stay, contents are taken to be the same."""


def stamps_of(case: Case) -> Stamps:
    """Sizes and times of a case's files, in the order of their paths; absent ones are left out."""
    found = [path.stat() for path in _files(case)]
    return [[stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] for stat in found]


def content_of(case: Case) -> str:
    """sha256 over what a case's files hold. Names, places and times of files do not count."""
    digest = hashlib.sha256(b"pct-content-1")
    for root in _roots(case):
        hashes = sorted(sha256_of(path) for path in _below(root))
        digest.update(f"{len(hashes)} files".encode() + "".join(hashes).encode())
    return digest.hexdigest()


def _roots(case: Case) -> list[Path]:
    return [path for path in (case.mr, case.ct, case.head) if path is not None]


def _files(case: Case) -> Iterator[Path]:
    for root in _roots(case):
        yield from _below(root)


def _below(root: Path) -> list[Path]:
    paths = sorted(root.rglob("*")) if root.is_dir() else [root]
    return [path for path in paths if path.is_file()]
