"""A recipe file to named, straight runs; every mistake in it reported at once. Light and pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from data_prep.errors import PctError
from pct.config import (
    BadConfig,
    Run,
    load_preset,
    merge,
    parse_override,
    place,
    preset_file,
    preset_names,
    read_yaml,
    suggest,
    try_run,
)
from pct.scoring.declared import Question
from sweeps.aims import read_search
from sweeps.claim import check_claim, parse_claim
from sweeps.forks import BadFork, is_name, straighten
from sweeps.space import Dimension, Point, Search, corner, exhausted, fill

RECIPES = Path(__file__).parent / "recipes"
OWN_KEYS = ("base", "trials", "seeds", "space", "search", "claim")


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
        _lay(override, content, common, trials, problems)
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
    leaves = _leaves(recipe, point, problems)
    if problems:
        raise BadRecipe("\n".join(problems))
    return leaves


def _check(recipe: Recipe, problems: list[str]) -> None:
    """Try the recipe's leaves at the two corners of its space."""
    if not problems or recipe.trials:
        ends: tuple[Literal["low"], Literal["high"]] = ("low", "high")
        for end in ends:
            leaves = _leaves(recipe, corner(recipe.space, end), problems, exhaust=False)
        check_claim(recipe.claim, [leaf.name for leaf in leaves], problems)


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
    try:
        trial = fill(trial, point)
        base = load_preset(str(trial.pop("base", recipe.base)))
        straights = straighten(_section(trial, "schedule"))
    except KeyError as error:
        problems.append(
            f"{name}: ${error.args[0]} is not in the space"
            f"{suggest(str(error.args[0]), list(recipe.space))}"
        )
        return []
    except (BadFork, BadConfig) as error:
        problems.append(f"{name}: {error}")
        return []
    leaves = []
    for straight in straights:
        leaf = f"{name}.{straight.name}" if straight.name else name
        settings = merge(merge(base, recipe.common), {**trial, "schedule": straight.schedules})
        for seed in recipe.seeds or (None,):
            seeded = settings if seed is None else {**settings, "seed": seed}
            run = try_run(seeded, where=f"{name}: ", problems=problems)
            if run:
                leaves.append(Leaf(leaf if seed is None else f"{leaf}@s{seed}", run, point))
    return leaves


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


def _lay(
    override: str,
    content: dict[str, Any],
    common: dict[str, Any],
    trials: dict[str, dict[str, Any]],
    problems: list[str],
) -> None:
    """Lay one command-line override over the recipe or over one trial."""
    try:
        key, value = parse_override(override)
    except BadConfig as error:
        problems.append(str(error))
        return
    if key in OWN_KEYS and key != "trials":
        content[key] = value
        return
    trial, _, rest = key.partition(".")
    if trial in ("search", "space") and rest:
        content[trial] = _set_inside(content.get(trial) or {}, rest, value)
        return
    if trial in trials and rest:
        trials[trial] = merge(trials[trial], place(rest, value))
        return
    for name, settings in trials.items():
        if _fixes(settings, key) not in (None, value):
            others = next((other for other in trials if other != name), name)
            problems.append(
                f"{override} contradicts trial {name}, which sets its own {key}; "
                f"name the trials meant, as in {others}.{key}={value}."
            )
    common.update(merge(common, place(key, value)))


def _set_inside(section: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """`section` with the dotted `key` set to `value`."""
    first, _, rest = key.partition(".")
    inner = section.get(first)
    below = inner if isinstance(inner, Mapping) else {}
    return {**section, first: _set_inside(below, rest, value) if rest else value}


def _fixes(settings: Mapping[str, Any], key: str) -> Any:
    """The value that a trial fixes for a dotted `key`, itself or by a preset of its own."""
    section, name = key.split(".", 1) if "." in key else ("schedule", key)
    inner = settings.get(section)
    if key in settings:
        return settings[key]
    if isinstance(inner, Mapping) and name in inner:
        return inner[name]
    own = settings.get("base")
    return _fixes(preset_file(str(own)), key) if own in preset_names() else None


def _seeds(given: Any, problems: list[str]) -> tuple[int, ...]:
    items = [part for part in given.split(",") if part] if isinstance(given, str) else given
    items = [items] if isinstance(items, int) else items or []
    try:
        seeds = tuple(int(item) for item in items)
    except (TypeError, ValueError):
        problems.append(f"seeds: expected whole numbers as in 1,2,3, found {given!r}.")
        return ()
    if len(set(seeds)) < len(seeds):
        problems.append(f"seeds: {given!r} names one seed twice.")
    return seeds


def _space(given: Any, problems: list[str]) -> dict[str, Dimension]:
    space: dict[str, Dimension] = {}
    if not isinstance(given, Mapping | None):
        problems.append(f"space: expected a mapping of names to dimensions, found {given!r}.")
        return space
    for name, settings in (given or {}).items():
        try:
            space[str(name)] = Dimension.model_validate(settings)
        except ValidationError as error:
            problems.append(
                f"space.{name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
            )
    return space
