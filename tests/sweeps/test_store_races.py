"""Writers that race, readers that look on, writers that are killed: never half a stage."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from pyarrow import fs

from sweeps.store.files import Files
from sweeps.store.store import Missing, Store

KEY = "3f9a" * 8
FORK = multiprocessing.get_context("fork")
SECONDS = 1.2


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch):
    """A kill takes nothing from the page cache; a sync is counted as an effect all the same."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def whole(writer: int, turn: int) -> dict[str, bytes]:
    """Files that tell whether they belong together."""
    word = b"%d %d;" % (writer, turn)
    return {"state.pt": word * 20_000, "history.json": word, "epoch_p01.png": word * 100}


def same(writer: int, turn: int) -> dict[str, bytes]:
    """What real writers of one key have: the same bytes, so the same hashes."""
    return {"state.pt": b"the weights" * 20_000, "history.json": b"[]"}


def begin(*calls) -> list:
    """Processes that run these at once."""
    processes = [FORK.Process(target=call[0], args=call[1:]) for call in calls]
    for process in processes:
        process.start()
    return processes


def end(processes) -> list[int]:
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def write_and_drop(root: str, number: int, made, done) -> None:
    store, turn = Store(root, patience=60), 0
    while not done.is_set():
        turn += 1
        store.put(KEY, made(number, turn))
        if turn % 3 == number % 3:
            store.drop(KEY)


def read_on(root: str, made) -> None:
    """For a while, and until enough was seen however busy the machine is."""
    store, seen, began = Store(root, patience=60), 0, time.monotonic()
    while seen < 20 or time.monotonic() - began < SECONDS:
        assert time.monotonic() - began < 60
        try:
            found = store.get_all(KEY)
        except Missing:
            continue
        word = found["history.json"].split(b";")[0].split()
        assert found == (made(*map(int, word)) if made is whole else made(0, 0))
        seen += 1


@pytest.mark.parametrize("made", [whole, same])
def test_readers_never_see_a_torn_stage_while_four_write_and_drop_it(tmp_path, made):
    root, done = str(tmp_path / "stages"), FORK.Event()
    writers = begin(*((write_and_drop, root, number, made, done) for number in range(4)))
    readers = begin(*((read_on, root, made) for _ in range(2)))
    read = end(readers)
    done.set()
    assert end(writers) == [0] * 4
    assert read == [0] * 2
    store = Store(root)
    store.put(KEY, made(0, 0))
    assert store.leftovers(KEY) == []
    store.drop(KEY)
    assert [path.name for path in (tmp_path / "stages").rglob("*")] == ["STORE"]


def put_once(root: str, number: int, start, wrote) -> None:
    store = Store(root)
    start.wait()
    if store.put(KEY, whole(number, 1)):
        wrote[number] = 1


def test_of_four_writers_of_a_key_one_wins_and_the_others_leave_nothing(tmp_path):
    for turn in range(5):
        root, start, wrote = tmp_path / str(turn), FORK.Barrier(4), FORK.Array("i", 4)
        assert end(begin(*((put_once, str(root), n, start, wrote) for n in range(4)))) == [0] * 4
        assert sum(wrote) == 1
        store = Store(str(root))
        assert store.get_all(KEY) == whole(list(wrote).index(1), 1)
        assert store.leftovers(KEY) == []
        assert len([path for path in root.rglob("*") if path.is_file()]) == 5


@pytest.mark.parametrize("other_is", ["committed", "committed and dropped", "dropped and back"])
@pytest.mark.parametrize("made", [whole, same])
def test_another_writer_of_the_key_may_do_anything_before_our_commit(
    tmp_path, monkeypatch, made, other_is
):
    """The moment at which two writers meet is too short to be hit by chance."""
    store, create = Store(str(tmp_path / "stages")), Files.create
    store.establish()

    def meet(self, path, content):
        with monkeypatch.context() as patch:
            patch.setattr(Files, "create", create)
            other = Store(store.root)
            other.put(KEY, made(2, 1))
            if "dropped" in other_is:
                other.drop(KEY)
            if "back" in other_is:
                other.put(KEY, made(3, 1))
        return create(self, path, content)

    monkeypatch.setattr(Files, "create", meet)
    wrote = store.put(KEY, made(1, 1))
    assert wrote == (other_is == "committed and dropped")
    writer = {"committed": 2, "committed and dropped": 1, "dropped and back": 3}[other_is]
    assert store.get_all(KEY) == made(writer, 1)
    assert store.leftovers(KEY) == []


