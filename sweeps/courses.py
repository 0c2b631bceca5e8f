"""What a run of the method is to the engine: its course. Light: loads no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from pct.config import Run
from pct.schedule import Value, value_at
from sweeps.recipe import Leaf
from sweeps.tree import Course, Step, Values, digest, simplify

NOT_IDENTITY = {"epochs", "warmup_epochs", "schedule", "stop", "max_parameters"}
"""Settings that are values over epochs, only say when to end, or change no number."""


def identity(run: Run, environment: Mapping[str, Any]) -> str:
    """Hash of all that must be equal, besides the schedule, for two states to be equal.

    `environment` holds what lies outside the run: data digest, numerics, torch version.
    """
    return digest({"run": settings_of(run), "environment": dict(environment)})


def settings_of(run: Run) -> dict[str, Any]:
    """The settings that count in a run's identity."""
    settings = run.model_dump(mode="json", exclude=NOT_IDENTITY)
    if run.init and run.init.digest:
        settings["init"] = run.init.digest  # wherever the model lies
    return settings


def values_at(run: Run, finished: int) -> Values:
    """Scheduled values in the epoch after `finished`."""
    values = {name: value_at(steps, finished) for name, steps in run.schedule}
    return (("warmup", finished < run.warmup_epochs), *sorted(values.items()))


def changes(run: Run) -> list[int]:
    """Finished epochs after which some scheduled value changes, 0 included."""
    return list(_news(run))


def _news(run: Run) -> dict[int, dict[str, Value]]:
    """Finished epochs, in order, and what changes there: all values at 0, warm-up aside."""
    news: dict[int, dict[str, Value]] = {0: {}, run.warmup_epochs: {}}
    for name, steps in vars(run.schedule).items():
        for finished, value in steps:
            news.setdefault(finished, {})[name] = value
    return {finished: news[finished] for finished in sorted(news) if finished < run.epochs}


def course_of(name: str, run: Run, base: str, known: dict[Step, Step] | None = None) -> Course:
    """A run's course; `base` is its `identity`. Steps that are `known` are taken from there."""
    known = {} if known is None else known
    steps = tuple(known.setdefault(step, step) for step in simplify(_steps(run)))
    ending = run.stop.model_dump_json() if run.stop else ""
    return Course(name, base, run.epochs, steps, ending)


def _steps(run: Run) -> list[Step]:
    """`values_at` at each of the run's `changes`."""
    news = _news(run)
    now = dict(sorted(news[0].items()))
    steps = []
    for finished, changed in news.items():
        now |= changed
        steps.append((finished, (("warmup", finished < run.warmup_epochs), *now.items())))
    return steps


def courses_of(leaves: Sequence[Leaf], environment: Mapping[str, Any]) -> list[Course]:
    """The courses of a recipe's leaves. Equal steps are one object in all of them."""
    bases: dict[str, str] = {}
    known: dict[Step, Step] = {}
    courses = []
    for leaf in leaves:
        settings = leaf.run.model_dump_json(exclude=NOT_IDENTITY)
        if settings not in bases:
            bases[settings] = identity(leaf.run, environment)
        courses.append(course_of(leaf.name, leaf.run, bases[settings], known))
    return courses
