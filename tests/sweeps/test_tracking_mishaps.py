"""What may go wrong on the way to MLflow: calls that never end, answers too late, broken files."""

import threading
import time

import pytest
from mlflow.exceptions import MlflowException

from sweeps import spool, usage
from sweeps.job import Outcome, failed, write_outcome
from sweeps.labels import sweep_name
from sweeps.runner import Where
from sweeps.session import run_sweep
from sweeps.tracking import Tracker, tracker
from sweeps.tracking.best import Best
from sweeps.tracking.card import Card
from tests.sweeps.small_sweep import TRIALS, counted_epochs, sweep_of


class Changed:
    """A client one of whose calls is another's."""

    def __init__(self, client, **calls) -> None:
        self._client, self._calls = client, calls

    def __getattr__(self, name: str):
        return self._calls.get(name) or getattr(self._client, name)


@pytest.fixture
def sweep(tmp_path, phantom_data):
    trials = {"first": {"seed": 1}, "second": {"seed": 2}}
    return sweep_of(tmp_path / tmp_path.name, phantom_data, trials)


@pytest.fixture
def begin(tracking, sweep):
    """A session of the sweep: its trials have one epoch each and are registered."""

    def start() -> Tracker:
        begun = Tracker(tracking, experiment="mishaps", sweep=sweep_name(sweep), tags={})
        for job in sweep.jobs:
            spool.begin(job.spool, job.last_key)
            row = {"epoch": 1, "time": 1e9, job.run.select.metric: 20.0}
            spool.add_epochs(job.spool, [row], carried=False)
            begun.register(job, Card({}, {}))
        return begun

    return start


def runs_of(session: Tracker, sweep) -> list:
    query = f"tags.`pct.sweep` = '{sweep_name(sweep)}'"
    return list(session.client.search_runs([session.experiment_id], query))


def damage(path) -> None:
    with path.open("ab") as file:
        file.write(b"\0" * 50 + b"\n")


def test_a_call_that_never_ends_keeps_no_sweep_from_ending(begin, monkeypatch):
    monkeypatch.setattr(tracker, "SILENT_SECONDS", 0.3)
    session, answered = begin(), threading.Event()

    def hang(*_, **__) -> None:
        answered.wait(60)
        raise MlflowException("the connection broke")

    session.client = Changed(session.client, create_run=hang)
    began = time.monotonic()
    told = session.finish(failed=False)
    assert "is away (a call has not come to its end)" in told
    assert told.endswith("the same pct sweep sends it once the server is back.")
    with pytest.raises(KeyboardInterrupt), session:
        raise KeyboardInterrupt
    assert time.monotonic() - began < 10
    answered.set()


def test_a_place_that_is_slow_but_answers_is_waited_for(begin, sweep, monkeypatch):
    session = begin()
    session.drain()
    for job in sweep.jobs:
        row = {"epoch": 2, "time": 1e9, job.run.select.metric: 21.0}
        spool.add_epochs(job.spool, [row], carried=False)
    log_batch = session.client.log_batch

    def slow(*args, **kwargs) -> None:
        time.sleep(1.2)
        log_batch(*args, **kwargs)

    monkeypatch.setattr(tracker, "SILENT_SECONDS", 2.0)
    session.client = Changed(session.client, log_batch=slow)
    began = time.monotonic()
    assert session.finish(failed=False) == ""
    assert time.monotonic() - began > 2.0, "as fast as that it proves nothing"


@pytest.mark.parametrize("when", ["at once", "when ghosts were looked for"])
def test_a_run_that_a_late_answer_made_twice_is_ended_and_says_so(begin, sweep, when):
    session, late = begin(), []
    client = session.client

    def too_late(*args, **kwargs) -> None:
        late.append((args, kwargs))
        raise MlflowException("timed out")

    session.client = Changed(client, create_run=too_late)
    assert not session.drain()
    session.client = client
    ((args, kwargs),) = late
    own = kwargs["tags"]["pct.run"]
    if when == "at once":
        session._make(session._trials[own])
        client.create_run(*args, **kwargs)
        assert session.drain()
    else:
        assert session.drain()
        client.create_run(*args, **kwargs)
    for job in sweep.jobs:
        write_outcome(job, failed(job, "for this test", 1))
    assert session.finish(failed=True) == ""
    mine, statuses = session.run_ids[own], {}
    for run in runs_of(session, sweep):
        if run.data.tags["pct.run"] == own:
            statuses[run.info.run_id == mine] = (run.info.status, run.data.tags["pct.reason"])
    assert statuses == {
        True: ("FAILED", "for this test"),
        False: (
            "KILLED",
            f"made twice, for an answer came too late; the run of this trial is {mine}",
        ),
    }


