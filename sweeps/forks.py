"""Schedules that fork: one trial's settings to the straight runs it stands for.

A mapping of finished epochs to values is a schedule; a value that is itself a mapping of *names*
forks the run there: {0: 20, 40: {keep: 20, drop: 0}}. A branch may go on, and fork again:
{40: {drop: {40: 0, 55: {back: 20, stay: 0}}}}. Several settings that fork at one epoch under the
same names are one fork; under other names they make the product of their branches (`a.b`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from data_prep.errors import PctError

Scalar = float | int | str


class BadFork(PctError):
    """A schedule whose forks do not make sense."""


@dataclass(frozen=True)
class Fork:
    """After `epoch` finished epochs the schedule goes on in named ways."""

    epoch: int
    branches: dict[str, "Strand"]


@dataclass(frozen=True)
class Strand:
    """Values in order, then perhaps a fork."""

    steps: dict[int, Scalar]
    fork: Fork | None = None


@dataclass(frozen=True)
class Straight:
    """One way through all forks: its name ("" without a fork) and schedules without forks."""

    name: str
    schedules: dict[str, dict[int, Scalar]]


def straighten(schedules: Mapping[str, Any]) -> list[Straight]:
    """Every way through the forks of `schedules`, in the order written.

    `BadFork` has a line for each schedule that makes no sense.

    >>> [s.name for s in straighten({"lambda_ngf": {0: 20, 40: {"keep": 20, "drop": 0}}})]
    ['keep', 'drop']
    """
    strands, problems = {}, []
    for name, given in schedules.items():
        try:
            strands[name] = _strand(name, given, start=0)
        except BadFork as error:
            problems.append(str(error))
    if problems:
        raise BadFork("\n".join(problems))
    return _expand(strands)


def _strand(name: str, given: Any, *, start: int) -> Strand:
    """Read one schedule from `start` on."""
    if not isinstance(given, Mapping):
        return Strand({start: given})
    if any(isinstance(key, bool) or not isinstance(key, int) for key in given):
        raise BadFork(
            f"{name}: keys {list(given)} mix names and epochs; a fork needs an epoch first, "
            f"as in {{0: 20, 40: {{keep: 20, drop: 0}}}}."
        )
    keys = sorted(given)
    if not keys or keys[0] != start:
        raise BadFork(
            f"{name}: its first key is {keys[0] if keys else 'missing'}, expected {start}."
        )
    forks = [key for key in keys if isinstance(given[key], Mapping)]
    if forks and forks[0] != keys[-1]:
        raise BadFork(
            f"{name}: {keys[-1]} comes after the fork at {forks[0]}; "
            f"write later values inside the branches."
        )
    steps = {key: given[key] for key in keys if key not in forks}
    if not forks:
        return Strand(steps)
    epoch = forks[0]
    if epoch == 0:
        raise BadFork(f"{name}: forks at 0; write two trials instead.")
    return Strand(steps, Fork(epoch, _branches(name, given[epoch], epoch)))


def _branches(name: str, given: Mapping[Any, Any], epoch: int) -> dict[str, Strand]:
    """The ways on from a fork; each needs a name that can stand in a file's name."""
    odd = [key for key in given if not isinstance(key, str) or not is_name(key)]
    if odd or not given:
        found = ", ".join(map(repr, odd)) or "none"
        raise BadFork(
            f"{name}: the fork at {epoch} needs a branch at least, with names of letters, digits, "
            f"- and _, as in {{keep: 20, drop: 0}}; found {found}."
        )
    return {branch: _strand(name, value, start=epoch) for branch, value in given.items()}


def too_late(straight: Straight, epochs: int) -> list[str]:
    """Keys after the end, which `Run` does not see where they repeat the value before."""
    last = {name: max(steps) for name, steps in straight.schedules.items()}
    return [
        f"schedule.{name} changes after {finished} epochs, the run ends at {epochs}"
        for name, finished in last.items()
        if finished >= epochs
    ]


def is_name(text: str) -> bool:
    """Whether a trial or branch may be called so: letters, digits, - and _."""
    return bool(text) and text.replace("_", "").replace("-", "").isalnum()


def _expand(strands: dict[str, Strand]) -> list[Straight]:
    """Take the earliest fork of all, follow each of its branches."""
    forking = {name: s.fork for name, s in strands.items() if s.fork}
    if not forking:
        return [Straight("", {name: s.steps for name, s in strands.items()})]
    epoch = min(fork.epoch for fork in forking.values())
    groups: dict[frozenset[str], dict[str, Fork]] = {}
    for name, fork in forking.items():
        if fork.epoch == epoch:
            groups.setdefault(frozenset(fork.branches), {})[name] = fork
    straights = []
    written = [next(iter(members.values())).branches for members in groups.values()]
    for choice in product(*written):
        followed = dict(strands)
        for branch, members in zip(choice, groups.values(), strict=True):
            for name, fork in members.items():
                chosen = fork.branches[branch]
                followed[name] = Strand({**strands[name].steps, **chosen.steps}, chosen.fork)
        here = ".".join(choice)
        straights += [
            Straight(f"{here}.{later.name}" if later.name else here, later.schedules)
            for later in _expand(followed)
        ]
    return straights
