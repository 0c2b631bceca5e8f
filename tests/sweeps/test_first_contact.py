"""Several programs that meet a tracking database for the first time, at once."""

import multiprocessing
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
