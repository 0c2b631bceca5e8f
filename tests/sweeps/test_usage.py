"""What a worker uses of its machine, a line an epoch."""

import time

import pytest
import torch

from sweeps import spool, usage
from tests.sweeps.small_sweep import sweep_of


@pytest.fixture
def job(tmp_path, phantom_data):
    return sweep_of(tmp_path / "s", phantom_data, {"only": {}}).jobs[0]


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_use_is_counted_between_epochs_and_each_worker_has_lines_of_its_own(job):
    first, second = usage.meter(job, 0), usage.meter(job, 1)
    time.sleep(0.3)
    first(1)
    spin(0.3)
    first(2)
    second(1)
    idle, busy = (line["metrics"] for line in spool.epochs(usage.path_of(job, 0)))
    assert idle["system/worker0/cpu_percent"] < busy["system/worker0/cpu_percent"]
    assert 50 < busy["system/worker0/memory_mb"] < 100_000
    (other,) = spool.epochs(usage.path_of(job, 1))
    assert usage.metric_of(1) in other["metrics"]
    assert spool.epochs(job.spool) == []


def test_an_epoch_trained_again_is_passed_over_and_another_run_begins_anew(job):
    usage.meter(job, 0)(1)
    first = usage.path_of(job, 0).read_text()
    usage.meter(job, 0)(1)
    assert usage.path_of(job, 0).read_text() == first
    longer = job.model_copy(update={"run": job.run.model_copy(update={"epochs": 9})})
    usage.meter(longer, 0)(2)
    assert [line["epoch"] for line in spool.epochs(usage.path_of(job, 0))] == [2]


def test_a_gpu_is_told_where_there_is_one(job, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3_000_000)
    monkeypatch.setattr(torch.cuda, "utilization", lambda: 87)
    monkeypatch.setattr(usage, "find_spec", lambda name: None)
    note = usage.meter(job, 0)
    note(1)
    monkeypatch.setattr(usage, "find_spec", lambda name: name == "pynvml")
    note(2)
    without, with_it = (line["metrics"] for line in spool.epochs(usage.path_of(job, 0)))
    assert without["system/worker0/gpu_memory_mb"] == 3.0
    assert "system/worker0/gpu_percent" not in without
    assert with_it["system/worker0/gpu_percent"] == 87.0
