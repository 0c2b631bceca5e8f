"""`pct sweep` as a user runs it, on a Ray of its own: killed and interrupted, then run again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from sweeps.job import read_outcome
from sweeps.runner import run_here
from sweeps.source import Listed
from sweeps.sweep import Sweep
from tests.data_folder import make_data
from tests.sweeps.inside import epoch_key
from tests.sweeps.survival import (
    WORKER,
    assert_survived,
    forked_sweep,
    job_of,
    told,
    until,
    write_recipe,
)
from tests.sweeps.unhurt import last_state
from tests.sweeps.watched import begun, environment, marked, planned

pytestmark = [pytest.mark.ray, pytest.mark.slow]


AGENTS = (
    "ray::DashboardAgent", "ray::RuntimeEnvAgent", "dashboard/agent.py",
    "runtime_env/agent/main.py",
)  # fmt: skip
"""For a minute they try to tell Ray's server, killed with them, that Ray was killed; then end.

By their names, or, killed before they gave themselves one, by their command.
"""


@dataclass
class Swept:
    """A sweep, and the command that runs it."""

    sweep: Sweep
    log: Path
    command: list[str]

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(
            self.command, env={**os.environ, **environment(self.log, pause=1.0)},
            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def session(self, moment: Callable[[], bool], how: signal.Signals) -> tuple[int, str]:
        """Begin the sweep or go on with it; at a moment send its processes a signal.

        No epoch that was committed before is begun, and none twice. Nothing of it runs on.
        """
        before, committed = len(begun(self.log)), self.committed()
        with self.start() as driver:
            until(lambda: driver.poll() is not None or moment())
            assert driver.poll() is None, driver.stdout.read()
            tree = psutil.Process(driver.pid).children(recursive=True)
            if how is signal.SIGINT:  # as Ctrl-C does: to all that the terminal runs
                os.killpg(driver.pid, how)
            else:
                driver.kill()
            output, _ = driver.communicate(timeout=60)
        assert tree
        assert_gone(lambda: [p for p in (*marked(self.log), *tree) if runs(p)], seconds=60)
        # Mostly gone in 3 s; a worker killed while it starts tries for longer to reach its Ray.
        self.check(before, committed)
        return driver.returncode, output

    def check(self, before: int, committed: set[str]) -> None:
        counts = Counter(begun(self.log)[before:])
        assert not committed & counts.keys()
        assert not counts or max(counts.values()) == 1

    def committed(self) -> set[str]:
        return {
            epoch_key(job.run, epoch)
            for job in self.sweep.jobs
            for epoch in range(1, job.run.epochs + 1)
            if self.sweep.store.has(job.key(epoch))
        }


def assert_gone(left: Callable[[], list[psutil.Process]], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while found := left():
        assert time.monotonic() < deadline, [(process, process.cmdline()) for process in found]
        time.sleep(0.5)


def runs(process: psutil.Process) -> bool:
    try:
        command = " ".join([process.name(), *process.cmdline()])
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and not any(agent in command for agent in AGENTS)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def swept(tmp_path, tracking) -> Swept:
    data = make_data(tmp_path)
    recipe = write_recipe(tmp_path / "faults.yaml")
    sweep = forked_sweep(tmp_path / "sweep", data)
    command = [
        sys.executable, "-m", "pct", "sweep", str(recipe), "--data", str(data),
        "--to", str(sweep.folder), "--tracking", tracking.uri,
    ]  # fmt: skip
    return Swept(sweep, tmp_path / "epochs.log", command)


def test_killed_at_any_moment_nothing_runs_on_and_the_same_command_goes_on(
    swept, tracking, tmp_path
):
    keep, never = job_of(swept.sweep, "ngf.keep"), job_of(swept.sweep, "never")
    fork = keep.key(2)

    def ray_starts() -> bool:
        return any(WORKER in " ".join(process.cmdline()) for process in marked(swept.log))

    def an_epoch_is_told() -> bool:
        return len(told(never)) >= 1

    def fork_is_committed() -> bool:
        return swept.sweep.store.has(fork)

    def a_leaf_has_ended() -> bool:
        return any(map(read_outcome, swept.sweep.jobs))

    for moment in (ray_starts, an_epoch_is_told, fork_is_committed):
        if moment() and moment is fork_is_committed:
            continue  # on a busy machine it came before the last kill
        assert not moment()
        status, output = swept.session(moment, signal.SIGKILL)
        assert status == -signal.SIGKILL, output
    trained = len(begun(swept.log))
    status, output = swept.session(lambda: len(begun(swept.log)) > trained, signal.SIGINT)
    assert status == 130, output
    assert "interrupted; run the same command again to go on" in output
    assert "Traceback" not in output
    swept.session(a_leaf_has_ended, signal.SIGKILL)
    before, committed = len(begun(swept.log)), swept.committed()
    with swept.start() as driver:
        output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, output
    swept.check(before, committed)
    assert planned(swept.sweep.jobs) == set(begun(swept.log))
    straight = forked_sweep(tmp_path / "straight" / "sweep", swept.sweep.data)
    run_here(Listed(straight.jobs), straight.store)
    expected = {job.leaf: last_state(job) for job in straight.jobs}
    assert_survived(swept.sweep, tracking=tracking, expected=expected)
    assert_gone(lambda: marked(swept.log), seconds=90)