def test_a_folder_that_vanishes_while_it_is_made_is_made_again(tmp_path):
    class Vanishing:
        type_name, calls = "local", 0

        def __getattr__(self, name):
            return getattr(fs.LocalFileSystem(), name)

        def create_dir(self, path, recursive):
            self.calls += 1
            if self.calls == 2:
                raise FileExistsError(17, "non-directory entry exists")
            fs.LocalFileSystem().create_dir(path, recursive=recursive)

    store = Store(str(tmp_path / "stages"), patience=5)
    store.establish()
    store.__dict__["files"] = Files(Vanishing(), store.files.root, True)
    assert store.put(KEY, whole(1, 1))
    assert store.get_all(KEY) == whole(1, 1)


class Mortal:
    """A file system, and the calls of `os` that go with it, killed before effect `number`.

    A write counts twice: it is killed before it, and with half of it on the disk.
    """

    def __init__(self, real, number: int) -> None:
        self._real, self._left = real, number

    def live(self) -> None:
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def wrap(self, act):
        def call(*args, **kwargs):
            self.live()
            return act(*args, **kwargs)

        return call

    def __getattr__(self, name: str):
        value = getattr(self._real, name)
        if name == "open_output_stream":
            return lambda path: HalfWritten(self, value(path))
        return self.wrap(value) if name in ("create_dir", "move", "delete_file") else value


class HalfWritten:
    def __init__(self, mortal: Mortal, stream) -> None:
        self._mortal, self._stream = mortal, stream

    def __enter__(self):
        self._mortal.live()
        return self

    def write(self, content: bytes) -> None:
        middle = len(content) // 2
        self._stream.write(content[:middle])
        self._stream.flush()
        self._mortal.live()
        self._stream.write(content[middle:])

    def __exit__(self, *error) -> None:
        self._stream.close()


def act_mortally(root: str, act, number: int) -> None:
    mortal = Mortal(fs.LocalFileSystem(), number)
    for name in ("fsync", "link", "rename", "unlink", "rmdir"):
        setattr(os, name, mortal.wrap(getattr(os, name)))
    store = Store(root)
    store.__dict__["files"] = Files(mortal, str(Path(root)), True)
    act(store)


def die_everywhere(tmp_path: Path, act, check, prepare=lambda store: None) -> int:
    """Kill `act` at each of its effects in turn, check each time; how many effects there were."""
    for number in range(200):
        root = tmp_path / str(number)
        prepare(Store(str(root)))
        (code,) = end(begin((act_mortally, str(root), act, number)))
        check(Store(str(root), patience=0))
        if code == 0:
            return number
        assert code == -signal.SIGKILL
    raise AssertionError("it goes on and on")


def test_a_writer_killed_at_any_effect_leaves_nothing_or_a_whole_stage(tmp_path):
    def put(store):
        store.put(KEY, whole(1, 1))

    outcomes = []

    def check(store):
        outcomes.append(store.has(KEY))
        if outcomes[-1]:
            assert store.get_all(KEY) == whole(1, 1)
        else:
            with pytest.raises(Missing):
                store.get(KEY, "state.pt")
        assert store.put(KEY, whole(2, 1)) is not outcomes[-1]
        store.tidy([KEY])
        assert store.get_all(KEY) == whole(1 if outcomes[-1] else 2, 1)
        assert len(store.folders()[KEY]) == 4

    effects = die_everywhere(tmp_path, put, check)
    assert effects > 20
    assert outcomes == sorted(outcomes)  # no, no, ..., yes, yes
    assert not outcomes[0]
    assert outcomes[-2]  # committed before the last effect of all


def put_first(store: Store) -> None:
    store.put(KEY, whole(1, 1))


@pytest.mark.parametrize("how", ["drop", "set_aside"])
def test_a_stage_taken_away_is_whole_or_gone_wherever_it_is_killed(tmp_path, how):
    def take(store):
        store.drop(KEY) if how == "drop" else store.set_aside(KEY, "why")

    outcomes = []

    def check(store):
        outcomes.append(store.has(KEY))
        if outcomes[-1]:
            assert store.get_all(KEY) == whole(1, 1)
        store.tidy([KEY])
        assert store.put(KEY, whole(2, 1)) is not outcomes[-1]
        assert store.get_all(KEY) == whole(1 if outcomes[-1] else 2, 1)

    assert die_everywhere(tmp_path, take, check, put_first) > 4
    assert outcomes == sorted(outcomes, reverse=True)
    assert outcomes[0]
    assert not outcomes[-1]
