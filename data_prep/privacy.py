"""Pseudonyms: a keyed hash of the patient's id, the key kept beside the data, never in it.

DATA.private holds the `key` (32 random bytes in hexadecimal, mode 0600), `ids.csv` (pseudonym and
patient id), `pairing.csv` (every series and why it was taken or not) and `work/` (records of cases,
images of unfinished ones). It is never shipped.
"""

import csv
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_prep.errors import PctError

IdPolicy = Literal["hash", "keep"]

_KEPT = "keep"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class IdError(PctError):
    """Patient ids that cannot be hidden, or not by the key that the data were made with."""


@dataclass(frozen=True)
class Pseudonyms:
    """How patient ids become case ids; without a key they are kept as they are."""

    key: bytes | None

    def of(self, patient: str) -> str:
        """The case id: "p" and 12 hexadecimal digits of an HMAC-SHA256, or the id itself.

        A kept id must do as a file name; another raises `IdError`.
        """
        if self.key is not None:
            return "p" + hmac.new(self.key, patient.encode(), hashlib.sha256).hexdigest()[:12]
        if not _SAFE.fullmatch(patient):
            raise IdError(
                f"patient id {patient!r} cannot name a file: expected letters, digits, '.', '_', "
                "'-'. Prepare with `--ids hash`."
            )
        return patient

    @property
    def fingerprint(self) -> str:
        """What tells one key from another without giving it away; `keep` where there is none."""
        if self.key is None:
            return _KEPT
        return hashlib.sha256(b"pct-key-1:" + self.key).hexdigest()[:16]


def private_folder_of(data: Path) -> Path:
    """DATA.private, beside DATA; whether it is there or not."""
    return data.with_name(data.name + ".private")


def private_folder(data: Path) -> Path:
    """DATA.private, made with mode 0700 if absent."""
    folder = private_folder_of(data)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def open_pseudonyms(data: Path, policy: IdPolicy) -> Pseudonyms:
    """The pseudonyms of a data folder: its stored key, or a new one on the first run.

    Raises `IdError` when the folder was made with another key or policy.
    """
    made_with = _fingerprint_in(data / "manifest.json")
    path = private_folder(data) / "key"
    if policy == "keep":
        found = Pseudonyms(None)
    elif path.is_file():
        found = Pseudonyms(path.read_bytes().strip())
    elif made_with is None:
        found = Pseudonyms(_new_key(path))
    else:
        raise IdError(
            f"{data}: its ids were made with {_in_words(made_with)}, and {path} is absent. Use the "
            "same `--ids`, put DATA.private back, or prepare into a new folder."
        )
    if made_with not in (None, found.fingerprint):
        raise IdError(
            f"{data}: its ids were made with {_in_words(made_with)}, this run has "
            f"{_in_words(found.fingerprint)}. Use the same `--ids` and key, or a new folder."
        )
    return found


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV for the private folder, readable by its owner alone."""
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    temporary.replace(path)


def _in_words(fingerprint: str) -> str:
    return "`--ids keep`" if fingerprint == _KEPT else f"key {fingerprint}"


def _new_key(path: Path) -> bytes:
    key = secrets.token_hex(32).encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
    return key


def _fingerprint_in(manifest: Path) -> str | None:
    """As stored; None where there is no readable manifest (reading it in earnest comes later)."""
    try:
        return str(json.loads(manifest.read_text(encoding="utf-8"))["settings"]["id_key"])
    except (OSError, ValueError, KeyError):
        return None
