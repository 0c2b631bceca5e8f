"""Leases: what other sweeps on a store train now."""

import errno
import os
import time
from pathlib import Path

import pytest

from sweeps.store import leases as leasing
from sweeps.store.leases import Leases, leases_on
from sweeps.store.store import Store
from tests.sweeps.away import back_after
from tests.sweeps.toy import FORK


@pytest.fixture
def place(tmp_path) -> Store:
    return Store(str(tmp_path))


def taken(leases: Leases, course=FORK[0]) -> bool:
    return leases.take(course, allowed=lambda others: course not in others)


def test_a_lease_is_seen_by_others_until_it_is_released(place, tmp_path):
    with leases_on(place, "one") as one, leases_on(place, "two") as two:
        assert one.others() == two.others() == []
        assert taken(one)
        assert two.others() == [FORK[0]]
        assert one.others() == []
        assert not taken(two)
        one.release("keep")
        assert two.others() == []
        assert taken(two)


def test_leases_end_with_their_sweep(place, tmp_path):
    with leases_on(place, "two") as two:
        with leases_on(place, "one") as one:
            taken(one)
        assert two.others() == []
        assert [path.name.split("-")[0] for path in (tmp_path / "leases").glob("*.json")] == []


def lease_of_another_host(folder: Path, *, age: float) -> None:
    """As if a driver on another machine had taken it and last touched it `age` seconds ago."""
    with leases_on(Store(str(folder)), "far") as far:
        taken(far)
        (path,) = (folder / "leases").glob("far*.json")
        content = path.read_text()
    path.write_text(content.replace(leasing.socket.gethostname(), "elsewhere"))
    os.utime(path, (time.time() - age,) * 2)


def test_a_lease_of_another_machine_counts_while_it_is_touched(place, tmp_path):
    lease_of_another_host(tmp_path, age=leasing.STALE_SECONDS - 20)
    with leases_on(place, "two") as two:
        assert two.others() == [FORK[0]]


def test_a_lease_that_nobody_touched_for_a_minute_holds_nobody_back(place, tmp_path):
    lease_of_another_host(tmp_path, age=leasing.STALE_SECONDS + 1)
    with leases_on(place, "two") as two:
        assert two.others() == []
        assert taken(two)


def test_a_running_sweep_keeps_touching_its_leases(place, tmp_path, monkeypatch):
    monkeypatch.setattr(leasing, "BEAT_SECONDS", 0.05)
    with leases_on(place, "one") as one:
        taken(one)
        (path,) = (tmp_path / "leases").glob("one*.json")
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert time.time() - path.stat().st_mtime < leasing.STALE_SECONDS


@pytest.fixture
def stages(tmp_path) -> Path:
    return tmp_path / "stages"


def test_while_the_store_is_away_a_lease_waits_and_writes_into_no_empty_mount_point(
    stages, monkeypatch
):
    monkeypatch.setattr(leasing, "BEAT_SECONDS", 0.05)
    with leases_on(Store(str(stages)), "one") as one, leases_on(Store(str(stages)), "two") as two:
        assert taken(one)
        with back_after(1.0, stages):  # fails if the beat, or anyone, writes into the empty folder
            began = time.monotonic()
            assert not taken(two)
        assert time.monotonic() - began > 0.5
        one.release("keep")
        assert taken(two)


def test_a_sweep_ends_at_once_though_its_store_is_away(stages):
    with leases_on(Store(str(stages)), "one") as one:
        taken(one)
        stages.rename(stages.with_name("elsewhere"))
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not stages.exists()


def test_on_a_full_disk_a_sweep_goes_on_without_a_lease(place, tmp_path, monkeypatch, caplog):
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with leases_on(place, "one") as one:
        monkeypatch.setattr(Path, "write_text", full)
        assert taken(one)
        one.release("keep")
    assert "No space left on device): another sweep may train the same twice" in caplog.text
    assert not list((tmp_path / "leases").glob("*.tmp"))
