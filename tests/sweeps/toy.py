"""A training without numbers: its state is the hash of all that happened to it, in order."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from sweeps.engine import Done, Train
from sweeps.store.store import Store
from sweeps.tree import Course, lay_out

FORK = (
    lay_out("keep", base="toy", epochs=16, values={0: {"ngf": 20}}),
    lay_out("drop", base="toy", epochs=16, values={0: {"ngf": 20}, 13: {"ngf": 0}}),
    lay_out("back", base="toy", epochs=16, values={0: {"ngf": 20}, 13: {"ngf": 0}, 15: {"ngf": 5}}),
    lay_out("other", base="toy", epochs=3, values={0: {"ngf": 0}}),
)
"""A fork at 13, another within its branch at 15, and a run of its own: 51 epochs written."""

UNIQUE = 16 + 3 + 1 + 3


def step(state: str, values: object) -> str:
    return hashlib.sha256(f"{state} {values}".encode()).hexdigest()


def toy(log: Path | None = None) -> Train:
    """Trains by hashing; each epoch is a line in `log`, whoever trains it."""

    def train(course: Course, finished: int, files: Mapping[str, bytes], done: Done) -> None:
        history = json.loads(files["history.json"]) if files else ["start"]
        assert len(history) == finished + 1
        while finished < course.epochs:
            history.append(step(history[-1], course.at(finished)))
            finished += 1
            if log:
                with log.open("a") as lines:
                    lines.write(f"{course.key(finished)}\n")
            state = {"state.pt": history[-1].encode(), "history.json": json.dumps(history).encode()}
            done(finished, state)

    return train


def straight(course: Course) -> str:
    """The state at the end of a course that nothing ever disturbed."""
    state = "start"
    for finished in range(course.epochs):
        state = step(state, course.at(finished))
    return state


def ends(courses: tuple[Course, ...], store: Store) -> list[str]:
    return [store.get(course.key(course.epochs), "state.pt").decode() for course in courses]
