"""A leaf's history as lines on disk."""

import json

import pytest

from sweeps import spool

ROWS = [{"epoch": n, "time": 1e9 + n, "val/psnr": 20.0 + n} for n in (1, 2, 3)]


@pytest.fixture
def path(tmp_path):
    spool.begin(tmp_path / "spool" / "exp1.jsonl", "a key")
    return tmp_path / "spool" / "exp1.jsonl"


def test_rows_come_back_as_epochs_with_their_clock_apart(path):
    spool.add_epochs(path, ROWS, carried=False)
    lines = spool.epochs(path)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[1] == {
        "kind": "epoch",
        "epoch": 2,
        "time": 1e9 + 2,
        "carried": False,
        "metrics": {"val/psnr": 22.0},
    }


def test_each_epoch_stands_once_and_its_first_line_holds(path):
    spool.add_epochs(path, ROWS[:2], carried=True)
    spool.add_epochs(path, ROWS, carried=False)
    spool.add_epochs(path, ROWS, carried=True)
    assert [(line["epoch"], line["carried"]) for line in spool.epochs(path)] == [
        (1, True),
        (2, True),
        (3, False),
    ]


@pytest.mark.parametrize("torn", [b'{"kind": "epoch", "ep', b"{", b'{"kind": "epoch", "epoch": 3}'])
def test_a_torn_last_line_waits_for_its_reader_and_is_cut_by_the_next_writer(path, torn):
    spool.add_epochs(path, ROWS[:2], carried=False)
    with path.open("ab") as file:
        file.write(torn)
    assert [line["epoch"] for line in spool.epochs(path)] == [1, 2]
    spool.begin(path, "a key")
    spool.add_epochs(path, ROWS[2:], carried=False)
    assert [line["epoch"] for line in spool.epochs(path)] == [1, 2, 3]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_reading_goes_on_behind_the_offset(path):
    assert spool.read_lines(path.with_name("none")) == ([], 0)
    spool.add_epochs(path, ROWS[:1], carried=False)
    first, offset = spool.read_lines(path)
    assert spool.read_lines(path, offset=offset) == ([], offset)
    spool.add_epochs(path, ROWS[1:], carried=False)
    later, end = spool.read_lines(path, offset=offset)
    assert [line["kind"] for line in first + later] == ["spool", "epoch", "epoch", "epoch"]
    assert [line["epoch"] for line in later] == [2, 3]
    assert end == path.stat().st_size


def test_pictures_among_the_lines_are_no_epochs(path):
    spool.append(path, {"kind": "image", "epoch": 3, "key": "k", "path": "p"})
    spool.add_epochs(path, ROWS, carried=False)
    assert len(spool.epochs(path)) == 3
    assert len(spool.read_lines(path)[0]) == 5


def test_every_spool_has_a_name_of_its_own(path):
    assert spool.identity(path.with_name("none")) == ""
    first = spool.identity(path)
    spool.add_epochs(path, ROWS, carried=False)
    spool.begin(path, "a key")
    assert spool.identity(path) == first
    path.unlink()
    spool.begin(path, "a key")
    assert spool.identity(path) not in ("", first)


def test_the_spool_of_another_run_is_emptied(path):
    spool.add_epochs(path, ROWS, carried=False)
    spool.begin(path, "another key")
    assert spool.run_of(path) == "another key"
    assert spool.epochs(path) == []


@pytest.mark.parametrize(
    "torn", [b"", b'{"kind": "spo', b'{"kind": "spool", "id": "x", "key": "y"}']
)
def test_a_spool_torn_in_its_first_line_begins_anew(path, torn):
    path.write_bytes(torn)
    assert spool.identity(path) == ""
    spool.begin(path, "a key")
    spool.add_epochs(path, ROWS, carried=False)
    assert len(spool.epochs(path)) == 3


@pytest.mark.parametrize("line", [b"\0" * 50, b"\xff\xfe", b'{"kind": "epo', b"3", b"{}", b""])
def test_a_whole_line_that_is_none_is_told_with_what_to_do(path, line):
    spool.add_epochs(path, ROWS, carried=False)
    with path.open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(spool.DamagedSpool) as caught:
        spool.epochs(path)
    assert str(caught.value).startswith(f"{path}: b")
    assert "Delete the file, and that of exp1 in outcomes/" in str(caught.value)


def test_a_damaged_first_line_is_told_of_as_well(path):
    path.write_bytes(b"\0\0\0\n")
    with pytest.raises(spool.DamagedSpool):
        spool.run_of(path)
