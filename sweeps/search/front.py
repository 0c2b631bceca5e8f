"""`points.parquet`: a row a point of a search, and the front of those that no other one beats."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from data_prep.atomic import renamed
from sweeps.search.judge import excess, feasible
from sweeps.search.space import Search
from sweeps.search.study import verdict_of

FILE = "points.parquet"


def write_points(folder: Path, trials: Sequence[FrozenTrial], search: Search) -> None:
    """`points.parquet`: a row a point; its aims are kept with it, in `attrs`.

    Columns: point, state, reason, leaf (the best one), on_front, feasible (missing before there
    are values), a column `$name` a searched quantity, as of the best leaf, then one a metric.
    """
    metrics = list(dict.fromkeys((*search.objectives, *search.constrain)))
    rows = [_row(trial, search, metrics) for trial in trials]
    names = {name for row in rows for name in row if name.startswith("$")}
    columns = ["point", "state", "reason", "leaf", "on_front", "feasible", *sorted(names), *metrics]
    table = pd.DataFrame(rows).reindex(columns=columns)
    table["on_front"] = front(table, minimise=search.minimise, maximise=search.maximise)
    table = table.astype({"feasible": "boolean", **dict.fromkeys(metrics, float)})
    table.attrs = {
        "minimise": list(search.minimise),
        "maximise": list(search.maximise),
        "constrain": dict(search.constrain),
    }
    with renamed(folder / FILE) as temporary:
        table.to_parquet(temporary)


def front(
    points: pd.DataFrame, *, minimise: Sequence[str], maximise: Sequence[str] = ()
) -> "pd.Series[bool]":
    """Which points are on the Pareto front: no other one is as good in all and better in one.

    Only points that are complete and within their constraints are on it, or keep others off it.
    """
    counts = (points["state"] == "COMPLETE") & (points["feasible"] == True)  # noqa: E712  may be NA
    signs = np.array([1.0] * len(minimise) + [-1.0] * len(maximise))
    costs = points.loc[counts, [*minimise, *maximise]].to_numpy(float) * signs
    as_good = (costs[:, None] <= costs[None]).all(axis=2)
    better = (costs[:, None] < costs[None]).any(axis=2)
    found = pd.Series(False, index=points.index)
    found[counts] = ~(as_good & better).any(axis=0)
    return found


def front_lines(folder: Path) -> list[str]:
    """The front for a terminal, the best by the first objective first; nothing without a search."""
    if not (folder / FILE).exists():
        return []
    points = pd.read_parquet(folder / FILE)
    aims = points.attrs
    objectives = [*aims["minimise"], *aims["maximise"]]
    best = points[points["on_front"]].sort_values(objectives[0], ascending=bool(aims["minimise"]))
    title = "front" if len(objectives) > 1 else "best"
    lines = [f"{title} of {_counted(points)}:"]
    if best.empty:
        return [*lines, "  none is complete and within its constraints"]
    heads = {name: f"{name} (lower)" for name in aims["minimise"]}
    heads |= {name: f"{name} (higher)" for name in aims["maximise"]}
    for name, most in aims["constrain"].items():
        heads[name] = f"{heads.get(name, name)} (at most {most:g})"
    shown = [name for name in map(str, points) if name.startswith("$") or name in heads]
    cells = [["point", *(heads.get(name, name) for name in shown), "best leaf"]]
    for row in best.to_dict("records"):
        values = [f"{row[name]:.4g}" for name in shown]
        cells.append([str(row["point"]), *values, str(row["leaf"])])
    return lines + _aligned(cells)


def _row(trial: FrozenTrial, search: Search, metrics: Sequence[str]) -> dict[str, Any]:
    told = verdict_of(trial)
    values = told.get("values", {})
    at = {**trial.params, **told.get("at", {})}
    return {
        "point": trial.number,
        "state": "FAIL" if told and not told["leaf"] else trial.state.name,
        "reason": _reason(told, search),
        "leaf": told.get("leaf"),
        "feasible": feasible(values, search) if values else None,
        **{f"${name}": float(value) for name, value in at.items()},
        **{name: values.get(name) for name in metrics},
    }


def _reason(told: dict[str, Any], search: Search) -> str:
    if not told:
        return "not all of its leaves have ended"
    beyond = [
        f"{name} {told['values'][name]:.4g} is above {search.constrain[name]:g}"
        for name, above in (excess(told["values"], search) if told["leaf"] else {}).items()
        if above > 0
    ]
    return "; ".join(beyond) or str(told["reason"])


def _counted(points: pd.DataFrame) -> str:
    states = points["state"].value_counts()
    beyond = int((points["feasible"] == False).sum())  # noqa: E712  may be NA
    notes = [
        f"{count} {words}"
        for count, words in (
            (beyond, "beyond a constraint"),
            (states.get("FAIL", 0), "failed"),
            (states.get("RUNNING", 0), "not settled"),
        )
        if count
    ]
    return f"{len(points)} points" + (f" ({', '.join(notes)})" if notes else "")


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
