"""A store that is away: waited for, never believed empty, never made anew in its mount point."""

import errno
import json
import logging
import multiprocessing
import os
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow import fs

from sweeps.store import patience
from sweeps.store.files import Files
from sweeps.store.refs import read_refs, wanted, write_ref
from sweeps.store.store import Missing, Store, StoreError, Unreachable
from tests.sweeps.away import AWAY, REFUSED, Failing, back_after, on, unmounted, uses
from tests.sweeps.test_refs import a_ref

KEY, OTHER = "3f9a" * 8, "77" * 16
FILES = {"state.pt": b"weights" * 100, "history.json": b"[]"}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(patience, "SHORTEST_PAUSE_SECONDS", 0.002)


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "stages"


@pytest.fixture
def store(root) -> Store:
    return Store(str(root), patience=0.1)


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_what_was_never_a_store_holds_nothing_and_stays_as_it_is(root):
    store, began = Store(str(root), patience=60), time.monotonic()
    assert not store.has(KEY)
    assert not store.exists()
    assert list(store.keys()) == []
    assert read_refs(store) == []
    store.drop(KEY)
    with pytest.raises(Missing):
        store.get(KEY, "state.pt")
    assert not root.exists()
    assert time.monotonic() - began < 20


def test_the_first_put_makes_the_store_and_all_agree_which(store, root):
    store.put(KEY, FILES)
    marker = json.loads((root / "STORE").read_text())
    assert (sorted(marker), marker["format"]) == (["format", "id"], 1)
    Store(str(root)).put(OTHER, FILES)
    assert json.loads((root / "STORE").read_text()) == marker


def test_many_that_open_a_store_at_once_make_one(root):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(Store.establish, [Store(str(root), patience=0.5) for _ in range(16)])
        pool.close()
        pool.join()  # a worker that is ended instead may hold its queue's lock
    assert [path.name for path in root.iterdir()] == ["STORE"]


@pytest.mark.parametrize("name", uses())
def test_an_unmounted_store_is_never_taken_for_an_empty_one(store, root, name):
    store.put(KEY, FILES)
    with unmounted(root), pytest.raises(Unreachable) as caught:
        uses()[name](store, OTHER)
    assert str(root) in str(caught.value)
    assert "could not be reached for 0 s" in str(caught.value)
    assert "Mount it again" in str(caught.value)
    assert store.get_all(KEY) == FILES


@pytest.mark.parametrize("name", uses())
def test_a_store_that_comes_back_in_time_is_used_as_if_nothing_had_been(root, name):
    straight, other = Store(str(root / "a")), Store(str(root / "b"), patience=30)
    for one in (straight, other):
        one.put(KEY, FILES)
    expected = uses()[name](straight, KEY)
    with back_after(0.1, root / "b"):
        found = uses()[name](other, KEY)
    if name not in ("info", "leftovers"):  # these tell times
        assert found == expected
    assert len(files_below(root / "a")) == len(files_below(root / "b"))


@pytest.mark.parametrize("ask", [read_refs, wanted])
def test_needs_are_not_forgotten_while_the_store_is_away(root, ask):
    store = Store(str(root), patience=30)
    write_ref(store, a_ref())
    with back_after(0.1, root):
        found = ask(store)
    assert found == ask(store) != type(found)()


def test_a_process_that_never_saw_the_store_must_be_told_that_there_is_one(root):
    """As a worker started while the mount is away."""
    told = Store(str(root), patience=0.1, must_exist=True)
    for use in (lambda: told.has(KEY), lambda: told.put(KEY, FILES), told.establish):
        with pytest.raises(Unreachable, match="STORE is not there"):
            use()
    assert not root.exists()


def test_another_store_in_its_place_is_not_it(store, root, tmp_path):
    store.put(KEY, FILES)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "STORE").write_text('{"id": "f00", "format": 1}')
    root.rename(tmp_path / "elsewhere")
    (tmp_path / "other").rename(root)
    with pytest.raises(Unreachable, match="another store"):
        store.has(KEY)


@pytest.mark.parametrize("moment", ["before write", "after write", "before sync", "before create"])
def test_a_put_whose_store_goes_away_half_way_writes_nothing_into_the_mount_point(
    store, root, tmp_path, monkeypatch, moment
):
    store.put(KEY, FILES)
    when, _, effect = moment.partition(" ")
    act = getattr(Files, effect)

    def vanish(self, *paths):
        if when == "after":
            act(self, *paths)
        if root.exists() and (root / "STORE").exists():
            root.rename(tmp_path / "elsewhere")
            root.mkdir()
        return None if when == "after" else act(self, *paths)

    assert sum(path.is_file() for path in root.rglob("*")) == 4
    with monkeypatch.context() as patch:
        patch.setattr(Files, effect, vanish)
        with pytest.raises(Unreachable, match="could not be reached"):
            store.put(OTHER, FILES)
    assert list(root.rglob("*")) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "x", "id": 1}'])
def test_a_marker_that_cannot_be_read_proves_nothing(store, root, content):
    store.put(KEY, FILES)
    (root / "STORE").write_text(content)
    assert store.has(KEY)
    with pytest.raises(Unreachable, match="STORE cannot be read"):
        store.has(OTHER)


