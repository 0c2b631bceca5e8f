"""The stage store: committed last, verified on reading."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sweeps.store.files import Files
from sweeps.store.store import Damaged, Missing, Store, StoreError

KEY = "3f9a" * 8
FILES = {"state.pt": b"weights" * 100, "history.json": b"[]", "epoch-0003_p01.png": b"\x89PNG"}


@pytest.fixture(params=["path", "uri"])
def store(request, tmp_path) -> Store:
    folder = tmp_path / "stages"
    return Store(str(folder) if request.param == "path" else folder.as_uri())


def files_below(tmp_path: Path) -> list[Path]:
    return sorted(path for path in tmp_path.rglob("*") if path.is_file())


def test_what_is_put_comes_back(store, tmp_path):
    assert not store.has(KEY)
    store.put(KEY, FILES)
    assert store.has(KEY)
    assert {name: store.get(KEY, name) for name in store.names(KEY)} == FILES
    assert store.get_all(KEY) == FILES
    assert (tmp_path / "stages" / KEY[:2] / KEY / "COMMIT").is_file()
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_key_without_its_commit_does_not_exist(store, tmp_path):
    store.put(KEY, FILES)
    next(tmp_path.rglob("COMMIT")).unlink()
    assert not store.has(KEY)
    for read in (lambda: store.get(KEY, "state.pt"), lambda: store.names(KEY)):
        with pytest.raises(StoreError, match=f"stage {KEY} is not in"):
            read()
    store.put(KEY, FILES)
    assert store.get(KEY, "state.pt") == FILES["state.pt"]


def test_the_commit_is_written_last_and_after_all_else_is_synced(store, monkeypatch):
    done = []
    for effect in ("write", "sync", "create"):
        act = getattr(Files, effect)

        def remember(self, first, *rest, act=act, effect=effect):
            first = first if effect != "sync" else list(first)
            done.append((effect, [Path(path).name for path in np.atleast_1d(first)]))
            return act(self, first, *rest)

        monkeypatch.setattr(Files, effect, remember)
    store.establish()
    del done[:]
    store.put(KEY, FILES)
    written, names = zip(*done, strict=True)
    assert written[:5] == ("write", "write", "write", "sync", "create")
    assert sorted(names[3]) == sorted(name for (name,) in names[:3])
    assert names[4] == ["COMMIT"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_a_writer_that_is_stopped_half_way_leaves_no_key_and_no_file(
    store, tmp_path, monkeypatch, stop
):
    write = Files.write

    def stop_at_history(self, path, content):
        write(self, path, content)
        if "history" in path:
            raise stop

    monkeypatch.setattr(Files, "write", stop_at_history)
    with pytest.raises(stop):
        store.put(KEY, FILES)
    assert not store.has(KEY)
    assert files_below(tmp_path) == [tmp_path / "stages" / "STORE"]


@pytest.mark.parametrize("name", list(FILES))
def test_a_flipped_byte_is_named_with_its_file(store, tmp_path, name):
    store.put(KEY, FILES)
    stem = name.rpartition(".")[0]
    (path,) = [p for p in files_below(tmp_path) if p.name.startswith(stem)]
    damaged = bytearray(path.read_bytes())
    damaged[0] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="has changed since it was committed") as caught:
        store.get(KEY, name)
    assert str(path) in str(caught.value)
    assert "pct store verify" in str(caught.value)
    with pytest.raises(Damaged):
        store.get_all(KEY)


def test_a_lost_file_is_named(store, tmp_path):
    store.put(KEY, FILES)
    (path,) = [p for p in files_below(tmp_path) if p.name.startswith("state")]
    path.unlink()
    for read in (lambda: store.get(KEY, "state.pt"), lambda: store.info(KEY)):
        with pytest.raises(Damaged, match="it is gone") as caught:
            read()
        assert path.name in str(caught.value)


def test_a_file_that_was_never_put_is_refused_by_name(store):
    store.put(KEY, FILES)
    with pytest.raises(StoreError, match=r"holds no best\.pt"):
        store.get(KEY, "best.pt")


def test_putting_again_changes_nothing(store, tmp_path):
    store.put(KEY, FILES)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files_below(tmp_path)}
    store.put(KEY, {"state.pt": b"other"})
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files_below(tmp_path)}
    assert after == before


def test_a_dropped_key_is_gone_and_may_be_dropped_again(store, tmp_path):
    store.put(KEY, FILES)
    store.drop(KEY)
    store.drop(KEY)
    assert not store.has(KEY)
    assert [path.name for path in (tmp_path / "stages").iterdir()] == ["STORE"]
    store.put(KEY, FILES)
    assert store.has(KEY)


def test_two_writers_of_one_key_leave_a_whole_one(store, tmp_path):
    """Their states are equal, but for the clock in the history."""
    ready = threading.Barrier(2)

    def write(number: int) -> None:
        ready.wait()
        store.put(KEY, {**FILES, "history.json": b"[%d]" % number})

    for _ in range(10):
        threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.get(KEY, "state.pt") == FILES["state.pt"]
        assert store.get(KEY, "history.json") in (b"[0]", b"[1]")
        store.drop(KEY)


def test_a_store_that_cannot_be_written_says_so_at_once(tmp_path):
    (tmp_path / "stages").write_text("in the way")
    with pytest.raises(StoreError, match="what is committed is safe"):
        Store(str(tmp_path / "stages")).put(KEY, FILES)


@pytest.mark.parametrize("content", [b"", b"not json", b"[1]", b'{"state.pt": 3}', b'{"a": {}}'])
def test_a_commit_that_says_nothing_is_damage_and_not_absence(store, tmp_path, content):
    store.put(KEY, FILES)
    next(tmp_path.rglob("COMMIT")).write_bytes(content)
    assert store.has(KEY)
    for read in (store.get_all, store.names, store.info):
        with pytest.raises(Damaged, match="COMMIT: it does not say which files"):
            read(KEY)


def test_a_stage_from_outside(store):
    other = "01" * 16
    store.put(KEY, FILES)
    store.put(other, {"a.b": b"12345"})
    assert list(store.keys()) == [other, KEY]
    assert store.which([KEY, "77" * 16, other]) == {KEY, other}
    info = store.info(KEY)
    assert (info.key, info.bytes) == (KEY, sum(map(len, FILES.values())))
    assert sorted(info.names) == sorted(FILES)
    assert abs(info.committed - time.time()) < 60
    with pytest.raises(Missing, match="is not in"):
        store.info("77" * 16)


def test_a_stage_set_aside_is_gone_with_its_reason_and_can_be_trained_anew(store, tmp_path):
    store.put(KEY, FILES)
    store.set_aside(KEY, "a byte was flipped")
    store.set_aside(KEY, "it is gone already")
    assert not store.has(KEY)
    assert list(store.keys()) == []
    (aside,) = (tmp_path / "stages" / "set-aside").iterdir()
    assert (aside / "why.txt").read_text() == "a byte was flipped"
    commit = json.loads((aside / "COMMIT").read_text())
    assert {n: (aside / e["file"]).read_bytes() for n, e in commit.items()} == FILES
    assert store.put(KEY, FILES)
    assert store.get_all(KEY) == FILES


def test_of_a_commit_that_cannot_be_read_only_itself_is_set_aside(store, tmp_path):
    store.put(KEY, FILES)
    next(tmp_path.rglob("COMMIT")).write_bytes(b"")
    store.set_aside(KEY, "empty")
    assert not store.has(KEY)
    assert len(store.leftovers(KEY)) == len(FILES)
    store.tidy([KEY])
    assert not (tmp_path / "stages" / KEY[:2]).exists()


def test_tidy_removes_what_killed_writers_left_and_nothing_else(store, tmp_path):
    torn = "02" * 16
    store.put(KEY, FILES)
    store.put(torn, FILES)
    folder, half = (tmp_path / "stages" / key[:2] / key for key in (KEY, torn))
    before = files_below(folder)
    (folder / "COMMIT.1f.tmp").write_bytes(b"{")
    (folder / "state-00000000-00000000.pt").write_bytes(b"of a writer that came second")
    (half / "COMMIT").unlink()
    store.tidy([KEY, torn, "77" * 16])
    assert files_below(folder) == before
    assert not half.exists()
    assert store.get_all(KEY) == FILES


def test_a_damaged_stage_is_not_tidied_away(store, tmp_path):
    store.put(KEY, FILES)
    next(tmp_path.rglob("COMMIT")).write_bytes(b"")
    before = files_below(tmp_path)
    store.tidy([KEY])
    assert files_below(tmp_path) == before