@pytest.mark.parametrize("which", ["epochs", "use"])
def test_a_damaged_spool_is_told_of_by_name_and_all_else_arrives(begin, sweep, caplog, which):
    session, job = begin(), sweep.jobs[0]
    path = job.spool if which == "epochs" else usage.path_of(job, 0)
    path.parent.mkdir(exist_ok=True)
    damage(path)
    for each in sweep.jobs:
        write_outcome(each, failed(each, "for this test", 1))
    assert not session.drain()
    assert not session.drain()
    (record,) = [r for r in caplog.records if "is late" in r.message]
    assert record.message.startswith(f"tracking of {job.leaf} is late: {path}: b'\\x00")
    told = session.finish(failed=False)
    assert told.startswith(f"Tracking of {job.leaf} lacks what cannot be read: {path}")
    found = {run.data.tags["pct.run"]: run for run in runs_of(session, sweep)}
    assert {name: run.info.status for name, run in found.items()} == {
        "sweep": "FINISHED", "first": "FAILED", "second": "FAILED",
    }  # fmt: skip
    arrived = {name for name, run in found.items() if job.run.select.metric in run.data.metrics}
    assert arrived == ({"second"} if which == "epochs" else {"first", "second"})


def test_what_the_message_of_a_damaged_spool_says_mends_the_sweep(tmp_path, phantom_data, tracking):
    trials = {"never": TRIALS["never"]}
    sweep = sweep_of(tmp_path / "mended", phantom_data, trials, epochs=1)
    run_sweep(sweep, tracking, Where(here=True))
    (job,) = sweep.jobs
    damage(job.spool)
    told: list[str] = []
    with pytest.raises(spool.DamagedSpool, match="Delete the file, and that of never in outcomes"):
        run_sweep(sweep, tracking, Where(here=True), tell=told.append)
    assert [line[:37] for line in told] == ["Tracking of never lacks what cannot b"]
    job.spool.unlink()
    job.outcome.unlink()
    told.clear()
    with counted_epochs() as trained:
        run_sweep(sweep, tracking, Where(here=True), tell=told.append)
    assert (trained, told) == ([], [])
    assert [line["epoch"] for line in spool.epochs(job.spool)] == [1]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_branch_whose_sibling_is_not_registered_yet_is_sent(
    tmp_path, phantom_data, tracking, damaged
):
    sweep = sweep_of(tmp_path / f"branches{damaged}", phantom_data, TRIALS)
    by_name = {job.leaf: job for job in sweep.jobs}
    branch, sibling = by_name["ngf.drop"], by_name["ngf.keep"]
    rows = [{"epoch": n, "time": 1e9, branch.run.select.metric: 20.0} for n in (1, 2)]
    for job in (branch, sibling):
        spool.begin(job.spool, job.last_key)
        spool.add_epochs(job.spool, rows, carried=job is branch)
    if damaged:
        damage(sibling.spool)
    session = Tracker(tracking, experiment="mishaps", sweep=sweep_name(sweep), tags={})
    session.register(branch, Card({}, {}, forked_at=2, siblings=(sibling,)))
    assert session.drain()
    run = session.client.get_run(session.run_ids["ngf.drop"])
    assert run.data.tags["pct.history"] == "carried"
    assert "pct.forked_from_run" not in run.data.tags


def test_a_run_of_an_earlier_version_gets_its_best_epoch_from_the_outcome(
    begin, sweep, monkeypatch
):
    with monkeypatch.context() as earlier:  # it sent them at the very end only
        earlier.setattr(Best, "metrics", lambda *_: {})
        assert begin().drain()
    session, job = begin(), sweep.jobs[0]
    write_outcome(job, Outcome(
        leaf=job.leaf, status="FINISHED", reason="all", key=job.last_key, ending=job.course.ending,
        last_stage="", epochs=1, best_epoch=1, best_value=20.0, seconds=1.0, final={},
    ))  # fmt: skip
    assert session.drain()
    run = session.client.get_run(session.run_ids[job.leaf])
    name = job.run.select.metric.removeprefix("val/")
    found = {key: value for key, value in run.data.metrics.items() if key.startswith("best")}
    assert found == {f"best/{name}": 20.0, "best/epoch": 1.0}
    (point,) = session.client.get_metric_history(run.info.run_id, f"best/{name}")
    assert point.step == 1
