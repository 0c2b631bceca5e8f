"""`pct sweep` as a user runs it, on a Ray of its own: killed and interrupted, then run again."""

import json
import os
import signal
import subprocess
import sys
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
    FORKED,
    SETTINGS,
    WORKER,
    assert_survived,
    end_state,
    forked_sweep,
    job_of,
    told,
    until,
)
from tests.sweeps.watched import begun, environment, marked, planned

pytestmark = [pytest.mark.ray, pytest.mark.slow]


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
            ports = listening(marked(self.log))
            if how is signal.SIGINT:  # as Ctrl-C does: to all that the terminal runs
                os.killpg(driver.pid, how)
            else:
                driver.kill()
            output, _ = driver.communicate(timeout=60)
        until(lambda: not marked(self.log), seconds=10)
        assert ports
        assert not ports & listening(list(psutil.process_iter()))
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


def listening(processes: list[psutil.Process]) -> set[int]:
    """TCP ports on which they listen."""
    pids = {process.pid for process in processes}
    return {
        connection.laddr.port
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.pid in pids
    }


@pytest.fixture
def swept(tmp_path, tracking) -> Swept:
    data = make_data(tmp_path)
    recipe = tmp_path / "faults.yaml"
    recipe.write_text(json.dumps({"base": "smoke", **SETTINGS, "trials": FORKED}))
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
    expected = {job.leaf: end_state(straight, job) for job in straight.jobs}
    assert_survived(swept.sweep, tracking=tracking, expected=expected)
