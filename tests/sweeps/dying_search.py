"""A search in sessions that kill themselves, one after the other, each at another moment.

    python -m tests.sweeps.dying_search DATA DIR

Each session is a child process that ends by SIGKILL just before or just after one of its effects on
the disk; the last one is let live. Prints how each ended, as JSON.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage

from sweeps.search import points, study
from tests.sweeps import made_up

EFFECTS: dict[str, tuple[Any, str]] = {
    "create the study": (study, "_create"),
    "open a point": (study.Study, "open"),
    "write an outcome": (made_up, "write_outcome"),
    "note the verdict": (RDBStorage, "set_trial_user_attr"),
    "tell": (RDBStorage, "set_trial_state_values"),
    "write the table": (points, "write_points"),
}
POINTS = 9


def search(data: Path, folder: Path) -> Any:
    """Nine points of two leaves."""
    return made_up.search_of(folder, data, points=POINTS, trials={"a": made_up.TRIAL})


def deadly(effect: str, when: str, call: int) -> None:
    """Let the `call`th call of an effect be the end."""
    owner, name = EFFECTS[effect]
    original: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def wrapped(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **options)
        if calls == call and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)


def watched(log: Path) -> None:
    """Write down every point that is told."""
    original = study.Study.tell

    def tell(self: study.Study, number: int, *args: Any) -> None:
        original(self, number, *args)
        with log.open("a") as file:
            file.write(f"{number}\n")

    study.Study.tell = tell  # type: ignore[method-assign]


def session(data: Path, folder: Path, death: tuple[str, str, int] | None) -> int:
    """How a child that runs the search ended: its exit code, or minus the signal."""
    child = os.fork()
    if not child:
        watched(folder.parent / "told.txt")
        if death:
            deadly(*death)
        made_up.run(search(data, folder))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(data: Path, folder: Path) -> None:
    deaths = [
        (effect, when, 1 if effect == "create the study" else 2)
        for effect in EFFECTS
        for when in ("before", "after")
    ]
    ends = [[*death, session(data, folder, death)] for death in deaths]
    ends.append(["", "", 0, session(data, folder, None)])
    print(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
