"""The test set, opened for a champion: once, on record, and told to MLflow."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow.entities import Metric

from pct.scoring.cohort import cohort
from pct.scoring.entrants import OnCase, Way, candidates
from pct.scoring.kept import kept_scores, score_and_keep
from pct.scoring.ledger import opened_for
from sweeps.place import tracking_place
from sweeps.promotion.gate import Refused
from sweeps.promotion.promote import Promotion, run_of
from sweeps.promotion.registry import NAME, TESTED, answering
from sweeps.tracking import client_at

SCORES = "scores.parquet"
"""In the sweep's folder: the table that its report reads."""


@dataclass(frozen=True)
class Tested:
    """Test scores of a champion."""

    rows: pd.DataFrame
    before: str
    """When the test set had been opened for it before, in UTC; empty where that was now."""


def open_test_set_for(
    made: Promotion, folder: Path, *, tracking: str | None, on_case: OnCase
) -> Tested:
    """Score a champion on the test patients of its data and add the rows to DIR/scores.parquet.

    Done before, the stored rows come back and nothing is opened. Means and SDs go into the trial's
    run as `test/...`, and when the test set was first opened for it into the version's tags.
    """
    place, data, table = tracking_place(folder, tracking), Path(made.data), folder / SCORES
    version = [f"models:/{NAME}/{made.version}"]
    way = Way(tracking=place.uri)
    (candidate,) = candidates(version, pred=None, name=None, data=data, split="test", way=way)
    kept = kept_scores(candidate, data, table)
    if kept is None and (when := opened_for(data, candidate.entrant)):
        raise Refused(
            f"{table}: lacks the test scores of {made.trial}, though the test set was opened for "
            f"it on {when}: add the table that they went to, or open it once more, on record: "
            f"pct score {version[0]} --data {data} --split test --to {table} --again"
        )
    if kept is None:
        scored = score_and_keep(candidate, data, "test", table, on_case=on_case)
    rows = kept.rows if kept else scored.rows
    client = client_at(place)
    with answering(place):
        run_id = run_of(folder, made.trial)
        if not any(name.startswith("test/") for name in client.get_run(run_id).data.metrics):
            client.log_batch(run_id, metrics=_metrics(rows))
        when = str(opened_for(data, candidate.entrant))
        client.set_model_version_tag(NAME, made.version, TESTED, when)
    return Tested(rows, kept.opened if kept else "")


def _metrics(rows: pd.DataFrame) -> list[Metric]:
    """Cohort means and SDs as MLflow has them of the validation patients; what is undefined not."""
    now = int(time.time() * 1000)
    return [
        Metric(f"test/{row['metric']}{ending}", float(row[column]), now, 0)
        for row in cohort(rows).to_dict("records")
        for ending, column in (("", "mean"), ("_sd", "sd"))
        if math.isfinite(row[column])
    ]
