"""The stage store: committed last, verified on reading."""

import threading
from pathlib import Path

import pytest

from sweeps.store import Store, StoreError

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


def test_the_commit_is_written_last(store, tmp_path, monkeypatch):
    written = []
    write = Store._write

    def remember(self, path, content):
        written.append(Path(path).name)
        write(self, path, content)

    monkeypatch.setattr(Store, "_write", remember)
    store.put(KEY, FILES)
    assert written[-1] == "COMMIT"
    assert len(written) == len(FILES) + 1


def test_a_writer_that_dies_half_way_leaves_no_key(store, tmp_path, monkeypatch):
    write = Store._write

    def die_at_history(self, path, content):
        if Path(path).name.startswith("history"):
            raise KeyboardInterrupt
        write(self, path, content)

    monkeypatch.setattr(Store, "_write", die_at_history)
    with pytest.raises(KeyboardInterrupt):
        store.put(KEY, FILES)
    assert not store.has(KEY)


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
    assert "Delete the stage's folder" in str(caught.value)


def test_a_lost_file_is_named(store, tmp_path):
    store.put(KEY, FILES)
    (path,) = [p for p in files_below(tmp_path) if p.name.startswith("state")]
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read") as caught:
        store.get(KEY, "state.pt")
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
    assert files_below(tmp_path) == []
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


def test_a_store_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "stages").write_text("in the way")
    with pytest.raises((StoreError, OSError)):
        Store(str(tmp_path / "stages")).put(KEY, FILES)
