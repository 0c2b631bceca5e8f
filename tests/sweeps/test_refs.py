"""Who needs which stages: written whole, read again, never read as "nothing"."""

import os
import threading
import time

import pytest

from sweeps.store import refs
from sweeps.store.refs import BadRef, LeafRef, Ref, drop_ref, read_refs, wanted, write_ref
from sweeps.store.store import Store


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "stages"), patience=0.2)


def a_ref(sweep: str = "thesis-1", *, seed: str = "a", snapshots=(2, 3)) -> Ref:
    keys = tuple(f"{seed}{epoch}" * 8 for epoch in range(1, 4))
    leaf = LeafRef(keys=keys, snapshots=snapshots)
    return Ref(sweep=sweep, folder=f"/out/{sweep}", host="node7", leaves={"exp1": leaf})


def age(store: Store, sweep: str, seconds: float) -> None:
    """Long enough ago that the clock tells it from what is written now."""
    path = os.path.join(store.root, "refs", f"{sweep}.json")
    os.utime(path, (time.time() - seconds,) * 2)


def test_refs_come_back_by_name_and_the_last_one_written_counts(store):
    write_ref(store, a_ref("b"))
    write_ref(store, a_ref("a", seed="x"))
    write_ref(store, a_ref("a", seed="y"))
    assert read_refs(store) == [a_ref("a", seed="y"), a_ref("b")]
    drop_ref(store, "a")
    drop_ref(store, "a")
    assert read_refs(store) == [a_ref("b")]


def test_wanted_are_the_snapshots_of_all_sweeps(store):
    assert wanted(store) == frozenset()
    write_ref(store, a_ref("a", seed="x", snapshots=(1, 3)))
    write_ref(store, a_ref("b", seed="y", snapshots=(2,)))
    assert wanted(store) == {"x1" * 8, "x3" * 8, "y2" * 8}


def test_asking_again_reads_nothing_until_a_file_changes(store, monkeypatch):
    for sweep in "ab":
        write_ref(store, a_ref(sweep, seed=sweep))
        age(store, sweep, 60)
    first = wanted(store)
    read, paths = refs._parsed, []

    def count(store, seen):
        paths.append(seen.path)
        return read(store, seen)

    monkeypatch.setattr(refs, "_parsed", count)
    assert wanted(store) == first
    assert paths == []
    write_ref(store, a_ref("b", seed="c"))
    assert wanted(store) == (first | {"c2" * 8, "c3" * 8}) - {"b2" * 8, "b3" * 8}
    assert paths == ["refs/b.json"]
    drop_ref(store, "a")
    assert wanted(store) == {"c2" * 8, "c3" * 8}


def test_two_versions_of_one_size_and_one_time_are_told_apart(store):
    """File systems count time in ticks: equal times of fresh files prove nothing."""
    now = time.time()
    for seed in "xyz":
        write_ref(store, a_ref("a", seed=seed))
        os.utime(os.path.join(store.root, "refs", "a.json"), (now, now))
        assert wanted(store) == {f"{seed}2" * 8, f"{seed}3" * 8}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[]", "valid dictionary"),
        ('{"sweep": "a"}', "folder: Field required"),
        (a_ref("a").model_dump_json().replace("[2,3]", "[2,4]"), "snapshots"),
        (a_ref("a").model_dump_json()[:-20], "delimiter|Unterminated|Expecting"),
    ],
)
def test_a_torn_file_is_an_error_and_never_no_needs(store, content, said):
    write_ref(store, a_ref("a"))
    path = os.path.join(store.root, "refs", "a.json")
    with open(path, "w") as file:
        file.write(content)
    for ask in (read_refs, wanted):
        with pytest.raises(BadRef, match=said) as caught:
            ask(store)
        assert "refs/a.json" in str(caught.value)
        assert "Run that sweep again" in str(caught.value)


def test_a_name_that_would_leave_the_folder_is_refused(store):
    with pytest.raises(BadRef, match="not the name of a file"):
        write_ref(store, a_ref("../thesis"))


def test_readers_see_whole_files_while_they_are_replaced(store):
    write_ref(store, a_ref("a"))
    done = threading.Event()

    def rewrite() -> None:
        for number in range(40):
            write_ref(store, a_ref("a", seed="xy"[number % 2]))
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen = set()
    while not done.is_set():
        seen |= {ref.leaves["exp1"].keys[0][0] for ref in read_refs(store)}
        assert len(wanted(store)) == 2
    writer.join()
    assert seen == {"x", "y"} or seen == {"a", "x", "y"}
