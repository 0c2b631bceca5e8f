"""A recipe's stage tree in numbers and as text. Light: loads no torch, Ray or MLflow."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from pct.config import Run
from sweeps.courses import courses_of
from sweeps.recipe import Leaf, Recipe, leaves_at
from sweeps.search.space import sketch_point
from sweeps.tree import Stage, Values, build_tree, shorten, twins, unique_epochs, walk


@dataclass(frozen=True)
class Plan:
    """What a sweep would train. Epochs are (least, most): a run with patience may stop early."""

    leaves: tuple[Leaf, ...]
    batches: tuple[int, ...]
    """How many leaves each point of a search has; all of them, without one."""
    stages: tuple[Stage, ...]
    stages_at_least: tuple[Stage, ...]
    """Where every run with patience stops as early as it may."""
    same: dict[str, str]
    epochs_written: tuple[int, int]
    epochs_to_train: tuple[int, int]


@contextmanager
def without_collector() -> Iterator[None]:
    """A plan is large and without cycles: Python's collector would only walk it while it grows."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def make_plan(recipe: Recipe) -> Plan:
    """Count epochs; a search is sketched with stand-in points that share as real ones do."""
    if recipe.space:
        points = [sketch_point(recipe.space, recipe.search, i) for i in range(recipe.search.points)]
    else:
        points = [{}]
    lead = "p{:02d}-" if recipe.space else ""
    return plan_of_leaves(
        [
            [
                Leaf(lead.format(number) + leaf.name, leaf.run, leaf.point)
                for leaf in leaves_at(recipe, point)
            ]
            for number, point in enumerate(points)
        ]
    )


def plan_of_leaves(per_point: Sequence[Sequence[Leaf]]) -> Plan:
    """A plan of leaves, those of each point of a search together."""
    leaves = tuple(leaf for found in per_point for leaf in found)
    courses = courses_of(leaves, {})
    stages = build_tree(courses)
    shortest = [
        course if leaf.run.stop is None else shorten(course, least_epochs(leaf.run))
        for course, leaf in zip(courses, leaves, strict=True)
    ]
    least = stages if shortest == courses else build_tree(shortest)
    return Plan(
        leaves=leaves,
        batches=tuple(map(len, per_point)),
        stages=stages,
        stages_at_least=least,
        same={name: twin for name, twin in twins(courses).items() if name != twin},
        epochs_written=(
            sum(least_epochs(leaf.run) for leaf in leaves),
            sum(leaf.run.epochs for leaf in leaves),
        ),
        epochs_to_train=(unique_epochs(least), unique_epochs(stages)),
    )


def least_epochs(run: Run) -> int:
    """After how many epochs a run may stop by itself, or ends."""
    return min(run.stop.after, run.epochs) if run.stop else run.epochs


def headline(plan: Plan) -> str:
    """One line: trials, epochs written and to train, stages."""
    patient = [
        f"{leaf.name} stops by itself: {leaf.run.stop.after} to {leaf.run.epochs}"
        for leaf in plan.leaves
        if leaf.run.stop
    ]
    note = f"       ({'; '.join(patient[:3])})" if patient else ""
    return (
        f"{len(plan.leaves)} trials: {span(plan.epochs_written)} epochs written, "
        f"{span(plan.epochs_to_train)} to train, {len(walk(plan.stages))} stages{note}"
    )


def savings(plan: Plan) -> str:
    """One line: what sharing saves, and how many epochs must follow one another at least."""
    fewer = sorted(
        written / train
        for written, train in zip(plan.epochs_written, plan.epochs_to_train, strict=True)
    )
    saved = [1 - 1 / times for times in fewer]
    epochs, name = longest_chain(plan)
    return (
        f"{span(saved, '.0%')} of the epochs saved, {span(fewer, '.2f')}x fewer; "
        f"longest chain: {span(epochs)} epochs, {name}"
    )


def longest_chain(plan: Plan) -> tuple[tuple[int, int], str]:
    """Epochs that must follow one another, whatever trains at once, and the trial they end."""
    last = max(plan.leaves, key=lambda leaf: leaf.run.epochs)
    return (max(least_epochs(leaf.run) for leaf in plan.leaves), last.run.epochs), last.name


def draw(plan: Plan, most: int = 100) -> list[str]:
    """The tree, a line a stage: its epochs, what is new in it, who passes through.

    The first `most` of them: a large tree is for programs.
    """
    lines = list(islice(chain(*(_draw(root, None, "", "") for root in plan.stages)), most))
    more = len(walk(plan.stages)) - len(lines)
    lines += [f"... and {more} more stages; --json tells all"] if more else []
    same = [f"{name} is the same run as {twin}" for name, twin in plan.same.items()]
    return lines + (
        same if len(same) <= 6 else [*same[:5], f"... and {len(same) - 5} more such pairs"]
    )


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "trials": [
            {
                "name": leaf.name,
                "epochs": leaf.run.epochs,
                "same_as": plan.same.get(leaf.name),
                "seed": leaf.run.seed,
            }
            for leaf in plan.leaves
        ],
        "epochs_written": list(plan.epochs_written),
        "epochs_to_train": list(plan.epochs_to_train),
        "longest_chain": list(longest_chain(plan)[0]),
        "num_stages": len(walk(plan.stages)),
        "stages": [
            {
                "key": s.key,
                "first": s.first,
                "last": s.last,
                "values": dict(s.values),
                "trials": list(s.leaves),
            }
            for s in walk(plan.stages)
        ],
    }


def news(values: Values, before: Values | None) -> str:
    """What changes on entering a stage, in words; at the root, the weights that the losses have."""
    old = dict(before or ())
    shown = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values
        if name != "warmup" and (old.get(name) != value if before else name == "lambda_ngf")
    ]
    warm = dict(values)["warmup"]
    return ", ".join(["warm-up"] * bool(warm) + shown) or "as before"


def _draw(stage: Stage, before: Values | None, lead: str, follow: str) -> Iterator[str]:
    head = f"{lead}{stage.first}-{stage.last}"
    yield f"{head:<24} {news(stage.values, before):<24} {_names(stage.leaves)}"
    for index, child in enumerate(stage.children):
        last = index == len(stage.children) - 1
        yield from _draw(
            child,
            stage.values,
            follow + ("└─ " if last else "├─ "),
            follow + ("   " if last else "│  "),
        )


def _names(leaves: Sequence[str]) -> str:
    return ", ".join(leaves) if len(leaves) <= 4 else f"{leaves[0]} and {len(leaves) - 1} more"


def span(pair: Sequence[float], form: str = "") -> str:
    """(least, most) as text; one number where they read alike."""
    least, most = (format(value, form) for value in pair)
    return least if least == most else f"{least.removesuffix('%')}-{most}"
