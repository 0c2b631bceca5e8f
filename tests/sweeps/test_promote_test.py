"""`pct promote --test`: the test set opened for a champion, once, and told."""

import pandas as pd
import pytest

from pct.__main__ import main
from pct.scoring.ledger import LEDGER, openings
from sweeps.promotion.promote import run_of


def rows_of(promotable):
    table = pd.read_parquet(promotable.folder / "scores.parquet")
    return table[table["split"] == "test"]


def test_the_test_set_is_opened_once_on_record_and_told_to_the_run(promotable, capsys):
    assert promotable.pct("--trial", "one", "--test") == 0
    told = capsys.readouterr().out
    assert "The test set was opened for it, which is on record." in told
    assert "pct score" not in told, "that has been done"
    assert openings(promotable.data) == 1
    rows, run_id = rows_of(promotable), run_of(promotable.folder, "one")
    metrics = promotable.client.get_run(run_id).data.metrics
    of_mae = rows.loc[rows["metric"] == "mae_head", "value"]
    assert metrics["test/mae_head"] == pytest.approx(of_mae.mean())
    ledger = pd.read_parquet(promotable.data / LEDGER)
    assert promotable.version(1).tags["pct.tested_utc"] == ledger["time_utc"].iloc[0]

    assert promotable.pct("--trial", "one", "--test") == 0
    assert "already, not again" in capsys.readouterr().out
    assert openings(promotable.data) == 1
    assert len(rows_of(promotable)) == len(rows)
    history = promotable.client.get_metric_history(run_id, "test/mae_head")
    assert len(history) == 1


def test_without_it_the_test_set_stays_shut(promotable):
    assert promotable.pct("--trial", "one") == 0
    assert openings(promotable.data) == 0
    assert "pct.tested_utc" not in promotable.version(1).tags


def test_a_refused_trial_opens_nothing(promotable, capsys):
    promotable.score("one", mr_leak=0.5)
    assert promotable.pct("--trial", "one", "--test") == 2
    assert openings(promotable.data) == 0
    assert "mr_leak 0.50, at most 0.20" in capsys.readouterr().err


def test_a_way_back_takes_no_test(promotable, capsys):
    assert promotable.pct("--rollback", "--test") == 2
    assert "none of --trial, --force and --test" in capsys.readouterr().err


def test_opened_by_another_way_it_is_not_opened_again_unasked(promotable, capsys, tmp_path):
    assert promotable.pct("--trial", "one") == 0
    place = ["--tracking", promotable.place.uri, "--data", str(promotable.data), "--split", "test"]
    elsewhere = str(tmp_path / "other.parquet")
    assert main(["score", "models:/pct@champion", *place, "--to", elsewhere]) == 0
    assert promotable.pct("--trial", "one", "--test") == 2
    assert "though the test set was opened for it on" in capsys.readouterr().err
    assert openings(promotable.data) == 1
