"""Which runs belong together in a plot, and the colour each has everywhere."""

import re
from dataclasses import dataclass
from itertools import cycle

from dashboards.load import Sweep, Trial
from dashboards.plots import INK
from pct.scoring.settings import named
from sweeps.palette import PALETTE

_POINT = re.compile(r"(p\d+)-")


@dataclass(frozen=True)
class Family:
    """Runs of one colour."""

    name: str
    colour: str
    runs: tuple[Trial, ...]


def family_of(trial: str) -> str:
    """The recipe's trial that a leaf comes from, or the point of a search."""
    point = _POINT.match(trial)
    return point[1] if point else named(trial)[0].partition(".")[0]


def families(sweep: Sweep) -> tuple[Family, ...]:
    """Each run by itself while there are colours enough; beyond that by trial of the recipe."""
    groups: dict[str, list[Trial]] = {}
    for run in sweep.runs:
        groups.setdefault(family_of(run.trial), []).append(run)
    if len(sweep.runs) <= len(PALETTE) or len(groups) == 1:
        groups = {sweep.names_of(run): [run] for run in sweep.runs}
    return tuple(
        Family(name, colour, tuple(runs))
        for (name, runs), colour in zip(groups.items(), cycle(PALETTE), strict=False)
    )


def trial_colours(sweep: Sweep) -> dict[str, str]:
    """A colour a run, the same in every figure; trials that are the same run share it."""
    colours = {run.trial: each.colour for each in families(sweep) for run in each.runs}
    for trial in sweep.trials:
        colours.setdefault(trial.trial, colours.get(trial.same_as or "", INK))
    return colours
