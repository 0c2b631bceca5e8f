"""What a run of the method is to the engine: its course. Light: loads no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from pct.config import Run
from pct.schedule import value_at
from sweeps.recipe import Leaf
from sweeps.tree import Course, Values, digest, simplify

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
    keys = {0, run.warmup_epochs} | {key for _, steps in run.schedule for key, _ in steps}
    return sorted(key for key in keys if key < run.epochs)


def course_of(name: str, run: Run, base: str) -> Course:
    """A run's course; `base` is its `identity`."""
    steps = simplify([(finished, values_at(run, finished)) for finished in changes(run)])
    ending = run.stop.model_dump_json() if run.stop else ""
    return Course(name, base, run.epochs, steps, ending)


def courses_of(leaves: Sequence[Leaf], environment: Mapping[str, Any]) -> list[Course]:
    """The courses of a recipe's leaves."""
    return [course_of(leaf.name, leaf.run, identity(leaf.run, environment)) for leaf in leaves]
