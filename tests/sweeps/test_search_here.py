"""A search that trains in this process: from recipe to front, and on with another point."""

import pandas as pd
import pytest

from sweeps import spool
from sweeps.runner import Where
from sweeps.search.front import front_lines
from sweeps.session import run_sweep
from tests.sweeps.made_up import TRIAL, search_of, table_of
from tests.sweeps.small_sweep import counted_epochs


def test_a_search_trains_judges_by_its_histories_and_goes_on(tmp_path, phantom_data, tracking):
    def sweep(points):
        return search_of(
            tmp_path / "s", phantom_data, points=points, trials={"a": TRIAL},
            minimise=["val3d/mae_head"], maximise=["val/psnr_masked"], exhaust=["switch"],
        )  # fmt: skip

    with counted_epochs() as trained:
        result = run_sweep(sweep(1), tracking, Where(here=True))
    # Keep trains epochs 1-4; a drop after 1, 2 or 3 trains what is left.
    assert len(trained) == result.unique_epochs == 4 + 3 + 2 + 1
    with counted_epochs() as more:
        run_sweep(sweep(2), tracking, Where(here=True))
    assert len(more) == 10
    table = table_of(sweep(2))
    assert list(table["state"]) == ["COMPLETE"] * 2
    scores = pd.read_parquet(tmp_path / "s" / "scores.parquet")
    for row in table.to_dict("records"):
        lines = spool.epochs(tmp_path / "s" / "spool" / f"{row['leaf']}.jsonl")
        since = int(row["$switch"]) if row["leaf"].endswith("drop") else 1
        looks = [line["metrics"]["val/psnr_masked"] for line in lines if line["epoch"] > since]
        assert row["val/psnr_masked"] == pytest.approx(pd.Series(looks).median())
        own = scores[(scores["trial"] == row["leaf"]) & (scores["metric"] == "mae_head")]
        assert row["val3d/mae_head"] == pytest.approx(own["value"].mean())
        assert row["val3d/mae_head"] == own_best(scores, row["leaf"][:4])
    assert front_lines(tmp_path / "s")[0] == "front of 2 points:"


def own_best(scores: pd.DataFrame, point: str) -> float:
    """The lowest mean of a point's leaves."""
    rows = scores[scores["trial"].str.startswith(point) & (scores["metric"] == "mae_head")]
    return float(rows.groupby("trial")["value"].mean().min())
