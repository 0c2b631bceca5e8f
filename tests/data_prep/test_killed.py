"""Preparation killed at any moment and run again leaves what an undisturbed run leaves."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_prep.parquet import ShardError
from data_prep.pipeline import prepare
from data_prep.privacy import open_pseudonyms
from data_prep.shards import read_manifest
from data_prep.sources import find_cases

FORK = multiprocessing.get_context("fork")
KILLS = [(6, True), (8, False), (14, True), (7, False), (5, True), (6, False), (8, True)]
"""The number of the rename, and whether the process dies just before it or just after: three
times amid the cases, once behind splits.json, three times while shards are put in place."""


def die_at(rename, before):
    """Let this process kill itself at a rename: nothing else makes a file appear."""
    true_replace, left = Path.replace, [rename]

    def replace(path, target):
        left[0] -= 1
        if left[0] == 0 and before:
            os.kill(os.getpid(), signal.SIGKILL)
        found = true_replace(path, target)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    Path.replace = replace


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run_killed(arguments, kill):
    """Run `prepare` in a process that is killed; whether it was."""

    def child():
        die_at(*kill)
        prepare(*arguments)

    process = FORK.Process(target=child)
    process.start()
    process.join(timeout=60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def test_a_run_killed_at_its_renames_ends_in_the_same_bytes(made, collection, config, tmp_path):
    arguments = (find_cases("synthrad", collection), tmp_path / "d", config)
    for kill in KILLS:
        assert run_killed(arguments, kill), "the moment lies within the run"
        with pytest.raises(ShardError, match="no finished data folder"):
            read_manifest(tmp_path / "d")
    assert (tmp_path / "d" / "splits.json").exists()
    prepare(*arguments)
    assert contents(tmp_path / "d") == contents(made)


def test_a_key_is_whole_or_not_there(tmp_path):
    def child():
        die_at(1, before=True)
        open_pseudonyms(tmp_path / "d", "hash")

    process = FORK.Process(target=child)
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "d.private" / "key").exists()
    assert len(open_pseudonyms(tmp_path / "d", "hash").key) == 64


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_command_killed_at_random_moments_ends_in_the_same_bytes(
    made, collection, tmp_path, seed
):
    command = [sys.executable, "-m", "pct", "prep", "synthrad", "--from", str(collection)]
    command += ["--to", str(tmp_path / "d"), "--size", "32", "--pixel-mm", "8", "--ids", "keep"]
    command += ["--max-slices", "5", "--masks", "threshold"]
    draw, kills = random.Random(seed), 0
    for _ in range(5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (tmp_path / "d.private").exists():
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.8))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 1
    subprocess.run(command, check=True, capture_output=True)
    assert contents(tmp_path / "d") == contents(made)