def test_a_store_of_a_later_format_is_left_alone(store, root):
    store.put(KEY, FILES)
    (root / "STORE").write_text('{"id": "a", "format": 2}')
    with pytest.raises(StoreError, match="format 2, this release reads 1"):
        store.put(OTHER, FILES)


@pytest.mark.parametrize("told", [False, True])
def test_a_store_of_the_release_without_markers_is_adopted_at_the_first_put(root, told):
    folder = root / KEY[:2] / KEY
    folder.mkdir(parents=True)
    (folder / "state-5d41402a.pt").write_bytes(b"hello")
    sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    commit = {"state.pt": {"file": "state-5d41402a.pt", "sha256": sha}}
    (folder / "COMMIT").write_text(json.dumps(commit))
    store = Store(str(root), patience=0.1, must_exist=told)
    assert store.exists()
    assert store.get_all(KEY) == {"state.pt": b"hello"}
    assert not store.has(OTHER)
    assert not (root / "STORE").exists()
    store.put(OTHER, FILES)
    assert (root / "STORE").exists()
    assert list(store.keys()) == [KEY, OTHER]
    with unmounted(root), pytest.raises(Unreachable):
        store.has(KEY)


@pytest.mark.parametrize(
    ("name", "number"),
    [*((name, errno.ESTALE) for name in uses()), *(("put", number) for number in AWAY)],
)
def test_an_error_of_a_mount_that_is_away_is_waited_out(tmp_path, number, name):
    plain, flaky = (Store(str(tmp_path / n), patience=20) for n in "ab")
    for one in (plain, flaky):
        one.put(KEY, FILES)
    failing = Failing(fs.LocalFileSystem(), number, times=2)
    found, expected = uses()[name](on(flaky, failing), KEY), uses()[name](plain, KEY)
    assert failing.calls > 2
    if name not in ("info", "leftovers"):
        assert found == expected


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ENOSPC])
def test_a_put_that_fails_at_any_call_leaves_nothing_or_a_whole_stage(root, number):
    """Once a stage is committed, an error after it takes nothing away."""
    store = Store(str(root), patience=0)
    store.put(OTHER, FILES)
    before = files_below(root)
    counted = Failing(fs.LocalFileSystem(), number, times=0)
    on(store, counted).put(KEY, FILES)
    for call in range(counted.calls):
        store.drop(KEY)
        assert files_below(root) == before
        failing = Failing(fs.LocalFileSystem(), number, first=call, times=1)
        with suppress(StoreError):
            on(store, failing).put(KEY, FILES)
        if store.has(KEY):
            assert store.get_all(KEY) == FILES
            assert store.leftovers(KEY) == []
        else:
            assert files_below(root) == before, call


@pytest.mark.parametrize("number", REFUSED)
def test_a_refusal_is_told_at_once_with_bytes_wanted_and_free(store, root, number):
    store.put(OTHER, FILES)
    slow = Store(store.root, patience=60)
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        on(slow, Failing(fs.LocalFileSystem(), number)).put(KEY, FILES)
    assert time.monotonic() - began < 20
    assert not isinstance(caught.value, Unreachable)
    for words in (os.strerror(number), "702 bytes", "are free", "what is committed is safe"):
        assert words in str(caught.value)


def test_waiting_is_logged_once_with_growing_pauses_and_lasts_as_long_as_patience(
    store, caplog, monkeypatch
):
    store.put(KEY, FILES)
    away = on(Store(store.root, patience=60), Failing(fs.LocalFileSystem(), errno.ESTALE))
    pauses = []
    clock = SimpleNamespace(monotonic=lambda: sum(pauses), sleep=pauses.append)
    monkeypatch.setattr(patience, "time", clock)
    with caplog.at_level(logging.WARNING), pytest.raises(Unreachable, match="for 60 s"):
        away.has(KEY)
    assert sum(pauses) == pytest.approx(60)
    assert pauses[:-1] == sorted(pauses[:-1])
    assert (pauses[0], max(pauses)) == (0.002, patience.LONGEST_PAUSE_SECONDS)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "waiting up to 60 s" in caplog.text


def test_what_one_short_pause_mends_is_not_worth_a_word(store, caplog):
    store.put(KEY, FILES)
    with caplog.at_level(logging.WARNING):
        on(store, Failing(fs.LocalFileSystem(), errno.EAGAIN, times=1)).get_all(KEY)
    assert caplog.records == []


def test_an_object_stores_refusal_is_told_from_its_absence(store):
    said = {
        "AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7": Unreachable,
        "AWS Error SLOW_DOWN during PutObject operation: reduce your request rate": Unreachable,
        "AWS Error ACCESS_DENIED during PutObject operation: no": StoreError,
        "AWS Error NO_SUCH_BUCKET during PutObject operation: none": StoreError,
    }
    for words, kind in said.items():

        def fail(words=words):
            raise OSError(words)

        with pytest.raises(StoreError) as caught:
            store.patiently(fail, "look")
        assert type(caught.value) is kind
        assert words in str(caught.value)


def test_a_disk_without_hard_links_still_commits_whole_stages(store, root, monkeypatch):
    def refuse(*paths):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert store.put(KEY, FILES)
    assert not store.put(KEY, FILES)
    assert store.get_all(KEY) == FILES
    assert not list(root.rglob("*.tmp"))
