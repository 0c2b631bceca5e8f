"""Pseudonyms: a keyed hash of the patient's id, the key kept beside the data, never in it.

DATA.private holds the `key` (32 random bytes in hexadecimal, mode 0600), its `fingerprint` (or
`keep`) once cases have ids, `ids.csv` (pseudonym and patient id), `pairing.csv` (every series and
why it was taken or not) and `work/` (records of cases, images of unfinished ones). It is never
shipped.
"""

import csv
import hashlib
import hmac
import io
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_prep.errors import PctError

IdPolicy = Literal["hash", "keep"]

_KEPT = "keep"
_LOST = "lost"
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

    Raises `IdError` when cases have ids by another key or policy, also in a run that was stopped
    before it wrote a manifest, and when the key is gone.
    """
    made_with = _made_with(data)
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


def store_ids(data: Path, names: Pseudonyms, subjects: Mapping[str, str]) -> None:
    """Note in DATA.private what ids are made with and, where hidden, whose they are.

    `subjects` maps a patient's id to the case id. From here on another key or policy is refused.
    """
    private = private_folder(data)
    _write_private(private / "fingerprint", names.fingerprint + "\n")
    if names.key is not None:
        rows = sorted((case, patient) for patient, case in subjects.items())
        write_table(private / "ids.csv", ("subject", "patient"), rows)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV for the private folder, readable by its owner alone."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    _write_private(path, text.getvalue())


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", newline="", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def _in_words(fingerprint: str) -> str:
    if fingerprint == _LOST:
        return "a key that is gone"
    return "`--ids keep`" if fingerprint == _KEPT else f"key {fingerprint}"


def _new_key(path: Path) -> bytes:
    """A new key at `path`, whole or not there: an empty one would hide nothing."""
    key = secrets.token_hex(32)
    _write_private(path, key)
    return key.encode()


def _made_with(data: Path) -> str | None:
    """What the ids of `data` were made with; None where no case has one yet.

    The manifest comes first: DATA.private may be another folder's. Without one, a run was stopped.
    """
    private = private_folder_of(data)
    try:
        manifest = json.loads((data / "manifest.json").read_text(encoding="utf-8"))
        return str(manifest["settings"]["id_key"])
    except (OSError, ValueError, KeyError):  # the manifest is read in earnest later
        stored = private / "fingerprint"
    if stored.is_file():
        return stored.read_text(encoding="utf-8").strip()
    return _LOST if (private / "ids.csv").is_file() and not (private / "key").is_file() else None
