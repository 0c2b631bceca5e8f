"""Collection against a slow model of what is needed: nothing needed goes, all else may."""

import json
import os
import time
from pathlib import Path

import pytest

from sweeps.store import collect as collecting
from sweeps.store.collect import choose, collect, survey
from sweeps.store.files import Files
from sweeps.store.needs import BadLease, needs
from sweeps.store.refs import BadRef, LeafRef, Ref, this_host, write_ref
from sweeps.store.store import Store
from tests.sweeps.random_store import HOUR, World, key_of, stamp


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch):
    """A power cut is not what is tried here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def whole(store: Store) -> set[str]:
    """The committed keys, each read to the last byte."""
    return {key for key in list(store.keys()) if store.get_all(key)["n"] == key.encode()}


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_what_must_stay_is_what_the_slow_model_says(tmp_path, first):
    both = {True: 0, False: 0}
    for seed in range(first, first + 20):
        world = World(tmp_path / str(seed), seed)
        found = survey(world.store)
        assert {holding.key for holding in found.holdings} == set(world.present)
        for holding in found.holdings:
            assert bool(holding.why) == world.is_needed(holding.key), (seed, holding)
            assert holding.bytes == world.size[holding.key]
            both[bool(holding.why)] += 1
        assert found.total_bytes == sum(world.size.values())
        assert found.kept_bytes == sum(s for k, s in world.size.items() if world.is_needed(k))
    assert min(both.values()) > 10


@pytest.mark.parametrize("seed", range(200, 220))
def test_collecting_leaves_what_is_needed_and_no_more_room_than_asked(tmp_path, seed):
    world = World(tmp_path, seed)
    needed = {key for key in world.present if world.is_needed(key)}
    total, kept = sum(world.size.values()), sum(world.size[key] for key in needed)
    budget = world.random.choice([None, 0, total // 2, total, total + 1, kept])
    list(collect(world.store, choose(survey(world.store), budget=budget)))
    left = whole(world.store)
    assert needed <= left <= set(world.present)
    gone = sorted(set(world.present) - left, key=world.committed.get)
    if budget is None:
        assert left == needed
        return
    size = sum(world.size[key] for key in left)
    assert size <= max(budget, kept)
    if gone:  # the last one was still too many, and none that stayed is older
        assert size + world.size[gone[-1]] > budget
        free = left - needed
        assert all(world.committed[key] >= world.committed[gone[-1]] for key in free)


class Stop(BaseException):
    """Stands for a kill."""


def is_stopped_after(number: int, store: Store, monkeypatch) -> bool:
    """Collect, and stop before the effect that follows; whether one follows."""
    left = [number]

    def mortal(real):
        def call(self, *paths):
            if not left[0]:
                raise Stop
            left[0] -= 1
            return real(self, *paths)

        return call

    waste = choose(survey(store))
    with monkeypatch.context() as patch:
        for name in ("remove", "move", "remove_empty"):
            patch.setattr(Files, name, mortal(getattr(Files, name)))
        try:
            list(collect(store, waste))
        except Stop:
            return True
    return False


@pytest.mark.parametrize("effects", [1, 2, 3])
@pytest.mark.parametrize("seed", [303, 304, 305, 306])
def test_a_collection_stopped_at_any_deletion_leaves_whole_stages(
    tmp_path, monkeypatch, seed, effects
):
    """Each goes on where the one before was stopped, so that every state in between is seen."""
    world, stops = World(tmp_path, seed), 0
    needed = {key for key in world.present if world.is_needed(key)}
    while is_stopped_after(effects, world.store, monkeypatch):
        stops += 1
        assert needed <= whole(world.store) <= set(world.present)
    assert whole(world.store) == needed
    assert stops > 3


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "stages"), patience=0.2)


def old(store: Store, *keys: str) -> None:
    for key in keys:
        store.put(key, {"n": key.encode()})
        for path in Path(store.root, key[:2], key).iterdir():
            stamp(path, time.time() - 2 * HOUR)


def test_a_sweep_that_starts_during_collection_keeps_what_it_names(store, tmp_path):
    keys = [key_of(letter) for letter in "abc"]
    old(store, *keys)
    removal = collect(store, choose(survey(store)))
    first = next(removal)
    (tmp_path / "out").mkdir()
    leaf = LeafRef(keys=tuple(keys), snapshots=())
    write_ref(store, Ref(sweep="s", folder=str(tmp_path / "out"), host="h", leaves={"x": leaf}))
    assert list(removal) == []
    assert whole(store) == set(keys) - {first.key}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"keys": 3, "host": "h", "pid": 1}'])
def test_a_lease_in_force_that_is_torn_stops_everything(store, content):
    old(store, key_of("a"))
    path = Path(store.root, "leases", "1.json")
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(BadLease, match=r"leases/1\.json: not a lease"):
        survey(store)
    stamp(path, time.time() - 61)
    assert needs(store) == {}


def test_a_torn_ref_stops_everything(store):
    old(store, key_of("a"))
    path = Path(store.root, "refs", "s.json")
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(BadRef):
        survey(store)


def test_reasons_say_which_sweep_and_what_it_waits_for(store, tmp_path):
    keys = [key_of(letter) for letter in "abcd"]
    old(store, *keys)
    folder = tmp_path / "out" / "thesis"
    (folder / "outcomes").mkdir(parents=True)
    leaves = {
        "exp1": LeafRef(keys=tuple(keys[:2]), snapshots=(2,)),
        "exp2": LeafRef(keys=tuple(keys[2:]), snapshots=(2,)),
    }
    ref = Ref(sweep="thesis-1", folder=str(folder), host=this_host(), leaves=leaves)
    write_ref(store, ref)
    outcome = {"status": "FINISHED", "key": keys[1], "last_stage": keys[1]}
    (folder / "outcomes" / "exp1.json").write_text(json.dumps(outcome))
    assert needs(store) == {
        keys[1]: "thesis-1: no report yet",
        keys[2]: "thesis-1: exp2 has not finished",
        keys[3]: "thesis-1: exp2 has not finished",
    }
    folder.rename(tmp_path / "moved")
    assert set(needs(store)) == set(keys)  # `out` is empty now, as an unmounted folder would be
    (tmp_path / "out" / "other").mkdir()
    assert needs(store) == {}


def test_leftovers_go_when_they_are_old_and_first(store):
    key, torn, fresh = (key_of(letter) for letter in "abc")
    old(store, key, torn, fresh)
    for gone in (torn, fresh):
        Path(store.root, gone[:2], gone, "COMMIT").unlink()
    store.put(aside := key_of("d"), {"n": b"1"})
    store.set_aside(aside, "why")
    strays = [Path(store.root, key[:2], key, "COMMIT.1.tmp"), Path(store.root, "STORE.2.tmp")]
    for stray in strays:
        stray.write_bytes(b"12345")
    outdated = [*strays, *(p for p in Path(store.root, "set-aside").rglob("*") if p.is_file())]
    for path in outdated:
        stamp(path, time.time() - 2 * HOUR)
    stamp(next(Path(store.root, fresh[:2], fresh).iterdir()), time.time())
    found = survey(store)
    assert {Path(store.root, seen.path) for seen in found.leftovers} == {
        *outdated, *Path(store.root, torn[:2], torn).iterdir(),
    }  # fmt: skip
    assert choose(found, budget=found.total_bytes - 1).stages == ()
    list(collect(store, choose(found, budget=found.total_bytes - 5)))
    assert store.has(key)
    list(collect(store, choose(survey(store))))
    names = {path.name for path in Path(store.root).rglob("*") if path.is_file()}
    assert len(names) == 2
    assert "STORE" in names  # and the fresh half


def test_of_a_damaged_stage_no_file_is_taken_for_a_leftover(store):
    old(store, key_of("a"))
    commit = next(Path(store.root).rglob("COMMIT"))
    commit.write_text("")
    stamp(commit, time.time() - 2 * HOUR)
    (tmp := commit.with_name("COMMIT.1.tmp")).write_text("")
    stamp(tmp, time.time() - 2 * HOUR)
    assert survey(store).leftovers == ()


def test_an_hour_is_an_hour(store, monkeypatch):
    old(store, key_of("a"))
    assert [holding.why for holding in survey(store).holdings] == [""]
    monkeypatch.setattr(collecting, "YOUNG_SECONDS", 2.5 * HOUR)
    assert [holding.why for holding in survey(store).holdings] == [collecting.YOUNG]
