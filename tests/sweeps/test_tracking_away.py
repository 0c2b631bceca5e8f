"""The tracking server goes away while a sweep trains, comes back, or does not. Fault 11."""

import statistics
import threading
import time
from itertools import pairwise

import pandas as pd
import pytest

from pct import train as training
from sweeps import spool
from sweeps.runner import Where
from sweeps.session import run_sweep
from sweeps.tracking import NoTracking, Place, client_at, tracker
from tests.sweeps.small_sweep import counted_epochs, sweep_of

FORK = {"ngf": {"schedule": {"lambda_ngf": {0: 20, 2: {"keep": 20, "drop": 0}}}}}


def place_at(uri: str, folder) -> Place:
    return Place(uri, folder / "artifacts")


@pytest.fixture
def at_epoch(monkeypatch):
    """Calls a function as the n-th epoch of all begins."""
    calls, begun = {}, []
    train_epoch = training.train_epoch

    def act(*args, **kwargs):
        begun.append(1)
        calls.get(len(begun), lambda: None)()
        return train_epoch(*args, **kwargs)

    monkeypatch.setattr(training, "train_epoch", act)
    return calls


@pytest.fixture
def away(door, monkeypatch):
    """Takes the server away, or leaves nobody behind its address; calls wait a second for it."""

    def go(*, on_nobody: bool = False) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        door.open(on_nobody=True) if on_nobody else door.shut()

    return go


@pytest.fixture
def back(door, monkeypatch):
    """Brings it back; a call may then take its time, as on a busy machine it does."""

    def come() -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        door.open()

    return come


def assert_all_arrived(sweep, place) -> None:
    """Each run of the table holds its spool: each epoch of each metric once, in order."""
    client = client_at(place)
    run_ids = pd.read_parquet(sweep.folder / "trials.parquet").set_index("trial")["run_id"]
    for job in sweep.jobs:
        lines = spool.epochs(job.spool)
        assert [line["epoch"] for line in lines] == list(range(1, job.run.epochs + 1))
        run = client.get_run(run_ids[job.leaf])
        assert run.info.status == "FINISHED"
        for metric in {name for line in lines for name in line["metrics"]}:
            points = client.get_metric_history(run.info.run_id, metric)
            told = [(n["epoch"], n["metrics"][metric]) for n in lines if metric in n["metrics"]]
            assert [(point.step, point.value) for point in points] == told, metric
        for metric in run.data.metrics:
            steps = [point.step for point in client.get_metric_history(run.info.run_id, metric)]
            assert all(a < b for a, b in pairwise(steps)), metric
        images = [item.path for item in client.list_artifacts(run.info.run_id, "images")]
        assert len(images) == 2 * len(list((sweep.folder / "panels" / job.leaf).glob("epoch-*")))


@pytest.mark.parametrize("on_nobody", [False, True], ids=["refused", "never answered"])
def test_an_outage_slows_no_epoch_and_loses_nothing(
    tmp_path, phantom_data, door, at_epoch, away, back, on_nobody, caplog
):
    sweep = sweep_of(tmp_path / f"away{on_nobody}", phantom_data, FORK)
    place = place_at(door.uri, tmp_path)

    def go() -> None:
        time.sleep(1.2)  # the runs are made meanwhile, and the first epoch told
        away(on_nobody=on_nobody)

    def linger() -> None:
        time.sleep(3.5 if on_nobody else 2.5)  # two calls fail

    at_epoch |= {2: go, 4: linger, 6: back}
    run_sweep(sweep, place, Where(here=True))
    assert_all_arrived(sweep, place)
    assert [r.message[:11] for r in caplog.records if "is late" in r.message] == ["tracking of"]


def test_runs_that_begin_during_an_outage_are_made_when_it_is_over(
    tmp_path, phantom_data, door, at_epoch, away, back
):
    """A search registers its points while it trains."""
    from sweeps.recipe import load_recipe
    from sweeps.sweep import prepare_sweep

    path = tmp_path / "searched.yaml"
    path.write_text(
        "base: smoke\nepochs: 1\ndata: {size: 32}\nval: {slices: 1}\n"
        "space: {ngf: {low: 1, high: 100, log: true}}\n"
        "trials: {one: {schedule: {lambda_ngf: $ngf}}}\n"
        "search: {sampler: random, minimise: [val3d/mae_head], points: 3, seed: 1}\n"
    )
    sweep = prepare_sweep(load_recipe(str(path)), data=phantom_data, folder=tmp_path / "points")
    place = place_at(door.uri, tmp_path)
    at_epoch |= {1: lambda: away(on_nobody=True), 3: back}
    began = time.monotonic()
    result = run_sweep(sweep, place, Where(here=True))
    assert time.monotonic() - began < 60
    runs = client_at(place).search_runs(
        [result.experiment_id], f"tags.`pct.kind` = 'trial' and tags.`pct.sweep` = '{result.sweep}'"
    )
    assert sorted(run.info.run_name for run in runs) == ["p00-one", "p01-one", "p02-one"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_server_that_stays_away_leaves_the_sweep_whole_and_the_next_session_sends(
    tmp_path, phantom_data, door, at_epoch, monkeypatch
):
    monkeypatch.setattr(tracker, "LAST_TRY_SECONDS", 0.5)
    sweep = sweep_of(tmp_path / "gone", phantom_data, FORK)
    place, told = place_at(door.uri, tmp_path), []
    at_epoch |= {1: door.shut}
    result = run_sweep(sweep, place, Where(here=True), tell=told.append)
    assert {o.status for o in result.outcomes.values()} == {"FINISHED"}
    assert (sweep.folder / "scores.parquet").exists()
    assert (sweep.folder / "sweep.json").exists()
    (line,) = told
    assert line.startswith(f"Tracking is behind: {door.uri} is away (")
    assert line.endswith("the same pct sweep sends it once the server is back.")
    door.open()
    with counted_epochs() as trained:
        run_sweep(sweep, place, Where(here=True), tell=told.append)
    assert (trained, told) == ([], [line])
    assert_all_arrived(sweep, place)


def test_a_wrong_address_is_told_before_anything_is_trained(tmp_path, phantom_data, door):
    door.shut()
    sweep = sweep_of(tmp_path / "wrong", phantom_data, FORK)
    with counted_epochs() as trained, pytest.raises(NoTracking, match="cannot be reached"):
        run_sweep(sweep, place_at(door.uri, tmp_path), Where(here=True))
    assert trained == []


@pytest.mark.slow
@pytest.mark.parametrize("on_nobody", [False, True], ids=["refused", "never answered"])
def test_an_outage_of_a_minute_adds_less_than_a_second_to_any_epoch(
    tmp_path, phantom_data, door, at_epoch, on_nobody
):
    trials = {f"t{number}": {"seed": number} for number in range(4)}
    sweep = sweep_of(tmp_path / "minute", phantom_data, trials, epochs=20)
    place = place_at(door.uri, tmp_path)
    back = threading.Timer(60.0, door.open)

    def away() -> None:
        door.open(on_nobody=True) if on_nobody else door.shut()
        back.start()

    at_epoch |= {number: lambda: time.sleep(1.0) for number in range(1, 81)}
    at_epoch[5] = away
    run_sweep(sweep, place, Where(here=True))
    back.join()
    assert_all_arrived(sweep, place)
    pauses = [
        later["time"] - earlier["time"]
        for job in sweep.jobs
        for earlier, later in pairwise(spool.epochs(job.spool))
    ]
    assert max(pauses) < statistics.median(pauses) + 1.0
