"""A recipe's stage tree in numbers and as text. Light: loads no torch, Ray or MLflow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.courses import courses_of
from sweeps.recipe import Leaf, Recipe, leaves_at
from sweeps.space import sketch_point
from sweeps.tree import Stage, Values, build_tree, twins, unique_epochs, walk


@dataclass(frozen=True)
class Plan:
    """What a sweep would train. Epochs are (least, most): a run with patience may stop early."""

    leaves: tuple[Leaf, ...]
    stages: tuple[Stage, ...]
    same: dict[str, str]
    epochs_written: tuple[int, int]
    epochs_to_train: tuple[int, int]


def make_plan(recipe: Recipe) -> Plan:
    """Count epochs; a search is sketched with stand-in points that share as real ones do."""
    if recipe.space:
        points = [sketch_point(recipe.space, recipe.search, i) for i in range(recipe.search.points)]
    else:
        points = [{}]
    leaves = tuple(
        Leaf(f"p{number:02d}-{leaf.name}" if recipe.space else leaf.name, leaf.run, leaf.point)
        for number, point in enumerate(points)
        for leaf in leaves_at(recipe, point)
    )
    courses = courses_of(leaves, {})
    stages = build_tree(courses)
    shortest = [_stopped_early(leaf) for leaf in leaves]
    return Plan(
        leaves=leaves,
        stages=stages,
        same={name: twin for name, twin in twins(courses).items() if name != twin},
        epochs_written=(
            sum(leaf.run.epochs for leaf in shortest),
            sum(leaf.run.epochs for leaf in leaves),
        ),
        epochs_to_train=(
            unique_epochs(build_tree(courses_of(shortest, {}))),
            unique_epochs(stages),
        ),
    )


def _stopped_early(leaf: Leaf) -> Leaf:
    stop = leaf.run.stop
    if stop is None:
        return leaf
    run = leaf.run.model_copy(update={"epochs": min(stop.after, leaf.run.epochs), "stop": None})
    return Leaf(leaf.name, run, leaf.point)


def headline(plan: Plan) -> str:
    """One line: trials, epochs written and to train, stages."""
    patient = [
        f"{leaf.name} stops by itself: {leaf.run.stop.after} to {leaf.run.epochs}"
        for leaf in plan.leaves
        if leaf.run.stop
    ]
    note = f"       ({'; '.join(patient[:3])})" if patient else ""
    return (
        f"{len(plan.leaves)} trials: {_span(plan.epochs_written)} epochs written, "
        f"{_span(plan.epochs_to_train)} to train, {len(walk(plan.stages))} stages{note}"
    )


def draw(plan: Plan) -> list[str]:
    """The tree, a line a stage: its epochs, what is new in it, who passes through."""
    lines = []
    for root in plan.stages:
        lines += _draw(root, None, "", "")
    same = [f"{name} is the same run as {twin}" for name, twin in plan.same.items()]
    lines += same if len(same) <= 6 else [*same[:5], f"... and {len(same) - 5} more such pairs"]
    return lines


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


def _draw(stage: Stage, before: Values | None, lead: str, follow: str) -> list[str]:
    head = f"{lead}{stage.first}-{stage.last}"
    lines = [f"{head:<24} {news(stage.values, before):<24} {_names(stage.leaves)}"]
    for index, child in enumerate(stage.children):
        last = index == len(stage.children) - 1
        lines += _draw(
            child,
            stage.values,
            follow + ("└─ " if last else "├─ "),
            follow + ("   " if last else "│  "),
        )
    return lines


def _names(leaves: Sequence[str]) -> str:
    return ", ".join(leaves) if len(leaves) <= 4 else f"{leaves[0]} and {len(leaves) - 1} more"


def _span(pair: tuple[int, int]) -> str:
    return f"{pair[0]}" if pair[0] == pair[1] else f"{pair[0]}-{pair[1]}"
