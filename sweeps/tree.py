"""Courses to a stage tree: equal beginnings are one stage, trained once. Light and pure.

Stage trees: Shin et al., Hippo, PVLDB 15(5), 2022. Trained epochs = unique stage-epochs. Nothing
here knows what is trained: a course is a name, an identity, and values over epochs.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise, takewhile
from typing import Any

Scalar = float | int | str | bool
Values = tuple[tuple[str, Scalar], ...]
"""All scheduled values in force in an epoch, by name."""

Step = tuple[int, Values]
"""Finished epochs, and the values from there on."""


@dataclass(frozen=True, slots=True)
class Course:
    """One run from its first epoch to its last, told by what is in force in each.

    Two courses are the same run as long as `base` and the values so far are equal.
    """

    name: str
    base: str
    """Of all that must be equal, besides the values, for two states to be equal."""
    epochs: int
    steps: tuple[Step, ...]
    """From 0 on, in order; neighbours differ."""
    ending: str = ""
    """Rules that may end the run before its last epoch."""

    def at(self, finished: int) -> Values:
        """The values in force in the epoch after `finished` epochs."""
        return self.steps[bisect_right(self.steps, finished, key=_epoch) - 1][1]

    def key(self, finished: int) -> str:
        """Key of the state after `finished` epochs: equal for courses equal so far.

        >>> one, two = (lay_out("", base="b", epochs=n, values={0: {"lr": 0.1}}) for n in (6, 9))
        >>> one.key(5) == two.key(5)
        True
        """
        before = bisect_right(self.steps, finished - 1, key=_epoch)
        return _key(self.base, self.steps[:before], finished)

    def all_keys(self) -> list[str]:
        """Keys of the states after epoch 1, 2, ... to the last."""
        return [self.key(epoch) for epoch in range(1, self.epochs + 1)]


def course_from(plain: dict[str, Any]) -> Course:
    """A course read back from JSON."""
    steps = tuple(
        (epoch, tuple((name, value) for name, value in values)) for epoch, values in plain["steps"]
    )
    return Course(plain["name"], plain["base"], plain["epochs"], steps, plain["ending"])


@dataclass(frozen=True, slots=True)
class Stage:
    """A maximal run of epochs `first`..`last` (counted from 1) with constant values."""

    course: Course
    """The first that passes through."""
    first: int
    last: int
    values: Values
    leaves: tuple[str, ...]
    """Every course that passes through."""
    children: tuple["Stage", ...]

    @property
    def key(self) -> str:
        """Of the state after `last`."""
        return self.course.key(self.last)


def lay_out(
    name: str,
    *,
    base: str,
    epochs: int,
    values: Mapping[int, Mapping[str, Scalar]],
    ending: str = "",
) -> Course:
    """A course from `values`: numbers of finished epochs (0 among them) to all that holds then."""
    if 0 not in values or max(values) >= epochs or min(values) < 0:
        raise ValueError(f"{name}: values at {sorted(values)}; expected 0, then below {epochs}")
    steps = [
        (epoch, tuple((key, _plain(value)) for key, value in sorted(values[epoch].items())))
        for epoch in sorted(values)
    ]
    return Course(name, base, epochs, simplify(steps), ending)


def _plain(value: Scalar) -> Scalar:
    """Numbers as floats and zero without a sign: keys are hashes of text, where 1 is not 1.0."""
    return value if isinstance(value, bool | str) else float(value) + 0.0


def simplify(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Leave out steps that repeat the values before them."""
    return (steps[0], *(new for old, new in pairwise(steps) if new[1] != old[1]))


def shorten(course: Course, epochs: int) -> Course:
    """The course as it would be if it ended after `epochs` and had no other rule to end it."""
    steps = tuple(step for step in course.steps if step[0] < epochs)
    return replace(course, epochs=epochs, steps=steps, ending="")


def shared_epochs(one: Course, other: Course) -> int:
    """Epochs from the start in which two courses are the same run."""
    if one.base != other.base:
        return 0
    both = zip(one.steps, other.steps, strict=False)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
    ends = [course.steps[alike][0] for course in (one, other) if alike < len(course.steps)]
    return min(one.epochs, other.epochs, *ends)


def build_tree(courses: Sequence[Course]) -> tuple[Stage, ...]:
    """The roots of the stage tree, in the order of the courses."""
    return _grow([(course, 0) for course in courses], 0)


def _grow(members: Sequence[tuple[Course, int]], finished: int) -> tuple[Stage, ...]:
    """Stages after `finished` epochs of `members`: courses, each with its step in force there."""
    groups: dict[tuple[str, Values], list[tuple[Course, int]]] = {}
    for course, step in members:
        if course.epochs > finished:
            groups.setdefault((course.base, course.steps[step][1]), []).append((course, step))
    stages = []
    for (_, values), group in groups.items():
        last = min(_until(course, step) for course, step in group)
        moved = [(course, step + (_until(course, step) == last)) for course, step in group]
        stages.append(
            Stage(
                course=group[0][0],
                first=finished + 1,
                last=last,
                values=values,
                leaves=tuple(course.name for course, _ in group),
                children=_grow(moved, last),
            )
        )
    return tuple(stages)


def _until(course: Course, step: int) -> int:
    """Finished epochs up to which the values of a step stay in force."""
    return course.steps[step + 1][0] if step + 1 < len(course.steps) else course.epochs


def walk(stages: Sequence[Stage]) -> list[Stage]:
    """All stages, a parent before its children."""
    found, ahead = [], list(reversed(stages))
    while ahead:
        stage = ahead.pop()
        found.append(stage)
        ahead += reversed(stage.children)
    return found


def paths_of(stages: Sequence[Stage]) -> dict[str, list[Stage]]:
    """The stages that each course passes through, in order."""
    paths: dict[str, list[Stage]] = {}
    for stage in walk(stages):
        for name in stage.leaves:
            paths.setdefault(name, []).append(stage)
    return paths


def unique_epochs(stages: Sequence[Stage]) -> int:
    """Epochs to train when each stage is trained once."""
    return sum(stage.last - stage.first + 1 for stage in walk(stages))


def twins(courses: Sequence[Course]) -> dict[str, str]:
    """Course -> the first one that is the very same run (itself, for most)."""
    first: dict[tuple[str, int, tuple[Step, ...], str], str] = {}
    return {
        course.name: first.setdefault(
            (course.base, course.epochs, course.steps, course.ending), course.name
        )
        for course in courses
    }


def digest(content: Any) -> str:
    """Hash of plain values, whatever the order of their keys."""
    return _sha(_as_text(content))


def _epoch(step: Step) -> int:
    return step[0]


@lru_cache(maxsize=65536)
def _key(base: str, steps: tuple[Step, ...], finished: int) -> str:
    """`digest([base, steps, finished])`, its text put together from that of the values."""
    told = ", ".join(f"[{epoch}, {_values_as_text(values)}]" for epoch, values in steps)
    return _sha(f"[{_as_text(base)}, [{told}], {finished}]")


@lru_cache(maxsize=65536)
def _values_as_text(values: Values) -> str:
    return _as_text(values)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


_as_text = json.JSONEncoder(sort_keys=True).encode
