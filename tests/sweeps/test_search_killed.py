"""A search whose process is killed at every moment that matters, and goes on."""

import json
import signal
import subprocess
import sys

import pytest

from sweeps.job import read_outcome
from tests.sweeps.dying_search import EFFECTS, POINTS, search
from tests.sweeps.made_up import points_of, table_of, weight


@pytest.fixture(scope="module")
def killed(tmp_path_factory, phantom_data):
    folder = tmp_path_factory.mktemp("killed") / "s"
    command = [sys.executable, "-m", "tests.sweeps.dying_search", str(phantom_data), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), search(phantom_data, folder)


def test_sessions_died_before_and_after_each_effect_on_the_disk(killed):
    ends, _ = killed
    assert [end[3] for end in ends] == [-signal.SIGKILL] * 2 * len(EFFECTS) + [0]


def test_no_point_is_lost_and_none_is_asked_twice(killed):
    _, sweep = killed
    table = table_of(sweep)
    assert list(table.index) == list(range(POINTS))
    assert table["$ngf"].nunique() == POINTS
    assert points_of(sweep).exhausted


def test_every_point_is_told_once_and_told_the_truth(killed):
    _, sweep = killed
    table = table_of(sweep)
    assert set(table["state"]) == {"COMPLETE"}
    assert list(table["val3d/mae_head"]) == pytest.approx(list(100 + table["$ngf"]))
    told = (sweep.folder.parent / "told.txt").read_text().split()
    # Of one that was killed just after telling, there was no time to write it down.
    assert len(told) == len(set(told)) >= POINTS - 1


def test_leaves_under_way_were_gone_on_with_under_their_names(killed):
    _, sweep = killed
    part = sweep.of(points_of(sweep).leaves)
    names = {path.stem for path in (sweep.folder / "outcomes").glob("*.json")}
    assert names == {job.leaf for job in part.jobs if part.same[job.leaf] == job.leaf}
    for job in part.jobs:
        if outcome := read_outcome(job):
            assert outcome.final["val3d/mae_head"] == 100 + weight(job)
