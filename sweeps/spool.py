"""A leaf's history as lines on disk: written by its rank 0, read by the driver only.

Tracking may be late; it never stops or slows training. Each epoch stands in the spool once,
however often the leaf is restarted: epochs are added in order, known ones are passed over.
"""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def read_lines(path: Path, *, offset: int = 0) -> tuple[list[Line], int]:
    """Whole lines from `offset` on, and the offset behind them; a line being written waits."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return [json.loads(line) for line in data[:end].splitlines()], offset + end


def epochs(path: Path) -> list[Line]:
    """The epochs in a spool, in order."""
    return [line for line in read_lines(path)[0] if line["kind"] == "epoch"]


def add_epochs(
    path: Path, rows: Iterator[dict[str, float]] | list[dict[str, float]], *, carried: bool
) -> None:
    """Append history rows that are not in the spool yet; `carried` by a shared stage or not."""
    _end_torn_line(path)
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


def append(path: Path, line: Line) -> None:
    """Append one line; a new spool first gets a line that tells it from any other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = "" if path.exists() else json.dumps({"kind": "spool", "id": uuid.uuid4().hex}) + "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(first + json.dumps(line) + "\n")


def identity(path: Path) -> str:
    """Which spool this is; "" before its first line."""
    lines = read_lines(path)[0]
    return str(lines[0]["id"]) if lines else ""


def _end_torn_line(path: Path) -> None:
    """Cut off what a killed writer left half-written."""
    if path.exists():
        whole = read_lines(path)[1]
        if whole < path.stat().st_size:
            with path.open("r+b") as file:
                file.truncate(whole)
