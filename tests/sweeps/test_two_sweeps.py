"""Two `pct sweep` on one store, at the same time and one after the other."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sweeps.job import read_jobs
from tests.data_folder import SIZE
from tests.sweeps.unhurt import Unhurt, difference, last_state, litter

pytestmark = pytest.mark.slow

RECIPE = """
base: smoke
epochs: 14
batch: 6
data: {{size: {size}}}
val: {{slices: 1}}
trials:
  ngf: {{schedule: {{lambda_ngf: {{0: 20, {fork}: {{keep: 20, drop: 0}}}}}}}}
"""
SHARED, UNIQUE = 14, 14 + (14 - 11) + (14 - 5)
"""Both forks leave one trunk: at 5 and at 11 (which no tens keep)."""


def start(folder: Path, name: str, fork: int, data: Path) -> subprocess.Popen[str]:
    recipe = folder / f"{name}.yaml"
    recipe.write_text(RECIPE.format(size=SIZE, fork=fork))
    line = [sys.executable, "-m", "pct", "sweep", str(recipe), "--data", str(data)]
    return subprocess.Popen(
        [*line, "--to", str(folder / name), "--here"], stderr=subprocess.PIPE, text=True
    )


def own_epochs(folder: Path) -> int:
    history = pd.read_parquet(folder / "history.parquet")
    return len(history[~history["carried"]].drop_duplicates(["trial", "epoch"]))


@pytest.mark.parametrize("at_once", [True, False])
def test_what_two_sweeps_share_is_trained_once(at_once, tmp_path, phantom_data):
    early = start(tmp_path, "early", 5, phantom_data)
    if not at_once:
        assert early.wait(timeout=300) == 0
    late = start(tmp_path, "late", 11, phantom_data)
    for session in (early, late):
        _, err = session.communicate(timeout=600)
        assert session.returncode == 0, err
    total = own_epochs(tmp_path / "early") + own_epochs(tmp_path / "late")
    # One after the other, the fork at 11 was unknown when the trunk passed it: from 10 on again.
    assert total == UNIQUE + (0 if at_once else 1)
    jobs = [*read_jobs(tmp_path / "early"), *read_jobs(tmp_path / "late")]
    assert not litter(tmp_path / "early", jobs)
    states = Unhurt.of(tmp_path / "early").states
    keep = next(job for job in read_jobs(tmp_path / "late") if job.leaf == "ngf.keep")
    assert not difference(last_state(keep), states["ngf.keep"])
