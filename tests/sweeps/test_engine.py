"""The engine with a training that knows no GAN: shared once, killed anywhere, two at a time."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps import tree
from sweeps.engine import announce, sweep, tasks_of
from sweeps.keeping import clear_leftovers
from sweeps.stages import go_on_from
from sweeps.store.files import Files
from sweeps.store.leases import leases_on
from sweeps.store.store import Store
from sweeps.tree import lay_out
from tests.sweeps.toy import FORK, UNIQUE, ends, straight, toy

EFFECTS = ("write", "sync", "create", "replace", "move", "remove", "remove_empty")
"""All by which the store changes what is on disk."""


def in_a_child(action: Callable[[], object]) -> int:
    """Run it in a fork of this process; its exit status, negative for a signal."""
    pid = os.fork()
    if not pid:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die_at(number: int) -> None:
    """Kill this process before or after the `number`th effect (odd: before, even: after)."""
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in EFFECTS:
        plain = getattr(Files, name)

        def deadly(self, *given, plain=plain):
            count()
            result = plain(self, *given)
            count()
            return result

        setattr(Files, name, deadly)


def run(folder: Path, *, courses=FORK, name: str = "toy") -> None:
    sweep(courses, toy(folder / "epochs.log"), Store(str(folder / "stages")), name=name)


def trained(folder: Path) -> int:
    log = folder / "epochs.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def left(folder: Path) -> list[str]:
    """Files that no COMMIT names and no sweep needs; the marker's own go with `pct store gc`."""
    stages = folder / "stages"
    store = Store(str(stages))
    odd = [seen.path for found in store.folders() for seen in store.leftovers(found)]
    odd += [path.name for path in stages.rglob("*.tmp") if path.parent != stages]
    kept = {task.course.key(epoch) for task in tasks_of(FORK) for epoch in task.keep}
    return odd + sorted(set(store.keys()) - kept)


def test_every_course_ends_as_if_it_had_been_trained_alone(tmp_path):
    run(tmp_path)
    store = Store(str(tmp_path / "stages"))
    assert ends(FORK, store) == [straight(course) for course in FORK]
    assert trained(tmp_path) == UNIQUE
    run(tmp_path)
    assert trained(tmp_path) == UNIQUE


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.slow), 29])
def test_killed_at_any_effect_and_run_again_nothing_is_lost(stride, tmp_path):
    """SIGKILL before and after each change of the disk: at most one epoch is trained again."""
    expected = [straight(course) for course in FORK]
    kills = 0
    for number in range(1, 10_000, stride):
        folder = tmp_path / str(number)
        folder.mkdir()

        def doomed(folder=folder, number=number) -> None:
            die_at(number)
            run(folder)

        status = in_a_child(doomed)
        assert status in (0, -signal.SIGKILL)
        kills += status != 0
        run(folder)
        store = Store(str(folder / "stages"))
        assert ends(FORK, store) == expected, f"killed at effect {number}"
        assert trained(folder) <= UNIQUE + 1, f"killed at effect {number}"
        assert not left(folder), f"killed at effect {number}"
        if status == 0:
            break
    assert kills > 300 / stride


def test_two_sweeps_at_once_train_what_they_share_once(tmp_path):
    store = Store(str(tmp_path / "stages"))
    pids = []
    sweeps = {"a": ("keep", "drop"), "b": ("back", "keep", "other"), "c": ("drop", "back")}
    chosen = {name: [c for c in FORK if c.name in courses] for name, courses in sweeps.items()}
    for name, courses in chosen.items():  # before one of them is past another's fork
        announce(tasks_of(courses), store, name=name)
    for name, courses in chosen.items():
        pid = os.fork()
        if not pid:
            run(tmp_path, courses=courses, name=name)
            os._exit(0)
        pids.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0, 0]
    assert ends(FORK, store) == [straight(course) for course in FORK]
    assert trained(tmp_path) == UNIQUE


def test_a_killed_sweep_holds_nobody_back(tmp_path):
    store = Store(str(tmp_path / "stages"))

    def dies() -> None:
        with leases_on(store, "dead") as leases:
            assert leases.take(FORK[0], allowed=lambda others: True)
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(dies) == -signal.SIGKILL
    assert list((tmp_path / "stages" / "leases").glob("dead*.json"))
    run(tmp_path)
    assert trained(tmp_path) == UNIQUE


@pytest.mark.parametrize("shift", [0, 1])
def test_a_stage_damaged_since_is_trained_anew(tmp_path, shift):
    run(tmp_path)
    store = Store(str(tmp_path / "stages"))
    keep = FORK[0]
    victim = tmp_path / "stages" / keep.key(16)[:2] / keep.key(16)
    (state,) = victim.glob("state*")
    state.write_bytes(b"x" * (len(state.read_bytes()) + shift))
    run(tmp_path)
    assert ends(FORK, store) == [straight(course) for course in FORK]
    assert trained(tmp_path) == UNIQUE + 3  # from the fork at 13 on
    assert list((tmp_path / "stages" / "set-aside").iterdir())


def test_a_sweep_that_ends_leaves_others_what_they_would_go_on_from(tmp_path):
    """The first has ended; the second broke off between snapshots on the way that both share."""
    store = Store(str(tmp_path / "stages"))
    keep, drop, *_ = FORK
    run(tmp_path, courses=[keep], name="first")
    announce(tasks_of([drop]), store, name="second")
    store.put(drop.key(12), {"state.pt": b"passing", "history.json": b"[]"})
    run(tmp_path, courses=[keep], name="first")
    assert store.has(keep.key(12)), "keep and drop share epoch 12"


def test_without_leases_nothing_is_cleared(tmp_path):
    store = Store(str(tmp_path / "stages"))
    key = FORK[0].key(12)
    store.put(key, {"state.pt": b"passing"})
    clear_leftovers(store, "toy", {key}, needed=set(), leases=None)
    assert store.has(key)


def test_a_stage_that_vanishes_while_it_is_read_is_looked_for_again(tmp_path, monkeypatch):
    run(tmp_path)
    store, read = Store(str(tmp_path / "stages")), Store.get_all

    def vanishing(self, key):
        if key == FORK[0].key(16):
            self.drop(key)
        return read(self, key)

    monkeypatch.setattr(Store, "get_all", vanishing)
    finished, files = go_on_from(FORK[0], store)
    assert finished == 13
    assert files["state.pt"]


def test_numbers_that_are_equal_make_equal_keys():
    values = [1, 1.0], [0, -0.0]
    for one, other in values:
        keys = [
            lay_out("x", base="b", epochs=2, values={0: {"lr": value}}).key(1)
            for value in (one, other)
        ]
        assert keys[0] == keys[1]
    assert lay_out("x", base="b", epochs=2, values={0: {"on": True}}).steps[0][1] == (("on", True),)
    tree._key.cache_clear()
    assert lay_out("x", base="b", epochs=2, values={0: {"lr": 0}}).key(1) == keys[0]
