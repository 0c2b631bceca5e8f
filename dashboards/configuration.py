"""Settings of all trials from recipe.yaml: what they share once, and what differs by trial."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dashboards.load import Sweep
from dashboards.markup import UNKNOWN, folded, html_table, note
from data_prep.words import counted

Settings = dict[str, str]
"""Dotted name -> value as text."""


def configuration_html(sweep: Sweep) -> str:
    """Two tables; a line where there is no recipe.yaml or it cannot be read."""
    path = sweep.folder / "recipe.yaml"
    trials = read_trials(path)
    if isinstance(trials, str):
        return note(trials)
    shared, differing = split(trials)
    heads = ["trial", *differing]
    rows = [
        [name, *(settings.get(key, UNKNOWN) for key in differing)]
        for name, settings in trials.items()
    ]
    table = html_table(heads, rows, caption="Settings that differ") if differing else ""
    count = f"{counted(len(shared), 'setting')} shared by all {counted(len(trials), 'trial')}"
    common = folded(count, html_table(["setting", "value"], list(shared.items()), caption=count))
    words = "Settings that differ between trials. A schedule's 0 from 41 begins with epoch 41."
    return (
        note(words) + table if differing else note("All trials have the same settings.")
    ) + common


def read_trials(path: Path) -> dict[str, Settings] | str:
    """Every trial's settings; where they cannot be had, why not."""
    if not path.exists():
        return f"{path.name} is missing."
    try:
        content = YAML(typ="safe").load(path)
        return {str(name): dict(_flat(run)) for name, run in content["trials"].items()}
    except (YAMLError, OSError, KeyError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[0]
        return f"{path.name} cannot be read ({first}); `pct sweep` writes it anew."


def split(trials: Mapping[str, Settings]) -> tuple[Settings, list[str]]:
    """What all trials share, and the names of the settings that differ."""
    names = list(dict.fromkeys(name for settings in trials.values() for name in settings))
    values = {name: {settings.get(name) for settings in trials.values()} for name in names}
    shared = {name: str(found.copy().pop()) for name, found in values.items() if len(found) == 1}
    return shared, [name for name in names if name not in shared]


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        if isinstance(value, Mapping) and not _is_schedule(value):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _spelt(value)


def _is_schedule(value: Mapping[Any, Any]) -> bool:
    """Whether its keys are numbers of finished epochs."""
    return bool(value) and all(str(key).isdigit() for key in value)


def _spelt(value: Any) -> str:
    """`20, 0 from 41` for a schedule, `64, 128` for a list, `none` for nothing.

    Of a path its last part.
    """
    if isinstance(value, Mapping):
        steps = [(int(finished), _spelt(step)) for finished, step in value.items()]
        return ", ".join(f"{step} from {done + 1}" if done else step for done, step in steps)
    if isinstance(value, list):
        return ", ".join(map(_spelt, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str) and PurePath(value).is_absolute():
        return PurePath(value).name
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
