"""The engine on a real Ray cluster of this machine: forks, an early stop, a killed worker."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from pct.config import merge
from pct.state import read_content
from sweeps import spool, usage
from sweeps.job import Job, read_outcome
from sweeps.layout import Layout
from sweeps.recipe import Recipe
from sweeps.release import Releases
from sweeps.runner import Where, connect, run_here, run_on_ray, set_environment, tune_leaves
from sweeps.search.space import Search
from sweeps.source import Listed
from sweeps.store.store import Store
from sweeps.sweep import Sweep, prepare_sweep
from tests.data_folder import SIZE, make_data
from tests.sweeps.unhurt import difference

pytestmark = pytest.mark.ray

FORK = {"lambda_ngf": {0: 20, 2: {"keep": 20, "drop": 0}}}
STRAIGHT = {"keep": {"lambda_ngf": 20}, "drop": {"lambda_ngf": {0: 20, 2: 0}}}


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("ray-data"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One Ray for all tests of this file, with more CPUs than there are, as workers mostly wait."""
    set_environment()
    import ray

    connect("local", num_cpus=4)
    yield
    ray.shutdown()


def sweep_of(folder: Path, data: Path, trials: dict, **common) -> Sweep:
    """A sweep of the `smoke` preset with 4 epochs on the tiny data, its own store beside it."""
    settings = merge({"epochs": 4, "data": {"size": SIZE}, "seed": 3}, common)
    recipe = Recipe("ray", "smoke", settings, trials, (), {}, Search())
    sweep = prepare_sweep(recipe, data=data, folder=folder / "sweep")
    assert all(job.run.flip for job in sweep.jobs), "random states must matter"
    return sweep


def train(sweep: Sweep, *, max_concurrent: int | None = None) -> None:
    sweep.folder.mkdir(parents=True, exist_ok=True)
    run_on_ray(
        Listed(sweep.jobs),
        sweep.store,
        sweep.folder,
        runs=[sweep.jobs[0].run],
        where=Where(max_concurrent=max_concurrent),
    )


def final_state(sweep: Sweep, leaf: str) -> dict:
    job = next(job for job in sweep.jobs if job.leaf == leaf)
    outcome = read_outcome(job)
    assert outcome is not None
    assert outcome.status == "FINISHED", outcome.reason
    return read_content(sweep.store.get(outcome.last_stage, "state.pt"), torch.device("cpu"))


def own_epochs(sweep: Sweep) -> int:
    return sum(not line["carried"] for job in sweep.jobs for line in spool.epochs(job.spool))


@pytest.mark.parametrize(
    "workers", [1, pytest.param(2, marks=pytest.mark.core), pytest.param(3, marks=pytest.mark.slow)]
)
def test_both_branches_of_a_fork_equal_their_straight_runs(workers, data, cluster, tmp_path):
    forked = sweep_of(tmp_path / "forked", data, {"ngf": {"schedule": FORK}}, workers=workers)
    straight = sweep_of(
        tmp_path / "straight",
        data,
        {name: {"schedule": schedule} for name, schedule in STRAIGHT.items()},
        workers=workers,
    )
    train(forked)
    # One after the other and in stores of their own, so that neither starts from the other.
    for job in straight.jobs:
        alone = Store(str(tmp_path / f"store-{job.leaf}"))
        alone_job = job.model_copy(update={"store": alone.root})
        run_on_ray(Listed([alone_job]), alone, straight.folder, runs=[job.run])
        state = read_content(alone.get(job.key(4), "state.pt"), torch.device("cpu"))
        assert not difference(final_state(forked, f"ngf.{job.leaf}"), state)
    assert own_epochs(forked) == 6


def test_ray_and_this_process_train_the_same_numbers(data, cluster, tmp_path):
    on_ray = sweep_of(tmp_path / "ray", data, {"ngf": {"schedule": FORK}})
    here = sweep_of(tmp_path / "here", data, {"ngf": {"schedule": FORK}})
    train(on_ray)
    run_here(Listed(here.jobs), here.store)
    for leaf in ("ngf.keep", "ngf.drop"):
        assert not difference(final_state(on_ray, leaf), final_state(here, leaf))


@pytest.mark.core
def test_workers_ask_the_state_of_this_ray_whatever_else_runs_on_the_host(cluster):
    import ray

    context = ray.get_runtime_context()
    told = context.runtime_env["env_vars"]["RAY_API_SERVER_ADDRESS"]
    assert told == f"http://{ray._private.worker._global_node.webui_url}"


@pytest.mark.core
def test_a_trial_stopped_early_frees_its_workers_for_the_next(data, cluster, tmp_path):
    trials = {"one": {"schedule": {"lambda_ngf": 1}}, "two": {"schedule": {"lambda_ngf": 2}}}
    # Each wants 4 of the 4 CPUs: were the first's workers to stay, the second would never start.
    sweep = sweep_of(tmp_path, data, trials, workers=2, threads=2, epochs=30)
    sweep.folder.mkdir(parents=True)
    sweep.store.establish()
    tune_leaves(
        Releases(Listed(sweep.jobs), sweep.store.which),
        sweep.folder,
        layout=Layout(gpus=0.0, slots=1),
        stop={"epoch": 2},
    )
    for job in sweep.jobs:
        trained = [line["epoch"] for line in spool.epochs(job.spool)]
        assert trained[:2] == [1, 2], job.leaf
        assert len(trained) < 30, job.leaf


@pytest.mark.core
def test_a_killed_worker_is_replaced_and_leaves_no_trace_in_the_numbers(data, cluster, tmp_path):
    trials = {"keep": {"schedule": {"lambda_ngf": 20}}}
    killed = sweep_of(tmp_path / "killed", data, trials, epochs=12)
    undisturbed = sweep_of(tmp_path / "undisturbed", data, trials, epochs=12)
    victim = killed.jobs[0]
    hits: list[int] = []
    killer = threading.Thread(target=kill_worker_after, args=(victim.spool, 3, hits), daemon=True)
    killer.start()
    train(killed)
    killer.join()
    run_here(Listed(undisturbed.jobs), undisturbed.store)
    assert len(hits) == 1
    assert not difference(final_state(killed, "keep"), final_state(undisturbed, "keep"))
    epochs = [line["epoch"] for line in spool.epochs(victim.spool)]
    assert epochs == list(range(1, 13))
    trials = [line for line in spool.read_lines(victim.spool)[0] if line["kind"] == "ray"]
    assert [list(line) for line in trials] == [["kind", "trial"]]
    assert usage_epochs(victim) == epochs


def usage_epochs(job: Job) -> list[int]:
    return [line["epoch"] for line in spool.epochs(usage.path_of(job, 0))]


def kill_worker_after(spool_path: Path, epoch: int, hits: list[int]) -> None:
    """Kill -9 the training worker that this process' Ray runs, once `epoch` epochs are spooled."""
    deadline = time.monotonic() + 120
    while len(spool.epochs(spool_path)) < epoch and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in psutil.Process().children(recursive=True):
        if "RayTrainWorker" in " ".join(process.cmdline()):
            process.kill()
            hits.append(process.pid)
            return
