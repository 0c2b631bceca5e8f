"""Parquet tables that grow row by row: read, and added to under a temporary name. No torch."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from filelock import FileLock
from pyarrow import ArrowInvalid

from data_prep.atomic import renamed
from data_prep.errors import PctError


class BadTable(PctError):
    """A file that is no table of scores."""


def append_parquet(path: Path, rows: pd.DataFrame, *, unique: Sequence[str]) -> pd.DataFrame:
    """Add rows to a Parquet table, newer ones replacing older with equal `unique` columns.

    Several programs may add to one table at once: each waits for its turn.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        merged = pd.concat([read_rows(path), rows]).drop_duplicates(list(unique), keep="last")
        with renamed(path) as temporary:
            merged.reset_index(drop=True).to_parquet(temporary)
    return merged


def read_rows(path: Path) -> pd.DataFrame:
    """A Parquet table; an empty one where there is no file. Something else is `BadTable`."""
    if not path.exists():
        return pd.DataFrame()
    try:
        return pd.read_parquet(path)
    except (ArrowInvalid, OSError) as error:
        raise BadTable(
            f"{path}: cannot be read as Parquet ({error}). Give another file."
        ) from error
