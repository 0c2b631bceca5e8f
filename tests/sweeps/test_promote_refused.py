"""What `pct promote` refuses whatever it is told, and what it finds to be there already."""

import json

import pandas as pd
import pytest

from data_prep.errors import PctError
from pct.__main__ import main
from pct.alone import alone
from sweeps.job import read_outcome, write_outcome
from sweeps.promotion.registry import CHAMPION, NAME


def test_data_prepared_anew_are_refused_even_by_force(promotable, capsys):
    path = promotable.folder / "sweep.json"
    summary = json.loads(path.read_text())
    summary["data"]["digest"] = "0" * 64
    path.write_text(json.dumps(summary))
    assert promotable.pct("--trial", "one", "--force", "--note", "why") == 2
    told = capsys.readouterr().err
    assert "has changed since the sweep: its digest was 000000000000" in told
    assert promotable.numbers() == []


def test_the_same_weights_by_another_trial_are_the_champion_already(promotable, capsys):
    one, two = promotable.job("one"), promotable.job("two")
    outcome = read_outcome(one)
    assert promotable.pct("--trial", "one") == 0
    end = read_outcome(two)
    write_outcome(two, end.model_copy(update={"last_stage": outcome.last_stage}))
    assert promotable.pct("--trial", "two", "--note", "lost") == 0
    told = capsys.readouterr().out
    assert "two is the champion already: models:/pct@champion, version 1" in told
    assert "The note is not kept" in told
    assert promotable.numbers() == [1]


def test_a_registry_without_a_champion_is_not_an_empty_one(promotable, capsys):
    assert promotable.pct("--trial", "one") == 0
    promotable.client.delete_registered_model_alias(NAME, CHAMPION)
    assert promotable.pct("--trial", "two") == 2
    assert "no version is champion, of 1 that the registry has" in capsys.readouterr().err


def test_another_trials_scores_are_not_its_own(promotable, capsys):
    scores = pd.read_parquet(promotable.job("one").scores)
    scores.to_parquet(promotable.job("two").scores)
    assert promotable.pct("--trial", "two") == 2
    assert "holds the scores of one, expected this trial's own" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["jobs.json", "sweep.json"])
def test_a_damaged_record_of_the_sweep_is_told_in_words(promotable, capsys, name):
    (promotable.folder / name).write_text('{"torn')
    assert promotable.pct("--trial", "one") == 2
    assert f"{name}: is" in capsys.readouterr().err


def test_one_works_in_a_folder_at_a_time(promotable, capsys):
    with alone(promotable.folder, busy=PctError("busy")):
        assert promotable.pct("--trial", "one") == 2
    assert "a sweep, or another promotion, is at work there" in capsys.readouterr().err


def test_a_missing_database_is_not_made(promotable, tmp_path, capsys):
    absent = tmp_path / "absent.db"
    place = ["--tracking", f"sqlite:///{absent}"]
    assert main(["promote", str(promotable.folder), "--trial", "one", *place]) == 2
    assert f"there is no {absent}" in capsys.readouterr().err
    assert not absent.exists()
