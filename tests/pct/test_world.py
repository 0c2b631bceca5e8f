"""Several workers on one batch, in processes of their own."""

import json
import multiprocessing

import pytest
from torch.multiprocessing import start_processes

from pct.state import start
from pct.train import fit
from tests.pct.workers import exchanged, summary, train_together, without_batch_statistics

STOPPED = (
    "epoch 5: loss/ngf is inf from step 2 of 2 on. "
    "Lower lr_g or lr_d, or set clip_norm; the last good checkpoint is kept."
)


@pytest.mark.parametrize("world", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_fork_of_several_workers_equals_the_run_that_never_stopped(tmp_path, tiny_data, world):
    multiprocessing.set_forkserver_preload(["tests.pct.workers"])
    start_processes(train_together, (world, str(tmp_path)), world, start_method="forkserver")
    found = json.loads((tmp_path / "found.json").read_text())
    straight = [worker["straight"] for worker in found["workers"]]
    resumed = [worker["resumed"] for worker in found["workers"]]
    assert len(straight) == world
    assert straight == resumed
    assert found["randoms"] == world
    assert all(one["weights"] == straight[0]["weights"] for one in straight)
    assert all(one["average"] == straight[0]["average"] != one["weights"] for one in straight)
    alike = [worker["alike"]["fingerprint"] for worker in found["workers"]]
    assert not {one["fingerprint"] for one in straight} & set(alike), (
        "each worker's random state is needed"
    )
    assert len({one["fingerprint"] for one in straight}) == world, (
        "each has random states of its own"
    )
    for number, worker in enumerate(found["workers"], 1):
        assert worker["exchanged"] == {
            "gradient": (world + 1) / 2,
            "no_gradient": None,
            "buffer": (world + 1) / 2,
            "counter": 7,
            "sum": world * (world + 1) / 2,
            "own": number,
            "all": list(range(1, world + 1)),
            "first": 1,
            "stopped": STOPPED,
        }
    alone = without_batch_statistics(workers=1)
    expected = summary(fit(start(alone), alone, tiny_data, until=1))["first_epoch"]
    # Masks are shared out unevenly: a mean of the workers' own means would be another number.
    assert found["workers"][0]["together"]["first_epoch"] == pytest.approx(expected, rel=1e-4)


def test_alone_there_is_nothing_to_exchange():
    found = exchanged(0)
    assert found["gradient"] == found["buffer"] == found["sum"] == found["first"] == 1
    assert found["all"] == [1]
    assert found["stopped"] == STOPPED
