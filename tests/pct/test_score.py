"""Rows of scores, and the ledger of the test set."""

import getpass
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from data_prep.schema import SliceGrid
from data_prep.shards import list_cases, read_manifest, read_volumes
from pct.metrics import METRIC_VERSION, METRICS
from pct.score import (
    LEDGER,
    append_parquet,
    model_digest,
    open_test_set,
    opened_for,
    score_case,
    score_cases,
    table,
)
from tests.pct.identity import air, identity, model_that

GRID = SliceGrid("resize", 64, 4.0, 12.0)


@pytest.fixture(scope="module")
def rows(phantom_data) -> pd.DataFrame:
    return table(score_cases(model_that(air, grid=GRID), phantom_data, "test"))


def test_every_case_has_a_row_for_every_volume_metric(rows, phantom_data):
    cases = list_cases(phantom_data, "test")
    assert sorted(rows["case"].unique()) == cases
    assert len(rows) == len(cases) * rows["metric"].nunique()
    assert {"ssim", "ssim_masked", "dice_hu250", "mae_head", "edge_bone"} <= set(rows["metric"])
    assert all(METRICS[m].unit == u for m, u in zip(rows["metric"], rows["unit"], strict=True))


def test_every_row_carries_what_decides_whether_it_may_be_compared(rows, phantom_data):
    manifest = read_manifest(phantom_data)
    for column, value in {
        "trial": "exp1@6",
        "split": "test",
        "split_sha": manifest.split_sha,
        "mask_backend": manifest.mask_backends[0],
        "geometry": "train",
        "background": "predicted",
        "metric_version": METRIC_VERSION,
    }.items():
        assert rows[column].unique().tolist() == [value]


def test_rows_say_in_which_geometry_and_with_which_background_they_were_predicted(phantom_data):
    model = model_that(air, grid=GRID, geometry="native_tiles", background="air")
    (geometry, background), = {
        (score.geometry, score.background) for score in score_cases(model, phantom_data, "val")
    }  # fmt: skip
    assert (geometry, background) == ("native_tiles", "air")


def test_a_pseudo_ct_of_air_is_wrong_by_the_ct_itself(rows, phantom_data):
    case = read_volumes(phantom_data, rows["case"][0])
    values = rows.set_index("metric")["value"]
    inside = case.ct.array[case.head.array].astype(float)
    assert values["mae_head"] == pytest.approx(np.abs(inside + 1000).mean(), rel=1e-6)
    assert values["dice_hu250"] == 0.0


def test_cases_are_scored_on_the_grid_of_their_ct_with_slices_first(phantom_data, monkeypatch):
    case = read_volumes(phantom_data, list_cases(phantom_data, "val")[0])
    seen = {}

    def remember(pct, ct, head, skull, spacing_mm):
        seen.update(ct=ct, head=head, skull=skull, spacing_mm=spacing_mm)
        return {}

    monkeypatch.setattr("pct.score.score_volume", remember)
    score_case(model_that(identity, grid=GRID), case)
    np.testing.assert_array_equal(seen["ct"], case.ct.array.transpose(2, 1, 0))
    np.testing.assert_array_equal(seen["skull"], case.skull.array.transpose(2, 1, 0))
    assert seen["head"].shape == seen["ct"].shape
    assert seen["spacing_mm"] == pytest.approx(case.ct.spacing_mm[::-1])


def test_a_trials_name_may_be_given_and_each_case_is_told(phantom_data):
    told = []
    scores = score_cases(
        model_that(air, grid=GRID),
        phantom_data,
        "val",
        trial="exp2",
        on_case=lambda done, case: told.append((done, case)),
    )
    assert {score.trial for score in scores} == {"exp2"}
    assert told == list(enumerate(list_cases(phantom_data, "val"), 1))


def test_newer_rows_replace_older_ones_with_the_same_key(tmp_path):
    path = tmp_path / "deep" / "scores.parquet"
    first = pd.DataFrame({"trial": ["a", "b"], "value": [1.0, 2.0]})
    append_parquet(path, first, unique=["trial"])
    merged = append_parquet(
        path, pd.DataFrame({"trial": ["b", "c"], "value": [9.0, 3.0]}), unique=["trial"]
    )
    assert merged.set_index("trial")["value"].to_dict() == {"a": 1.0, "b": 9.0, "c": 3.0}
    assert pd.read_parquet(path).set_index("trial")["value"].to_dict() == {"a": 1, "b": 9, "c": 3}
    assert [p.name for p in path.parent.iterdir()] == ["scores.parquet"]


def test_the_ledger_says_who_opened_the_test_set_when_and_for_which_model(tmp_path):
    model = model_that(air, grid=GRID)
    assert opened_for(tmp_path, model) is None
    open_test_set(tmp_path, model)
    (row,) = pd.read_parquet(tmp_path / LEDGER).to_dict("records")
    assert row["who"] == getpass.getuser()
    assert (row["model"], row["model_digest"]) == ("exp1@6", model_digest(model))
    when = datetime.fromisoformat(row["time_utc"])
    assert timedelta() <= datetime.now(UTC) - when < timedelta(minutes=1)
    assert re.fullmatch(r".*\+00:00", row["time_utc"])
    assert opened_for(tmp_path, model) == row["time_utc"]


def test_another_model_of_the_same_trial_opens_the_test_set_for_itself(tmp_path):
    one, other = model_that(air, grid=GRID), model_that(air, grid=GRID)
    other.card["stage"] = "0" * 32
    open_test_set(tmp_path, one)
    assert opened_for(tmp_path, other) is None
    open_test_set(tmp_path, other)
    assert len(pd.read_parquet(tmp_path / LEDGER)) == 2
