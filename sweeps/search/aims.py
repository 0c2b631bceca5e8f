"""The `search` of a recipe, read: its settings and what is wrong with its aims. Light and pure."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from pydantic import ValidationError

from pct.config import suggest
from pct.metrics.names import LOOKS, METRICS, Metric
from sweeps.search.space import Dimension, Search, budget, sampled

AIMS: dict[str, Metric] = {
    **{f"val3d/{name}": metric for name, metric in METRICS.items()},
    **{f"val/{name}": metric for name, metric in LOOKS.items()},
}
"""What a point can be judged by: final scores in 3D, and the looks after each epoch."""


def read_search(given: Any, space: Mapping[str, Dimension], problems: list[str]) -> Search:
    """The `search` section, `points` settled; its mistakes, all at once, go to `problems`."""
    if not isinstance(given, Mapping | None):
        problems.append(f"search: expected a mapping of settings, found {given!r}.")
        return Search()
    settings, found = dict(given or {}), []
    try:
        search = Search.model_validate(settings)
    except ValidationError as error:
        found += [_explain(item) for item in error.errors()]
        wrong = {str(item["loc"][0]) for item in error.errors()}
        search = Search.model_validate({k: v for k, v in settings.items() if k not in wrong})
    found += mistakes(search, space)
    problems += [f"search.{line}" for line in found]
    if found:
        return Search()
    return search.model_copy(update={"points": budget(space, search)})


def mistakes(search: Search, space: Mapping[str, Dimension]) -> list[str]:
    """What is wrong with a search, each line led by its key."""
    return list(chain(_of_names(search), _of_aims(search), _of_dimensions(search, space)))


def _of_names(search: Search) -> Iterator[str]:
    for key, names in _named(search).items():
        for name in dict.fromkeys(names):
            if name not in AIMS:
                yield f"{key}: no metric {name!r}{suggest(name, list(AIMS))}"
            if names.count(name) > 1:
                yield f"{key}: {name} is named twice."


def _of_aims(search: Search) -> Iterator[str]:
    if not search.objectives:
        yield "minimise: a search needs something to minimise or to maximise."
    both = set(search.minimise) & set(search.maximise)
    for name in sorted(both):
        yield f"maximise: {name} is minimised too: take it out of one of them."
    for key, names, better, remedy in (
        ("minimise", search.minimise, "higher", "put it under maximise."),
        ("maximise", search.maximise, "lower", "put it under minimise."),
        ("constrain", search.constrain, "higher", "a bound is the most that it may be."),
    ):
        for name in names:
            if name not in both and _better(name) == better:
                yield f"{key}: {name} is better when {better}: {remedy}"


def _better(name: str) -> str:
    """`higher` or `lower`; "" for what is unknown or no aim."""
    metric = AIMS.get(name)
    if metric is None or metric.higher_is_better is None:
        return ""
    return "higher" if metric.higher_is_better else "lower"


def _of_dimensions(search: Search, space: Mapping[str, Dimension]) -> Iterator[str]:
    for name in search.exhaust:
        if name not in space or not space[name].step:
            yield f"exhaust: {name} is not a dimension with a step in the space."
    for name, dimension in sampled(space, search).items():
        if search.sampler == "grid" and not dimension.step:
            yield f"sampler: a grid needs a step in every dimension, and {name} has none."


def _named(search: Search) -> dict[str, tuple[str, ...]]:
    return {
        "minimise": search.minimise,
        "maximise": search.maximise,
        "constrain": tuple(search.constrain),
    }


def _explain(item: Any) -> str:
    name = ".".join(map(str, item["loc"]))
    hint = suggest(name, list(Search.model_fields)) if item["type"] == "extra_forbidden" else ""
    return f"{name}: {item['msg']}{hint}"
