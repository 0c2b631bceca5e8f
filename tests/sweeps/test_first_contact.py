"""Several programs that meet a tracking database for the first time, at once."""

import multiprocessing
import time
from pathlib import Path

import pytest

from sweeps.tracking import Place, Tracker, client_at
from tests.sweeps.writers import all_at_once, begin_sweep


def contact(folder: Path, name: str) -> None:
    place = Place(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    Tracker(place, experiment="shared", sweep=name, tags={})


@pytest.mark.parametrize("writers", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_all_programs_find_the_schema_and_one_experiment(tmp_path, writers):
    """Fault 12: MLflow's own first contact leaves one of eight alive."""
    place = Place(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    assert all_at_once(begin_sweep, place, writers) == [0] * writers
    client = client_at(place)
    shared = [e for e in client.search_experiments() if e.name == "shared"]
    assert len(shared) == 1
    assert len(client.search_runs([shared[0].experiment_id])) == writers


def test_a_program_killed_while_it_makes_the_database_leaves_none(tmp_path):
    context = multiprocessing.get_context("spawn")
    doomed = context.Process(target=contact, args=(tmp_path, "doomed"))
    doomed.start()
    new, deadline = tmp_path / ".mlflow.db.new", time.monotonic() + 120
    while not (new.exists() and new.stat().st_size > 50_000) and time.monotonic() < deadline:
        time.sleep(0.001)
    doomed.kill()
    doomed.join()
    assert new.exists(), "killed too late: the test proves nothing"
    assert not (tmp_path / "mlflow.db").exists()
    contact(tmp_path, "again")
    assert (tmp_path / "mlflow.db").exists()
    assert not new.exists()
