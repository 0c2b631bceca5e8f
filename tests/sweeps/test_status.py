"""How far a sweep is, from outside."""

import json
import math

import pytest

from pct.__main__ import main
from sweeps.job import NoSweep, failed, write_outcome
from sweeps.labels import sweep_name
from sweeps.runner import Where
from sweeps.session import alone, begin, run_sweep
from sweeps.status import status_of, summary
from sweeps.store.leases import leases_on
from sweeps.tracking import Tracker
from tests.sweeps.small_sweep import counted_epochs, sweep_of


@pytest.fixture
def broken_off(tmp_path, phantom_data, tracking):
    """A sweep interrupted after five epochs: `never` is done, `ngf.keep` began, `same` is keep."""
    sweep = sweep_of(tmp_path / "OUT", phantom_data)
    with counted_epochs(break_after=5), pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, tracking, Where(here=True))
    return sweep


def states(folder) -> dict[str, str]:
    return {trial.trial: trial.state for trial in status_of(folder).trials}


def test_a_sweep_that_was_killed_is_told_with_how_to_go_on(broken_off):
    found = status_of(broken_off.folder)
    assert not found.going
    assert states(broken_off.folder) == {
        "never": "finished", "ngf.keep": "stopped", "ngf.drop": "stopped", "same": "stopped",
    }  # fmt: skip
    never, keep, drop, _ = found.trials
    assert (never.epochs, keep.epochs, drop.epochs) == (4, 1, 0)
    assert never.epoch_seconds > 0
    assert math.isnan(drop.epoch_seconds)
    assert math.isfinite(never.best)
    assert summary(found) == (
        "4 trials: 1 finished, 3 stopped; 5 of 16 epochs written; the same pct sweep goes on"
    )


def test_under_way_the_leased_run_and_the_others_wait_a_twin_with_its_run(broken_off):
    keep = next(job for job in broken_off.jobs if job.leaf == "ngf.keep")
    with (
        alone(broken_off.folder),
        leases_on(broken_off.store, sweep_name(broken_off)) as leases,
    ):
        assert leases.take(keep.course, allowed=lambda others: True)
        found = status_of(broken_off.folder)
    assert found.going
    assert [trial.state for trial in found.trials] == ["finished", "running", "waiting", "waiting"]
    assert found.trials[3].note == "the same run as ngf.keep"
    assert summary(found).endswith("5 of 16 epochs written")


def test_a_trial_that_failed_says_why(broken_off):
    keep = next(job for job in broken_off.jobs if job.leaf == "ngf.keep")
    write_outcome(keep, failed(keep, "epoch 2: loss/g is nan"))
    (trial,) = [t for t in status_of(broken_off.folder).trials if t.trial == "ngf.keep"]
    assert (trial.state, trial.note) == ("failed", "epoch 2: loss/g is nan")


def test_the_command_prints_a_row_a_trial_or_json(broken_off, capsys):
    assert main(["status", str(broken_off.folder)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["trial", "state", "epochs", "s/epoch", "best"]
    assert printed[1].split()[:3] == ["never", "finished", "4/4"]
    assert main(["status", str(broken_off.folder), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert [trial["trial"] for trial in plain["trials"]] == [j.leaf for j in broken_off.jobs]
    assert plain["trials"][2]["best"] is None  # JSON knows no NaN


def test_a_folder_without_a_sweep_is_told(tmp_path, capsys):
    with pytest.raises(NoSweep):
        status_of(tmp_path)
    assert main(["status", str(tmp_path)]) == 2
    assert "no sweep here" in capsys.readouterr().err


def test_a_sweep_is_seen_before_its_first_epoch(tmp_path, phantom_data, tracking):
    sweep = sweep_of(tmp_path / "OUT", phantom_data)
    sweep.folder.mkdir()
    tracker = Tracker(tracking, experiment="e", sweep=sweep_name(sweep), tags={})
    begin(sweep, sweep, tracker)
    assert set(states(sweep.folder).values()) == {"stopped"}
    assert len(status_of(sweep.folder).trials) == 4
