"""A leaf's history as lines on disk: written by its rank 0, read by the driver only.

Tracking may be late; it never stops or slows training. Each epoch stands in the spool once,
however often the leaf is restarted: epochs are added in order, known ones are passed over.
"""

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_prep.atomic import renamed
from data_prep.errors import PctError

Line = dict[str, Any]


class DamagedSpool(PctError):
    """A whole line of a spool is none of ours: a power cut or a full disk may leave that."""


def read_lines(path: Path, *, offset: int = 0) -> tuple[list[Line], int]:
    """Whole lines from `offset` on, and the offset behind them; a line being written waits."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return [_parsed(path, line) for line in data[:end].split(b"\n")[:-1]], offset + end


def epochs(path: Path) -> list[Line]:
    """The epochs in a spool, in order."""
    return [line for line in read_lines(path)[0] if line["kind"] == "epoch"]


def add_epochs(path: Path, rows: Iterable[dict[str, float]], *, carried: bool) -> None:
    """Append history rows that are not in the spool yet; `carried` by a shared stage or not."""
    known = {line["epoch"] for line in epochs(path)}
    for row in rows:
        if int(row["epoch"]) not in known:
            metrics = {k: v for k, v in row.items() if k not in ("epoch", "time")}
            append(
                path,
                {
                    "kind": "epoch",
                    "epoch": int(row["epoch"]),
                    "time": row["time"],
                    "carried": carried,
                    "metrics": metrics,
                },
            )


def begin(path: Path, key: str) -> None:
    """Open the spool of the run `key`: a first line says whose it is, and which spool.

    A spool of another run is emptied; a line that a killed writer left half-written is cut off.
    """
    if run_of(path) != key:
        path.unlink(missing_ok=True)
    _end_torn_line(path)
    if not path.exists():
        first = json.dumps({"kind": "spool", "id": uuid.uuid4().hex, "key": key})
        with renamed(path) as temporary:
            temporary.write_text(first + "\n", encoding="utf-8")


def append(path: Path, line: Line) -> None:
    """Append one line to a spool that has begun."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def identity(path: Path) -> str:
    """Which spool this is; "" where there is none."""
    return str(_first(path).get("id", ""))


def run_of(path: Path) -> str:
    """Key of the run that the spool belongs to; "" where there is none."""
    return str(_first(path).get("key", ""))


def has_picture(path: Path, picture: str) -> bool:
    """Whether the spool tells of a picture."""
    lines = read_lines(path)[0]
    return any(line["kind"] == "image" and line["path"] == picture for line in lines)


def _first(path: Path) -> Line:
    if not path.exists():
        return {}
    with path.open("rb") as file:
        line = file.readline()
    return _parsed(path, line) if line.endswith(b"\n") else {}


def _parsed(path: Path, line: bytes) -> Line:
    try:
        found = json.loads(line.decode("utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or "kind" not in found:
        raise DamagedSpool(
            f"{path}: {line[:8]!r} stands where a line of JSON is expected. Delete the file, and "
            f"that of {path.stem} in outcomes/ if there is one: the same pct sweep writes both "
            "anew from its store."
        )
    return found


def _end_torn_line(path: Path) -> None:
    """Cut off what a killed writer left half-written."""
    if path.exists():
        whole = read_lines(path)[1]
        if whole < path.stat().st_size:
            with path.open("r+b") as file:
                file.truncate(whole)
