"""The search space of a recipe, and filling `$name` into its trials. Light and pure."""

import math
from collections.abc import Mapping
from itertools import product
from typing import Any, Literal

from pydantic import Field, model_validator

from data_prep.errors import PctError
from pct.frozen import Frozen

Point = dict[str, float | int]


class Dimension(Frozen):
    """One searched quantity, from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False
    step: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _makes_sense(self) -> "Dimension":
        if not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.log and (self.low <= 0 or self.step):
            raise ValueError("log needs low above 0 and no step")
        return self

    def values(self) -> list[float | int]:
        """Every value of a stepped dimension."""
        assert self.step
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        values = [self.low + index * self.step for index in range(count)]
        return [int(v) if float(v).is_integer() else v for v in values]


class Search(Frozen):
    """How points of the space are chosen and judged."""

    sampler: Literal["tpe", "random"] = "tpe"
    minimise: tuple[str, ...] = Field(("val3d/mae_head",), min_length=1)
    points: int = Field(12, ge=1)
    exhaust: tuple[str, ...] = ()
    """Stepped dimensions whose every value is run at each point: their trunks are shared."""
    seed: int = 1


def corner(space: Mapping[str, Dimension], end: Literal["low", "high"]) -> Point:
    """The point at one end of every dimension, whole numbers as such."""
    ends = {name: getattr(dimension, end) for name, dimension in space.items()}
    return {name: int(v) if float(v).is_integer() else v for name, v in ends.items()}


def exhausted(space: Mapping[str, Dimension], search: Search) -> list[Point]:
    """All combinations of the exhausted dimensions; one empty point when there are none."""
    grids = [[(name, value) for value in space[name].values()] for name in search.exhaust]
    return [dict(combination) for combination in product(*grids)]


def sketch_point(space: Mapping[str, Dimension], search: Search, index: int) -> Point:
    """A stand-in for the `index`th point, for counting epochs before anything is sampled."""
    share = (index + 1) / (search.points + 1)
    point: Point = {}
    for name, dimension in space.items():
        if name in search.exhaust:
            continue
        if dimension.step:
            values = dimension.values()
            point[name] = values[index % len(values)]
        else:
            point[name] = dimension.low + share * (dimension.high - dimension.low)
    return point


class SameKey(PctError):
    """A `$name` that became a key which stands beside it already."""


def fill(given: Any, point: Mapping[str, float | int]) -> Any:
    """`$name` replaced by its value everywhere in `given`, keys included.

    An unknown name raises `KeyError` with that name; two keys made one raise `SameKey`.
    """
    if isinstance(given, str):
        return point[given[1:]] if given.startswith("$") else given
    if isinstance(given, Mapping):
        filled = {fill(key, point): fill(value, point) for key, value in given.items()}
        if len(filled) < len(given):
            keys = ", ".join(str(key) for key in given)
            raise SameKey(
                f"of the keys {keys} two are the same at {_told(point)}; keep their ranges apart."
            )
        return filled
    if isinstance(given, list | tuple):
        return [fill(item, point) for item in given]
    return given


def names_in(given: Any) -> list[str]:
    """The names that `fill` looks up in `given`, each once."""
    if isinstance(given, str):
        return [given[1:]] if given.startswith("$") else []
    if isinstance(given, Mapping):
        given = [*given, *given.values()]
    if isinstance(given, list | tuple):
        return list(dict.fromkeys(name for item in given for name in names_in(item)))
    return []


def _told(point: Mapping[str, float | int]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in point.items())
