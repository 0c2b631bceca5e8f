"""Fault 33: however many workers train a trial, its run has one point a step."""

import multiprocessing

from torch.multiprocessing import start_processes

from sweeps.labels import sweep_name
from sweeps.session import begin
from sweeps.tracking import Tracker
from tests.sweeps.small_sweep import sweep_of
from tests.sweeps.two_workers import train_together


def test_two_workers_leave_one_point_a_step(tmp_path, phantom_data, tracking):
    sweep = sweep_of(tmp_path / "two", phantom_data, {"only": {"workers": 2}}, epochs=3)
    (job,) = sweep.jobs
    tracker = Tracker(tracking, experiment="two", sweep=sweep_name(sweep), tags={})
    begin(sweep, sweep, tracker)
    multiprocessing.set_forkserver_preload(["tests.sweeps.two_workers"])
    given = (2, job.model_dump_json(), str(tmp_path))
    start_processes(train_together, given, 2, start_method="forkserver")
    assert tracker.finish(failed=False) == ""
    run = tracker.client.get_run(tracker.run_ids["only"])
    workers = {name.split("/")[1] for name in run.data.metrics if name.startswith("system/")}
    assert workers == {"worker0", "worker1"}
    for metric in run.data.metrics:
        points = tracker.client.get_metric_history(run.info.run_id, metric)
        steps = [point.step for point in points]
        assert len(set(steps)) == len(steps), metric
        if metric.startswith(("val/", "loss/", "system/")):
            assert steps == [1, 2, 3], metric
