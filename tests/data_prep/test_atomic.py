import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_prep.atomic import renamed, renamed_folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def left_by_a_killed_process(path: Path, kind: str) -> str:
    """The name of what a process leaves that dies while it writes a file or a folder."""
    killed = f"""
import os
from pathlib import Path
from data_prep.atomic import {kind}
with {kind}(Path({str(path)!r})) as temporary:
    (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    (left,) = names(path.parent)
    assert left.startswith(f".{path.name}.")
    return left


def test_two_writers_of_a_file_at_once_do_not_mix(tmp_path):
    waits = threading.Barrier(2)

    def write(letter: str) -> None:
        with renamed(tmp_path / "file") as temporary, temporary.open("w") as file:
            file.write(letter * 1000)
            file.flush()
            waits.wait(timeout=30)
            file.write(letter * 1000)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))
    assert (tmp_path / "file").read_text() in ("a" * 2000, "b" * 2000)
    assert names(tmp_path) == {"file"}


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path):
    (tmp_path / "file").write_text("old")

    def fail() -> None:
        with renamed(tmp_path / "file") as temporary:
            temporary.write_text("new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == {"file"}


def test_a_folder_that_was_filled_meanwhile_stays(tmp_path):
    def late() -> None:
        with renamed_folder(tmp_path / "to") as temporary:
            (temporary / "mine").write_text("")
            (tmp_path / "to").mkdir()
            (tmp_path / "to" / "other").write_text("")

    with pytest.raises(OSError, match="not empty"):
        late()
    assert names(tmp_path) == {"to"}
    assert names(tmp_path / "to") == {"other"}


@pytest.mark.parametrize("kind", ["renamed", "renamed_folder"])
def test_what_a_killed_process_left_goes_with_the_next_writer(tmp_path, kind):
    left_by_a_killed_process(tmp_path / "to", kind)
    with renamed(tmp_path / "other") as temporary:
        temporary.write_text("")
    assert len(names(tmp_path)) == 2, "it was at another place"
    with renamed(tmp_path / "to") as temporary:
        temporary.write_text("")
    assert names(tmp_path) == {"to", "other"}


def test_what_may_be_alive_is_left_alone(tmp_path):
    left = left_by_a_killed_process(tmp_path / "to", "renamed")
    _, name, owner, end = left.split(".")
    machine, process, number = owner.split("-")
    alive = f".{name}.{machine}-{os.getppid()}-{number}.{end}"
    elsewhere = f".{name}.{'0' * 8}-{process}-{number}.{end}"
    for one in (alive, elsewhere):
        (tmp_path / one).write_text("half")
    with renamed(tmp_path / "to") as temporary:
        temporary.write_text("")
    assert names(tmp_path) == {"to", alive, elsewhere}
