"""Values over epochs. A key is the number of *finished* epochs: 40 first acts in epoch 41."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

Value = float | str
Steps = tuple[tuple[int, Value], ...]
"""((0, 20.0), (40, 0.0)) is 20 in epochs 1-40 and 0 from epoch 41 on."""


def parse_steps(given: Any) -> Steps:
    """A bare value, or a mapping of finished epochs to values that starts at 0, to `Steps`.

    >>> parse_steps({0: 20, 40: 0})
    ((0, 20.0), (40, 0.0))
    """
    if isinstance(given, tuple):
        return given
    if not isinstance(given, Mapping):
        return ((0, _value(given)),)
    # JSON has no integer keys.
    given = {int(k) if isinstance(k, str) and k.isdigit() else k: v for k, v in given.items()}
    keys = list(given)
    if not {type(key) for key in keys} <= {int}:
        raise ValueError(f"has keys {keys}; a schedule's keys are numbers of finished epochs")
    keys.sort()
    if not keys or keys[0] != 0:
        raise ValueError(f"has keys {keys}; a schedule starts at 0")
    return simplify(tuple([(key, _value(given[key])) for key in keys]))


def _value(given: Any) -> Value:
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise ValueError(f"holds {given!r}; expected a number")
    # Plus 0.0, since -0.0 is equal to 0.0 but reads otherwise in a key.
    return given if isinstance(given, str) else float(given) + 0.0


def simplify(steps: Steps) -> Steps:
    """Leave out steps that repeat the value before them."""
    return steps[:1] + tuple(new for old, new in pairwise(steps) if new[1] != old[1])


def value_at(steps: Steps, finished: int) -> Value:
    """The value in force in the epoch after `finished` epochs."""
    return next(value for key, value in reversed(steps) if key <= finished)


def number_at(steps: Steps, finished: int) -> float:
    """As `value_at`, for a schedule of numbers."""
    value = value_at(steps, finished)
    assert not isinstance(value, str)
    return value


def _plain(steps: Steps) -> Any:
    return steps[0][1] if len(steps) == 1 else dict(steps)


def _non_negative(given: Any) -> Steps:
    steps = parse_steps(given)
    for key, value in steps:
        if isinstance(value, str):
            raise ValueError(f"holds {value!r} from {key}; expected a number")
        if not 0 <= value < float("inf"):
            raise ValueError(f"is {value} from {key}; expected a number of 0 or more")
    return steps


def _restore(given: Any) -> Steps:
    steps = parse_steps(given)
    for _, value in steps:
        if value not in ("full", "weights"):
            raise ValueError(f"is {value!r}; expected full or weights")
    return steps


Numbers = Annotated[Steps, BeforeValidator(_non_negative), PlainSerializer(_plain)]
"""A schedule of numbers of 0 or more."""

Restore = Annotated[Steps, BeforeValidator(_restore), PlainSerializer(_plain)]
"""A schedule of `full` and `weights`."""
