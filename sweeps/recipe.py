"""A recipe file to named, straight runs; every mistake in it reported at once. Light and pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from data_prep.errors import PctError
from pct.config import (
    BadConfig,
    Run,
    load_preset,
    merge,
    read_yaml,
    suggest,
    try_run,
    validated,
)
from pct.scoring.declared import Question
from sweeps.claim import check_claim, parse_claim
from sweeps.forks import is_name, straighten, too_late
from sweeps.overrides import OWN_KEYS, lay
from sweeps.search.aims import read_search
from sweeps.search.space import (
    Dimension,
    Point,
    Search,
    corner,
    exhausted,
    fill,
    names_in,
)

RECIPES = Path(__file__).parent / "recipes"


class BadRecipe(PctError):
    """A recipe with mistakes: one line each."""


@dataclass(frozen=True)
class Leaf:
    """One whole schedule from epoch 1 to its end: one trial in every table."""

    name: str
    run: Run
    point: Point
    """Values of the searched quantities; empty in a recipe without a space."""


@dataclass(frozen=True)
class Recipe:
    """A recipe file with the command line's overrides; trials still hold forks and `$names`."""

    name: str
    base: str
    common: dict[str, Any]
    trials: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]
    space: dict[str, Dimension]
    search: Search
    claim: Question | None = None
    """What the recipe was written to find out."""

    def settings(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Preset, recipe and a trial's `own` settings but its schedules, validated only once."""
        told = repr(own)
        if told not in self._known:
            rest = dict(own)
            base = load_preset(str(rest.pop("base", self.base)))
            self._known[told] = validated(merge(merge(base, self.common), rest))
        return self._known[told]

    @cached_property
    def without_space(self) -> tuple[list[Leaf], list[str]]:
        """The leaves of a recipe without a space, and what is wrong with them."""
        problems: list[str] = []
        return _leaves(self, {}, problems), problems

    @cached_property
    def _known(self) -> dict[str, dict[str, Any]]:
        return {}


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a file by path, and lay `key=value` overrides over it."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.exists():
        raise BadRecipe(f"no recipe {name!r}{suggest(name, recipe_names())} A path ends in .yaml.")
    content = read_yaml(path)
    problems: list[str] = []
    trials = _trials(content, problems)
    common = {key: value for key, value in content.items() if key not in OWN_KEYS}
    for override in overrides:
        lay(override, content, common, trials, problems)
    space = _space(content.get("space"), problems)
    search = read_search(content.get("search"), space, problems)
    seeds = _seeds(content.get("seeds"), problems)
    base = str(content.get("base", "resize"))
    claim = parse_claim(content.get("claim"), problems)
    recipe = Recipe(path.stem, base, common, trials, seeds, space, search, claim)
    _check(recipe, problems)
    if problems:
        lines = _grouped(problems, list(trials))
        raise BadRecipe("\n".join(f"{path.name}: {line}" for line in lines))
    return recipe


def _grouped(problems: Sequence[str], trials: Sequence[str]) -> list[str]:
    """Each mistake once, with all the trials that make it."""
    makers: dict[str, list[str]] = {}
    for line in dict.fromkeys(problems):
        name, _, mistake = line.partition(": ")
        if name in trials:
            makers.setdefault(mistake, []).append(name)
        else:
            makers.setdefault(line, [])
    return [
        f"{', '.join(names)}: {mistake}" if names else mistake for mistake, names in makers.items()
    ]


def leaves_at(recipe: Recipe, point: Point) -> list[Leaf]:
    """The leaves of one point of the search (of the recipe, when it has no space)."""
    problems: list[str] = []
    if recipe.space:
        leaves = _leaves(recipe, point, problems)
    else:
        leaves, problems = recipe.without_space
    if problems:
        raise BadRecipe("\n".join(problems))
    return leaves


def _check(recipe: Recipe, problems: list[str]) -> None:
    """Try the recipe's leaves at the two corners of its space; without trials, what it sets."""
    leaves, wrong = ([], []) if recipe.space else recipe.without_space
    problems += wrong
    one_seed = replace(recipe, seeds=recipe.seeds[:1])
    ends: tuple[Literal["low", "high"], ...] = ("low", "high") if recipe.space else ()
    for end in ends:
        leaves = _leaves(one_seed, corner(recipe.space, end), problems, exhaust=False)
    check_claim(recipe.claim, [leaf.name for leaf in leaves], problems)
    twice = {name for name in recipe.search.exhaust if recipe.search.exhaust.count(name) > 1}
    problems += [f"search.exhaust: {name} is named twice." for name in sorted(twice)]
    if not recipe.trials:
        with _noted("", problems):
            try_run(recipe.settings({}), where="", problems=problems)


def _leaves(
    recipe: Recipe, point: Point, problems: list[str], *, exhaust: bool = True
) -> list[Leaf]:
    leaves: list[Leaf] = []
    for grid in exhausted(recipe.space, recipe.search) if exhaust else [{}]:
        full = {**point, **grid}
        suffix = "".join(f"-{name}{value}" for name, value in grid.items())
        for name, trial in recipe.trials.items():
            leaves += _trial_leaves(recipe, f"{name}{suffix}", trial, full, problems)
    return leaves


def _trial_leaves(
    recipe: Recipe, name: str, trial: dict[str, Any], point: Point, problems: list[str]
) -> list[Leaf]:
    where = f"{name}: "
    filled = settings = straights = None
    with _noted(where, problems):
        filled = _filled(recipe, trial, point)
    if filled is None:
        return []
    with _noted(where, problems):
        own = {key: value for key, value in filled.items() if key != "schedule"}
        settings = recipe.settings(own)
    with _noted(where, problems):
        straights = straighten(_section(filled, "schedule"))
    if settings is None or straights is None:
        try_run(settings or {}, where=where, problems=problems)
        return []
    leaves = []
    for straight in straights:
        leaf = f"{name}.{straight.name}" if straight.name else name
        scheduled = merge(settings, {"schedule": straight.schedules})
        run = None
        for seed in recipe.seeds or (None,):
            if run:
                scheduled["schedule"] = run.schedule
            seeded = scheduled if seed is None else {**scheduled, "seed": seed}
            run = try_run(seeded, where=where, problems=problems)
            if run:
                leaves.append(Leaf(leaf if seed is None else f"{leaf}@s{seed}", run, point))
        if run:
            problems += [f"{where}{late}" for late in too_late(straight, run.epochs)]
    return leaves


@contextmanager
def _noted(where: str, problems: list[str]) -> Iterator[None]:
    """Go on after a mistake in what the user wrote, its lines noted."""
    try:
        yield
    except PctError as error:
        problems += [f"{where}{line}" for line in str(error).splitlines()]


def _filled(recipe: Recipe, trial: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """A trial at a point of the search; every name that is not in the space is told."""
    try:
        return dict(fill(trial, point))
    except KeyError as error:
        unknown, known = sorted(set(names_in(trial)) - set(point)), list(recipe.space)
        near = {name: suggest(name, known) if known else ", which is empty." for name in unknown}
        lines = [f"${name} is not in the space{near[name]}" for name in unknown]
        raise BadRecipe("\n".join(lines)) from error


def _section(trial: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = trial.get(name) or {}
    if not isinstance(section, Mapping):
        raise BadConfig(f"{name}: expected a mapping of settings, found {section!r}.")
    return section


def _trials(content: Mapping[str, Any], problems: list[str]) -> dict[str, dict[str, Any]]:
    trials = content.get("trials")
    if not isinstance(trials, Mapping) or not trials:
        problems.append("trials: expected a mapping of names to settings, found none.")
        return {}
    named = {}
    for name, settings in trials.items():
        if not isinstance(settings, Mapping | None):
            problems.append(f"trials.{name}: expected a mapping of settings, found {settings!r}.")
        elif not isinstance(name, str) or not is_name(name):
            problems.append(f"trials.{name}: a name holds letters, digits, - and _ only.")
        else:
            named[name] = dict(settings or {})
    return named


def _seeds(given: Any, problems: list[str]) -> tuple[int, ...]:
    items = [part for part in given.split(",") if part] if isinstance(given, str) else given
    items = [items] if isinstance(items, int) else items or []
    if not isinstance(items, list) or not all(re.fullmatch(r"\s*\d+", str(i)) for i in items):
        problems.append(
            f"seeds: expected whole numbers as in 1,2,3, found {given!r}; none is below 0."
        )
        return ()
    seeds = tuple(map(int, items))
    if len(set(seeds)) < len(seeds):
        problems.append(f"seeds: {given!r} names one seed twice.")
    return seeds


def _space(given: Any, problems: list[str]) -> dict[str, Dimension]:
    space: dict[str, Dimension] = {}
    if not isinstance(given, Mapping | None):
        problems.append(f"space: expected a mapping of names to dimensions, found {given!r}.")
        return space
    for name, settings in (given or {}).items():
        if not is_name(str(name)):
            problems.append(f"space.{name}: a name holds letters, digits, - and _ only.")
        try:
            space[str(name)] = Dimension.model_validate(settings)
        except ValidationError as error:
            problems.append(
                f"space.{name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
            )
    return space
