"""The command line's `key=value`, laid over a recipe or over one of its trials. Light and pure."""

from collections.abc import Mapping
from typing import Any

from pct.config import (
    BadConfig,
    merge,
    parse_override,
    place,
    preset_file,
    preset_names,
)

OWN_KEYS = ("base", "trials", "seeds", "space", "search", "claim")
"""Keys of a recipe that are no settings of a run."""


def lay(
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
        content[trial] = _set_inside(content.get(trial), rest, value)
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


def _set_inside(section: Any, key: str, value: Any) -> dict[str, Any]:
    """`section` with the dotted `key` set to `value`; a new one in place of what is no section."""
    first, _, rest = key.partition(".")
    given = section if isinstance(section, Mapping) else {}
    return {**given, first: _set_inside(given.get(first), rest, value) if rest else value}


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
