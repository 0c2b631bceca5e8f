"""Several programs that meet a tracking database for the first time, at once."""

import multiprocessing
import time
from pathlib import Path

from sweeps.tracking import Place, Tracker, client_at


def contact(folder: Path, name: str) -> None:
    place = Place(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    Tracker(place, experiment="shared", sweep=name, tags={})


def test_all_find_the_schema_and_one_experiment(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=contact, args=(tmp_path, f"s{n}")) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    client = client_at(Place(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts"))
    shared = [e for e in client.search_experiments() if e.name == "shared"]
    assert len(shared) == 1
    assert len(client.search_runs([shared[0].experiment_id])) == 3


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
