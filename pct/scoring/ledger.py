"""The ledger of the test set: every opening, by whom, when and for which model. No torch."""

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from pct.scoring.rows import append_parquet, read_rows

LEDGER = "test_ledger.parquet"
"""In the data folder."""


@dataclass(frozen=True)
class Entrant:
    """What is scored: a model, or a folder of pseudo-CTs that another program made."""

    name: str
    """In tables; of a model trial@epoch."""
    digest: str
    """The start of a hash of its weights, or of its files."""


def open_test_set(data: Path, entrant: Entrant) -> None:
    """Record in DATA/test_ledger.parquet who scores what on the test set, and when."""
    row = {
        "time_utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": getpass.getuser(),
        "model": entrant.name,
        "model_digest": entrant.digest,
    }
    append_parquet(data / LEDGER, pd.DataFrame([row]), unique=["time_utc", "model_digest"])


def opened_for(data: Path, entrant: Entrant) -> str | None:
    """When the test set was first opened for this very entrant, in UTC; None if it never was."""
    ledger = read_rows(data / LEDGER)
    if ledger.empty:
        return None
    own = ledger[ledger["model_digest"] == entrant.digest]
    return str(own["time_utc"].min()) if len(own) else None


def openings(data: Path, entrant: Entrant | None = None) -> int:
    """How often the test set was opened: for this very entrant, or for anything at all."""
    ledger = read_rows(data / LEDGER)
    if entrant is None or ledger.empty:
        return len(ledger)
    return int((ledger["model_digest"] == entrant.digest).sum())
