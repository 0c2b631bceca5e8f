"""Leases: what other sweeps on a store train now."""

import os
import time
from pathlib import Path

from sweeps import leases as leasing
from sweeps.leases import Leases
from tests.sweeps.toy import FORK


def taken(leases: Leases, course=FORK[0]) -> bool:
    return leases.take(course, allowed=lambda others: course not in others)


def test_a_lease_is_seen_by_others_until_it_is_released(tmp_path):
    with Leases(tmp_path, "one") as one, Leases(tmp_path, "two") as two:
        assert one.others() == two.others() == []
        assert taken(one)
        assert two.others() == [FORK[0]]
        assert one.others() == []
        assert not taken(two)
        one.release("keep")
        assert two.others() == []
        assert taken(two)


def test_leases_end_with_their_sweep(tmp_path):
    with Leases(tmp_path, "two") as two:
        with Leases(tmp_path, "one") as one:
            taken(one)
        assert two.others() == []
        assert [path.name.split("-")[0] for path in (tmp_path / "leases").glob("*.json")] == []


def lease_of_another_host(folder: Path, *, age: float) -> None:
    """As if a driver on another machine had taken it and last touched it `age` seconds ago."""
    with Leases(folder, "far") as far:
        taken(far)
        (path,) = (folder / "leases").glob("far*.json")
        content = path.read_text()
    path.write_text(content.replace(leasing.socket.gethostname(), "elsewhere"))
    os.utime(path, (time.time() - age,) * 2)


def test_a_lease_of_another_machine_counts_while_it_is_touched(tmp_path):
    lease_of_another_host(tmp_path, age=leasing.STALE_SECONDS - 20)
    with Leases(tmp_path, "two") as two:
        assert two.others() == [FORK[0]]


def test_a_lease_that_nobody_touched_for_a_minute_holds_nobody_back(tmp_path):
    lease_of_another_host(tmp_path, age=leasing.STALE_SECONDS + 1)
    with Leases(tmp_path, "two") as two:
        assert two.others() == []
        assert taken(two)


def test_a_running_sweep_keeps_touching_its_leases(tmp_path, monkeypatch):
    monkeypatch.setattr(leasing, "BEAT_SECONDS", 0.05)
    with Leases(tmp_path, "one") as one:
        taken(one)
        (path,) = (tmp_path / "leases").glob("one*.json")
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert time.time() - path.stat().st_mtime < leasing.STALE_SECONDS
