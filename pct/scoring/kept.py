"""Scores that are kept: computed once, added to a table, an opening of the test set recorded."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_prep.schema import Split
from pct.scoring.entrants import Candidate, OnCase, Scored
from pct.scoring.ledger import open_test_set, opened_for
from pct.scoring.rows import append_parquet, read_rows

ROW = ["trial", "case", "split", "metric", "geometry", "background"]
"""What makes a row of a table of scores."""

DIGEST = "model_digest"
"""Column of the entrant's digest, as in the ledger: two models may have one name."""


@dataclass(frozen=True)
class Kept:
    """Test scores of an entrant that a table holds already."""

    rows: pd.DataFrame
    opened: str
    """When the test set was first opened for it, in UTC."""


def kept_scores(candidate: Candidate, data: Path, to: Path) -> Kept | None:
    """The test scores of this very entrant in the table `to`; None where it has none there."""
    entrant = candidate.entrant
    opened, rows = opened_for(data, entrant), read_rows(to)
    if not opened or DIGEST not in rows:  # a sweep's table has none
        return None
    own = rows[(rows[DIGEST] == entrant.digest) & (rows["trial"] == entrant.name)]
    own = own[own["split"] == "test"]
    own = own[(own["geometry"] == candidate.geometry) & (own["background"] == candidate.background)]
    return None if own.empty else Kept(own, opened)


def score_and_keep(
    candidate: Candidate,
    data: Path,
    split: Split,
    to: Path,
    *,
    on_case: OnCase = lambda done, case: None,
) -> Scored:
    """Score a candidate and add its rows to the table `to`.

    An opening of the test set is in the ledger before anybody sees a number of it.
    """
    read_rows(to)  # what is no table is refused before the work
    entrant = candidate.entrant
    scored = candidate.score(entrant.name, on_case)
    if split == "test":
        open_test_set(data, entrant)
    append_parquet(to, scored.rows.assign(**{DIGEST: entrant.digest}), unique=ROW)
    return scored
