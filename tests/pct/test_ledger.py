"""The ledger of the test set, and tables that grow."""

import getpass
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from pct.scoring.ledger import LEDGER, Entrant, open_test_set, opened_for
from pct.scoring.rows import BadTable, append_parquet, read_rows

EXP1 = Entrant("exp1@6", "5ca1ab1e")


def test_the_ledger_says_who_opened_the_test_set_when_and_for_which_model(tmp_path):
    assert opened_for(tmp_path, EXP1) is None
    open_test_set(tmp_path, EXP1)
    (row,) = pd.read_parquet(tmp_path / LEDGER).to_dict("records")
    assert row["who"] == getpass.getuser()
    assert (row["model"], row["model_digest"]) == ("exp1@6", "5ca1ab1e")
    when = datetime.fromisoformat(row["time_utc"])
    assert timedelta() <= datetime.now(UTC) - when < timedelta(minutes=1)
    assert re.fullmatch(r".*\+00:00", row["time_utc"])
    assert opened_for(tmp_path, EXP1) == row["time_utc"]


def test_another_model_of_the_same_name_opens_the_test_set_for_itself(tmp_path):
    other = Entrant("exp1@6", "deadbeef")
    open_test_set(tmp_path, EXP1)
    assert opened_for(tmp_path, other) is None
    open_test_set(tmp_path, other)
    assert len(pd.read_parquet(tmp_path / LEDGER)) == 2


def test_newer_rows_replace_older_ones_with_the_same_key(tmp_path):
    path = tmp_path / "deep" / "scores.parquet"
    first = pd.DataFrame({"trial": ["a", "b"], "value": [1.0, 2.0]})
    append_parquet(path, first, unique=["trial"])
    merged = append_parquet(
        path, pd.DataFrame({"trial": ["b", "c"], "value": [9.0, 3.0]}), unique=["trial"]
    )
    assert merged.set_index("trial")["value"].to_dict() == {"a": 1.0, "b": 9.0, "c": 3.0}
    assert pd.read_parquet(path).set_index("trial")["value"].to_dict() == {"a": 1, "b": 9, "c": 3}
    shown = [p.name for p in path.parent.iterdir() if p.suffix != ".lock"]
    assert shown == ["scores.parquet"]


def test_a_file_that_is_no_table_is_named_and_left_alone(tmp_path):
    path = tmp_path / "scores.parquet"
    path.write_bytes(b"no table")
    with pytest.raises(BadTable, match=r"scores.parquet: cannot be read as Parquet"):
        append_parquet(path, pd.DataFrame({"trial": ["a"]}), unique=["trial"])
    assert path.read_bytes() == b"no table"
    assert read_rows(tmp_path / "absent.parquet").empty


def test_openings_at_once_are_all_on_record(tmp_path):
    names = [f"model-{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: open_test_set(tmp_path, Entrant(name, name)), names))
    assert sorted(read_rows(tmp_path / LEDGER)["model"]) == sorted(names)
