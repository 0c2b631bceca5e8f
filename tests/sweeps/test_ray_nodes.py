"""A cluster of several nodes that loses some of them in mid-training: the sweep ends by itself."""

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sweeps.runner import Where, run_here, set_environment
from sweeps.session import run_sweep
from sweeps.source import Listed
from tests.data_folder import make_data
from tests.sweeps.survival import (
    FORKED,
    assert_survived,
    assert_trained,
    forked_sweep,
    job_of,
    meanwhile,
    told,
    trial_of,
    until,
)
from tests.sweeps.unhurt import last_state
from tests.sweeps.watched import marked, watching, workers_of

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def log(tmp_path) -> Path:
    return tmp_path / "epochs.log"


@pytest.fixture
def cluster(log) -> Iterator:
    """A head with a dashboard and room for nothing else, and three nodes with 2 CPUs each."""
    set_environment()
    from ray.cluster_utils import Cluster

    memory = {"object_store_memory": 100 * 2**20}
    with watching(log, pause=2.0):
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "memory": 32 * 2**20,  # less than the driver of a trial asks for
                "include_dashboard": True,
                "dashboard_host": "127.0.0.1",
                "dashboard_port": free_port(),
                **memory,
            },
        )
        for _ in range(3):
            cluster.add_node(num_cpus=2, **memory)
        cluster.wait_for_nodes()
        yield cluster
        cluster.shutdown()
    until(lambda: len(marked(log)) == 0, seconds=30)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def remove_node_of(pid: int, cluster) -> None:
    """Kill the node that runs a process."""
    above = {process.pid for process in psutil.Process(pid).parents()}
    (node,) = (
        node
        for node in cluster.worker_nodes
        if above & {info.process.pid for info in node.all_processes["raylet"]}
    )
    cluster.remove_node(node, allow_graceful=False)


def test_nodes_lost_with_a_worker_and_with_a_trials_driver_cost_an_epoch_a_leaf(
    cluster, log, tracking, tmp_path
):
    data = make_data(tmp_path)
    sweep = forked_sweep(tmp_path / "sweep", data, FORKED)
    never = job_of(sweep, "never")

    def lose() -> None:
        until(lambda: len(told(never)) >= 1)
        remove_node_of(workers_of(log, never)[-1], cluster)
        until(lambda: len(told(never)) >= 3)
        remove_node_of(trial_of("never").pid, cluster)

    with meanwhile(lose):
        run_sweep(sweep, tracking, Where(address=cluster.address, max_concurrent=2))
    straight = forked_sweep(tmp_path / "straight" / "sweep", data)
    run_here(Listed(straight.jobs), straight.store)
    expected = {job.leaf: last_state(job) for job in straight.jobs}
    assert_trained(log, sweep, again=2 * 2)  # both leaves, should one node run parts of both
    assert_survived(sweep, tracking=tracking, expected=expected)
