"""A driver killed with -9 leaves runs RUNNING; the next session ends or goes on with them."""

import os
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from pct.__main__ import main
from sweeps.runner import Where
from sweeps.session import run_sweep
from sweeps.tracking import Place, client_at
from tests.sweeps.small_sweep import counted_epochs, sweep_of
from tests.sweeps.survival import until

RECIPE = """base: smoke
epochs: 60
data: {size: 32}
val: {slices: 1}
trials:
"""
KEPT, GIVEN_UP = "  kept: {}\n", "  given_up: {seed: 2}\n"


def runs_in(place: Place) -> dict:
    client = client_at(place)
    experiments = [e.experiment_id for e in client.search_experiments() if e.name[:3] == "pct"]
    runs = client.search_runs(experiments) if experiments else []
    return {run.info.run_name: run for run in runs}


def has_begun(place: Place, name: str) -> bool:
    run = runs_in(place).get(name)
    return run is not None and "best/epoch" in run.data.metrics


def assert_strictly_increasing(place: Place, run) -> None:
    """Fault 20: whatever was killed, no metric of a run has a step twice or out of order."""
    client = client_at(place)
    assert run.data.metrics
    for metric in run.data.metrics:
        steps = [point.step for point in client.get_metric_history(run.info.run_id, metric)]
        assert all(a < b for a, b in pairwise(steps)), (metric, steps)


def test_ghosts_are_ended_with_a_reason_and_what_goes_on_goes_on(tmp_path, phantom_data, tracking):
    place = Place(tracking.uri, tracking.artifacts)
    recipe, folder = tmp_path / "ghostly.yaml", tmp_path / "ghostly"
    call = ["sweep", str(recipe), "--data", str(phantom_data), "--to", str(folder), "--here"]
    call += ["--tracking", place.uri]
    recipe.write_text(RECIPE + KEPT + GIVEN_UP)
    driver = subprocess.Popen([sys.executable, "-m", "pct", *call], start_new_session=True)
    until(lambda: has_begun(place, "kept"))
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    left = runs_in(place)
    assert {left[name].info.status for name in ("kept", "given_up")} == {"RUNNING"}

    recipe.write_text(RECIPE + KEPT)
    assert main(call) == 0
    runs = runs_in(place)
    assert len(runs) == len(left)
    assert runs["kept"].info.run_id == left["kept"].info.run_id
    assert runs["kept"].info.status == "FINISHED"
    ghost = runs["given_up"]
    assert ghost.info.status == "KILLED"
    assert ghost.data.tags["pct.reason"].startswith("its driver was killed")
    assert_strictly_increasing(place, runs["kept"])
    steps = client_at(place).get_metric_history(runs["kept"].info.run_id, "val/psnr")
    assert [point.step for point in steps] == list(range(1, 61))


def test_an_interrupted_sweep_leaves_no_run_running_and_goes_on_with_the_same(
    tmp_path, phantom_data, tracking
):
    sweep = sweep_of(tmp_path / "stopped", phantom_data, {"a": {}, "b": {"seed": 2}}, epochs=2)
    with counted_epochs(break_after=3), pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, tracking, Where(here=True))
    client = client_at(tracking)

    def runs() -> dict:
        found = client.search_runs(
            [e.experiment_id for e in client.search_experiments()],
            "tags.`pct.sweep` LIKE 'tiny-stopped-%'",
        )
        return {run.data.tags["pct.run"]: run for run in found}

    before = runs()
    assert {name: run.info.status for name, run in before.items()} == {
        "sweep": "KILLED", "a": "FINISHED", "b": "KILLED",
    }  # fmt: skip
    assert "KeyboardInterrupt" in before["b"].data.tags["pct.reason"]
    run_sweep(sweep, tracking, Where(here=True))
    after = runs()
    assert {name: run.info.run_id for name, run in after.items()} == {
        name: run.info.run_id for name, run in before.items()
    }
    assert {run.info.status for run in after.values()} == {"FINISHED"}
    assert after["b"].data.tags["pct.reason"] == "all epochs done"
    assert "pct.reason" not in after["sweep"].data.tags
    for run in (after["a"], after["b"]):
        assert_strictly_increasing(tracking, run)
