"""Faults that befall a sweep on one Ray: processes killed, the store away or full, a bad trial."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pct.__main__ import main
from sweeps.job import read_outcome
from sweeps.promotion.candidate import read_candidate, write_model
from sweeps.runner import Where, connect, run_here, run_on_ray, set_environment
from sweeps.session import run_sweep
from sweeps.source import Listed
from sweeps.sweep import Sweep
from tests.data_folder import make_data
from tests.sweeps.away import unmounted
from tests.sweeps.survival import (
    FORKED,
    WORKER,
    assert_survived,
    assert_trained,
    expect_no_process,
    forked_sweep,
    job_of,
    meanwhile,
    processes,
    told,
    trial_of,
    until,
    write_recipe,
)
from tests.sweeps.unhurt import last_state
from tests.sweeps.watched import begun, watching, workers_of

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PAUSE_SECONDS = 1.0


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("faults-data"))


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory) -> Sweep:
    """Trained in this process."""
    sweep = forked_sweep(tmp_path_factory.mktemp("undisturbed") / "sweep", data)
    run_here(Listed(sweep.jobs), sweep.store)
    return sweep


@pytest.fixture(scope="module")
def expected(undisturbed) -> dict[str, dict]:
    return {job.leaf: last_state(job) for job in undisturbed.jobs}


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("epochs") / "epochs.log"


@pytest.fixture(scope="module", autouse=True)
def cluster(log) -> Iterator[None]:
    """One Ray for all tests of this file, with more CPUs than there are; in the end it is gone."""
    set_environment()
    import ray

    with watching(log, pause=PAUSE_SECONDS):
        connect("local", num_cpus=6)
        yield
        ray.shutdown()
    expect_no_process("ray")


@pytest.fixture
def since(log) -> int:
    """How many epochs had been begun before the test."""
    return len(begun(log))


def run(sweep: Sweep, tracking) -> None:
    run_sweep(sweep, tracking, Where(max_concurrent=3))
    expect_no_process(WORKER)


def test_a_killed_trial_and_a_killed_worker_of_two_go_on_beside_their_siblings(
    data, expected, log, since, tracking, tmp_path
):
    trials = {**FORKED, "two": {"workers": 2, "schedule": {"lambda_ngf": 5}}}
    sweep = forked_sweep(tmp_path / "sweep", data, trials)
    never, two = job_of(sweep, "never"), job_of(sweep, "two")

    def kill() -> None:
        until(lambda: len(told(never)) >= 2)
        trial_of("never").kill()
        until(lambda: len(told(two)) >= 2)
        first = {pid for job in sweep.jobs for pid in workers_of(log, job)}
        (second,) = (process for process in processes(WORKER) if process.pid not in first)
        second.kill()

    with meanwhile(kill):
        run(sweep, tracking)
    assert_trained(log, sweep, since=since, again=2)
    assert len(workers_of(log, never)) == len(workers_of(log, two)) == 2
    alone = forked_sweep(tmp_path / "alone" / "sweep", data, {"two": trials["two"]})
    run_on_ray(Listed(alone.jobs), alone.store, alone.folder, runs=[alone.jobs[0].run])
    expected = {**expected, "two": last_state(alone.jobs[0])}
    assert_survived(sweep, tracking=tracking, expected=expected)


def test_training_waits_for_a_store_that_is_away_and_for_one_that_is_not_mounted(
    data, expected, log, since, tracking, tmp_path
):
    sweep = forked_sweep(tmp_path / "sweep", data)
    stages = tmp_path / "stages"

    def take_away() -> None:
        until(lambda: len(told(job_of(sweep, "never"))) >= 1)
        stages.rename(tmp_path / "elsewhere")
        time.sleep(15)
        assert not stages.exists()
        (tmp_path / "elsewhere").rename(stages)
        time.sleep(2)
        with unmounted(stages):
            time.sleep(15)

    with meanwhile(take_away):
        run(sweep, tracking)
    assert_survived(sweep, tracking=tracking, expected=expected)
    assert_trained(log, sweep, since=since)


def test_a_trial_that_cannot_be_trained_fails_alone_and_once(
    data, undisturbed, expected, log, since, tracking, tmp_path, capsys
):
    job = job_of(undisturbed, "never")
    model = tmp_path / "model"
    write_model(read_candidate(job, read_outcome(job)), model, note="")
    trials = {
        "never": FORKED["never"],
        "wild": {"schedule": {"lr_g": {0: 2e-3, 2: 1e30}}},
        "given": {"init": str(model)},
    }
    recipe = write_recipe(tmp_path / "faults.yaml", trials)
    sweep = forked_sweep(tmp_path / "sweep", data, trials)

    def lose_the_model() -> None:
        until((sweep.folder / "jobs.json").exists)
        model.rename(tmp_path / "lost")

    with meanwhile(lose_the_model):
        status = main([
            "sweep", str(recipe), "--data", str(data), "--to", str(sweep.folder),
            "--tracking", tracking.uri, "--max-concurrent", "3",
        ])  # fmt: skip
    told_user = capsys.readouterr().err
    assert status == 3, told_user
    assert "FAILED wild: epoch 3: loss/" in told_user
    assert f"FAILED given: {model}" in told_user
    assert_survived(
        sweep,
        tracking=tracking,
        expected=expected,
        failed={"wild": ("Lower lr_g or lr_d", 2), "given": (str(model), 0)},
    )
    assert len(begun(log)) - since == 5 + 3, "nothing that is sure to fail is tried again"
    expect_no_process(WORKER)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of its own; skips where mounting is not permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(disk)])
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            os.fsync(file.fileno())
    return ballast


def test_a_full_disk_fails_leaves_with_the_bytes_wanted_and_all_go_on_once_there_is_room(
    data, expected, log, since, tracking, tmp_path, small_disk
):
    sweep = forked_sweep(tmp_path / "sweep", data, store=str(small_disk / "stages"))
    keep, never = job_of(sweep, "ngf.keep"), job_of(sweep, "never")
    ballast: list[Path] = []

    def fill_up() -> None:
        until(lambda: len(sweep.store.which([keep.key(2), never.key(1)])) == 2)  # 2: the fork
        ballast.append(fill(small_disk))

    with meanwhile(fill_up):
        run(sweep, tracking)
    for job in sweep.jobs:
        outcome = read_outcome(job)
        assert outcome.status == "FAILED", job.leaf
        assert f"bytes of stage {job.key(outcome.epochs + 1)}" in outcome.reason
        assert "No space left on device" in outcome.reason
        assert "bytes are free" in outcome.reason
    ballast[0].unlink()
    damage(small_disk / "stages", never.key(read_outcome(never).epochs))
    run(sweep, tracking)
    assert_survived(sweep, tracking=tracking, expected=expected)
    assert list((small_disk / "stages" / "set-aside").iterdir())
    assert_trained(log, sweep, since=since, again=3 + 1)
    assert len(workers_of(log, keep)) >= 2


def damage(stages: Path, key: str) -> None:
    """Flip one byte of a stage."""
    (state,) = (stages / key[:2] / key).glob("state*")
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
