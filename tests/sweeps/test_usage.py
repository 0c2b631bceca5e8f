"""What a worker uses of its machine, a line an epoch."""

import sys
import time
import types

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


class NVMLError(Exception):
    """As NVIDIA's package has it: of no class but this."""


@pytest.fixture
def gpu(monkeypatch):
    """A GPU whose utilisation is told by the function that is given."""

    def there(utilisation) -> None:
        nvidia = types.ModuleType("pynvml")
        nvidia.NVMLError = NVMLError
        monkeypatch.setitem(sys.modules, "pynvml", nvidia)
        monkeypatch.setattr(usage, "find_spec", lambda name: name == "pynvml")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3_000_000)
        monkeypatch.setattr(torch.cuda, "utilization", utilisation)

    return there


def told(job) -> list[dict[str, float]]:
    return [line["metrics"] for line in spool.epochs(usage.path_of(job, 0))]


def test_a_gpu_is_told_where_there_is_one(job, gpu, monkeypatch):
    gpu(lambda: 87)
    with_it = usage.meter(job, 0)
    with_it(1)
    monkeypatch.setattr(usage, "find_spec", lambda name: None)
    without = usage.meter(job, 0)
    without(2)
    first, second = told(job)
    assert first["system/worker0/gpu_percent"] == 87.0
    assert "system/worker0/gpu_percent" not in second
    assert second["system/worker0/gpu_memory_mb"] == 3.0


@pytest.mark.parametrize("error", [RuntimeError, NVMLError, ModuleNotFoundError])
def test_a_gpu_that_refuses_to_tell_is_asked_once_and_left_out(job, gpu, error):
    asked = []

    def refuse() -> int:
        asked.append(1)
        raise error("Not Supported")

    gpu(refuse)
    note = usage.meter(job, 0)
    note(1)
    note(2)
    assert len(asked) == 1
    for metrics in told(job):
        assert "system/worker0/gpu_percent" not in metrics
        assert metrics["system/worker0/gpu_memory_mb"] == 3.0


def test_a_gpu_that_refuses_later_leaves_out_that_epoch(job, gpu):
    answers = iter([10, NVMLError("GPU is lost"), 30])  # the first as the meter is made

    def answer() -> int:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    gpu(answer)
    note = usage.meter(job, 0)
    note(1)
    note(2)
    assert [metrics.get("system/worker0/gpu_percent") for metrics in told(job)] == [None, 30.0]


def test_what_cannot_be_written_ends_no_training_and_is_warned_of_once(job, monkeypatch, caplog):
    note = usage.meter(job, 0)
    note(1)
    append = spool.append

    def full(path, line) -> None:
        with path.open("a") as file:
            file.write('{"kind": "epo')
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "append", full)
    note(2)
    note(3)
    monkeypatch.setattr(spool, "append", append)
    note(4)
    (record,) = caplog.records
    assert "what worker 0 of only uses is not noted: [Errno 28] No space left" in record.message
    assert [line["epoch"] for line in spool.epochs(usage.path_of(job, 0))] == [1, 4]


def test_a_meter_is_made_where_its_file_cannot_be_begun(job, caplog):
    path = usage.path_of(job, 0)
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("in the way")
    note = usage.meter(job, 0)
    note(1)
    assert len(caplog.records) == 1
    path.parent.unlink()
    note(2)
    assert [line["epoch"] for line in spool.epochs(path)] == [2]


def test_a_damaged_file_of_use_ends_no_training(job, caplog):
    usage.meter(job, 0)(1)
    with usage.path_of(job, 0).open("ab") as file:
        file.write(b"\0\0\n")
    usage.meter(job, 0)(2)
    assert "stands where a line of JSON is expected" in caplog.records[0].message
