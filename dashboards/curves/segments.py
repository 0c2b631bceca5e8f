"""Curves cut where runs part: what a trunk's branches share is one line, not one a branch."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from dashboards.load import Sweep, Trial

Point = tuple[int, float]
"""An epoch and a value."""


@dataclass(frozen=True)
class Segment:
    """A line of a curve: epochs that the same trials share."""

    run: Trial
    """The first of them."""
    trials: tuple[str, ...]
    """All, twins under their own names included."""
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    trained: bool
    """Whether a trial of this sweep trained it; else it came from the store."""


def segments(sweep: Sweep, metric: str) -> list[Segment]:
    """Every finite value of `metric`, once, run by run in the order of the recipe.

    A segment that goes on from another starts at its last point, so that the line is whole.
    """
    tables = tables_of(sweep, metric)
    sharing, trained = _sharing(sweep), _trained(sweep, tables)
    drawn: dict[str, int] = {}
    found: list[Segment] = []
    for run in sweep.runs:
        if run.trial in tables:
            found += _of_run(run, tables[run.trial], drawn, sharing, trained)
    return found


def finite_rows(sweep: Sweep, metric: str) -> pd.DataFrame:
    """The history's rows of `metric` whose value is a number: not NaN, nor a loss that overflew."""
    rows = sweep.history[sweep.history["metric"] == metric]
    return rows[np.isfinite(rows["value"].astype(float))]


def tables_of(sweep: Sweep, metric: str) -> dict[str, pd.DataFrame]:
    """Trial -> its finite rows of `metric`, by epoch."""
    rows = finite_rows(sweep, metric).sort_values("epoch", kind="stable")
    return {str(trial): part for trial, part in rows.groupby("trial")}


def points_of(sweep: Sweep, metric: str) -> dict[str, list[Point]]:
    """Trial -> epochs and values of its whole curve, shared epochs too."""
    return {trial: _points(rows) for trial, rows in tables_of(sweep, metric).items()}


def _points(rows: pd.DataFrame) -> list[Point]:
    return list(zip(rows["epoch"].tolist(), rows["value"].tolist(), strict=True))


def _of_run(
    run: Trial, rows: pd.DataFrame, drawn: dict[str, int], sharing: dict[str, tuple[str, ...]],
    trained: set[str],
) -> Iterator[Segment]:  # fmt: skip
    """The run's lines past what an earlier run has drawn of its stages, which it notes."""
    keys = {e: stage.key for stage in run.stages for e in range(stage.first, stage.last + 1)}
    start = max((drawn.get(stage.key, 0) for stage in run.stages), default=0)
    points = _points(rows)
    before = [point for point in points if point[0] <= start][-1:]

    def trials_at(point: Point) -> tuple[str, ...]:
        return sharing.get(keys.get(point[0], ""), (run.trial,))

    for trials, part in groupby([point for point in points if point[0] > start], key=trials_at):
        own = list(part)
        joined = before if before and before[0][0] == own[0][0] - 1 else []
        epochs, values = zip(*joined, *own, strict=True)
        stages = {keys.get(epoch, "") for epoch, _ in own}
        yield Segment(run, trials, epochs, values, bool(stages & trained) or stages == {""})
        before = own[-1:]
    for epoch, _ in points:
        if epoch in keys:
            drawn[keys[epoch]] = max(epoch, drawn.get(keys[epoch], 0))


def _sharing(sweep: Sweep) -> dict[str, tuple[str, ...]]:
    """Stage -> all trials that go through it."""
    found: dict[str, list[str]] = {}
    for trial in sweep.trials:
        for stage in trial.stages:
            found.setdefault(stage.key, []).append(trial.trial)
    return {key: tuple(names) for key, names in found.items()}


def _trained(sweep: Sweep, tables: dict[str, pd.DataFrame]) -> set[str]:
    """Stages of which some trial trained an epoch itself."""
    found: set[str] = set()
    for run in sweep.runs:
        rows = tables.get(run.trial)
        if rows is not None:
            own = set(rows.loc[~rows["carried"].astype(bool), "epoch"])
            found |= {s.key for s in run.stages if own & set(range(s.first, s.last + 1))}
    return found
