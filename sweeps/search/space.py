"""The search space of a recipe, and filling `$name` into its trials. Light and pure."""

import math
from collections.abc import Mapping
from decimal import Decimal
from itertools import product
from typing import Any, Literal

from pydantic import Field, FiniteFloat, model_validator

from data_prep.errors import PctError
from pct.frozen import Frozen

Point = dict[str, float | int]


class Dimension(Frozen):
    """One searched quantity, from `low` to `high`, both included."""

    low: FiniteFloat
    high: FiniteFloat
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
        # Decimals: 3 steps of 0.1 are 0.3 in names and keys, not 0.30000000000000004.
        low, step = Decimal(repr(self.low)), Decimal(repr(self.step))
        values = [float(low + index * step) for index in range(count)]
        return [int(v) if v.is_integer() else v for v in values]


class Search(Frozen):
    """How points of the space are chosen and judged. Objectives and bounds are names of metrics."""

    sampler: Literal["tpe", "random", "grid"] = "tpe"
    minimise: tuple[str, ...] = ("val3d/mae_head",)
    """Left out, and something is maximised: nothing."""
    maximise: tuple[str, ...] = ()
    constrain: dict[str, FiniteFloat] = Field({})
    """The most that a metric may be; a point above it is told as infeasible."""
    points: int = Field(12, ge=1)
    exhaust: tuple[str, ...] = ()
    """Stepped dimensions whose every value is run at each point: their trunks are shared."""
    seed: int = 1

    @model_validator(mode="before")
    @classmethod
    def _one_aim_is_enough(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("maximise") and "minimise" not in given:
            return {**given, "minimise": ()}
        return given

    @property
    def objectives(self) -> tuple[str, ...]:
        """All that is aimed at; by the first of them a point's best leaf is chosen."""
        return (*self.minimise, *self.maximise)


def corner(space: Mapping[str, Dimension], end: Literal["low", "high"]) -> Point:
    """The point at one end of every dimension, whole numbers as such."""
    ends = {name: getattr(dimension, end) for name, dimension in space.items()}
    return {name: int(v) if float(v).is_integer() else v for name, v in ends.items()}


def exhausted(space: Mapping[str, Dimension], search: Search) -> list[Point]:
    """All combinations of the exhausted dimensions; one empty point when there are none."""
    grids = [[(name, value) for value in space[name].values()] for name in search.exhaust]
    return [dict(combination) for combination in product(*grids)]


def sampled(space: Mapping[str, Dimension], search: Search) -> dict[str, Dimension]:
    """The dimensions in which points differ: those that are not exhausted."""
    return {name: space[name] for name in space if name not in search.exhaust}


def size(space: Mapping[str, Dimension], search: Search) -> int | None:
    """How many points there are; None where a dimension has no step, so that there is no end."""
    dimensions = sampled(space, search).values()
    if not all(dimension.step for dimension in dimensions):
        return None
    return math.prod(len(dimension.values()) for dimension in dimensions)


def grid_point(space: Mapping[str, Dimension], search: Search, index: int) -> Point:
    """One of the `size` points, the last dimension turning fastest; it goes round in circles."""
    point: Point = {}
    for name, dimension in reversed(sampled(space, search).items()):
        values = dimension.values()
        index, at = divmod(index, len(values))
        point[name] = values[at]
    return dict(reversed(point.items()))


def budget(space: Mapping[str, Dimension], search: Search) -> int:
    """How many points are asked: `points`, or all there are where these are fewer.

    A grid whose recipe leaves `points` out is asked whole.
    """
    every = size(space, search)
    if every is None:
        return search.points
    if search.sampler == "grid" and "points" not in search.model_fields_set:
        return every
    return min(search.points, every)


def sketch_point(space: Mapping[str, Dimension], search: Search, index: int) -> Point:
    """A stand-in for the `index`th point, for counting epochs before anything is sampled."""
    if size(space, search):
        return grid_point(space, search, index)
    share = (index + 1) / (search.points + 1)
    point: Point = {}
    for name, dimension in sampled(space, search).items():
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
