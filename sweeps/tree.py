"""Runs to a stage tree: equal beginnings are one stage, trained once. Light and pure.

Stage trees: Shin et al., Hippo, PVLDB 15(5), 2022. Trained epochs = unique stage-epochs.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pct.config import Run
from pct.schedule import value_at
from sweeps.recipe import Leaf

NOT_IDENTITY = {"epochs", "warmup_epochs", "schedule", "stop", "max_parameters"}
"""Settings that are values over epochs, only say when to end, or change no number."""

Values = tuple[tuple[str, float | str | bool], ...]
"""All scheduled values in force in an epoch, by name."""


@dataclass(frozen=True)
class Stage:
    """A maximal run of epochs `first`..`last` (counted from 1) with constant values."""

    key: str
    """Of the state after `last`."""
    first: int
    last: int
    values: Values
    leaves: tuple[str, ...]
    """Every leaf that passes through."""
    children: tuple["Stage", ...]


def identity(run: Run, environment: Mapping[str, Any]) -> str:
    """Hash of all that must be equal, besides the schedule, for two states to be equal.

    `environment` holds what lies outside the run: data digest, numerics, torch version.
    """
    settings = run.model_dump(mode="json", exclude=NOT_IDENTITY)
    if run.init and run.init.digest:
        settings["init"] = run.init.digest  # wherever the model lies
    return _sha({"run": settings, "environment": dict(environment)})


def values_at(run: Run, finished: int) -> Values:
    """Scheduled values in the epoch after `finished`."""
    values = {name: value_at(steps, finished) for name, steps in run.schedule}
    return (("warmup", finished < run.warmup_epochs), *sorted(values.items()))


def changes(run: Run) -> list[int]:
    """Finished epochs after which some scheduled value changes, 0 included."""
    keys = {0, run.warmup_epochs} | {key for _, steps in run.schedule for key, _ in steps}
    return sorted(key for key in keys if key < run.epochs)


def prefix_key(base: str, run: Run, finished: int) -> str:
    """Key of the state after `finished` epochs: equal for runs equal so far, whatever comes later.

    >>> one, two = Run(epochs=6), Run(epochs=9)
    >>> prefix_key("b", one, 5) == prefix_key("b", two, 5)
    True
    """
    return _prefix_key(
        base, tuple((at, values_at(run, at)) for at in changes(run) if at < finished), finished
    )


@lru_cache(maxsize=65536)
def _prefix_key(base: str, steps: tuple[tuple[int, Values], ...], finished: int) -> str:
    distinct = [
        step for index, step in enumerate(steps) if not index or step[1] != steps[index - 1][1]
    ]
    return _sha([base, distinct, finished])


def build_tree(leaves: Sequence[Leaf], environment: Mapping[str, Any]) -> tuple[Stage, ...]:
    """The roots of the stage tree, in the order of the leaves."""
    bases = {leaf.name: identity(leaf.run, environment) for leaf in leaves}
    return _grow(tuple(leaves), bases, 0)


def _grow(leaves: tuple[Leaf, ...], bases: dict[str, str], finished: int) -> tuple[Stage, ...]:
    groups: dict[tuple[str, Values], list[Leaf]] = {}
    for leaf in leaves:
        if leaf.run.epochs > finished:
            groups.setdefault((bases[leaf.name], values_at(leaf.run, finished)), []).append(leaf)
    stages = []
    for (base, values), members in groups.items():
        last = min(_next_cut(leaf.run, finished) for leaf in members)
        stages.append(
            Stage(
                key=prefix_key(base, members[0].run, last),
                first=finished + 1,
                last=last,
                values=values,
                leaves=tuple(leaf.name for leaf in members),
                children=_grow(tuple(members), bases, last),
            )
        )
    return tuple(stages)


def _next_cut(run: Run, finished: int) -> int:
    return min(
        (
            key
            for key in changes(run)
            if key > finished and values_at(run, key) != values_at(run, finished)
        ),
        default=run.epochs,
    )


def walk(stages: Sequence[Stage]) -> list[Stage]:
    """All stages, a parent before its children."""
    return [found for stage in stages for found in (stage, *walk(stage.children))]


def path_of(leaf: str, stages: Sequence[Stage]) -> list[Stage]:
    """The stages that a leaf passes through, in order."""
    return [stage for stage in walk(stages) if leaf in stage.leaves]


def unique_epochs(stages: Sequence[Stage]) -> int:
    """Epochs to train when each stage is trained once."""
    return sum(stage.last - stage.first + 1 for stage in walk(stages))


def twins(leaves: Sequence[Leaf], environment: Mapping[str, Any]) -> dict[str, str]:
    """Leaf -> the first leaf that is the very same run (itself, for most)."""
    first: dict[tuple[str, str], str] = {}
    same = {}
    for leaf in leaves:
        key = prefix_key(identity(leaf.run, environment), leaf.run, leaf.run.epochs)
        stop = leaf.run.stop.model_dump_json() if leaf.run.stop else ""
        same[leaf.name] = first.setdefault((key, stop), leaf.name)
    return same


def _sha(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
