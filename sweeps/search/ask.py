"""Which point comes next: a pure function of the recipe's search and the points so far."""

import random
from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.search.judge import excess
from sweeps.search.space import Dimension, Point, Search, grid_point, sampled, size
from sweeps.search.study import directions, verdict_of

TRIES = 50
"""Times a sampler may repeat a point of a stepped space before any other one is taken."""


def next_point(
    space: Mapping[str, Dimension], search: Search, trials: Sequence[FrozenTrial]
) -> FrozenTrial:
    """A point that was not asked yet, to be opened; there must be one (`budget`)."""
    told = [_told(trial, search) for trial in trials]
    asked = [trial.params for trial in trials]
    point = None if search.sampler == "grid" else _sampled_point(space, search, told)
    if point is None or point in asked:
        point = _unasked_point(space, search, asked)
    found = distributions(space, search)
    return create_trial(state=TrialState.RUNNING, params=dict(point), distributions=found)


def _unasked_point(
    space: Mapping[str, Dimension], search: Search, asked: Sequence[Mapping[str, float | int]]
) -> Point:
    """The first new point from anywhere on: a grid cut short should still see all of the space."""
    every = size(space, search) or 1
    first = random.Random(f"{search.seed} {len(asked)}").randrange(every)
    points = (grid_point(space, search, first + step) for step in range(every))
    return next(point for point in points if point not in asked)


def distributions(space: Mapping[str, Dimension], search: Search) -> dict[str, BaseDistribution]:
    """What Optuna samples: the space without its exhausted dimensions."""
    return {name: _distribution(dim) for name, dim in sampled(space, search).items()}


def _sampled_point(
    space: Mapping[str, Dimension], search: Search, trials: Sequence[FrozenTrial]
) -> Point:
    """What the sampler says, asked again while it repeats itself.

    On a copy in memory, so that the study on disk never holds half a point. The seed goes by the
    number of points: a search that goes on does not begin its random numbers again.
    """
    study = optuna.create_study(
        directions=directions(search), sampler=_sampler(search, len(trials))
    )
    study.add_trials(trials)
    asked = [trial.params for trial in trials]
    for _ in range(TRIES):
        params = study.ask(distributions(space, search)).params
        point = {name: _on_step(space[name], value) for name, value in params.items()}
        if point not in asked:
            break
    return point


def _sampler(search: Search, number: int) -> BaseSampler:
    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    # Multivariate: strength, sharpness and duration of a loss term act together. Constant liar:
    # points are asked while others still train.
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)


def _told(trial: FrozenTrial, search: Search) -> FrozenTrial:
    """The trial with its constraints, which Optuna keeps apart from its values."""
    if trial.state != TrialState.COMPLETE or not search.constrain:
        return trial
    constrained = deepcopy(trial)
    for name, above in excess(verdict_of(trial)["values"], search).items():
        constrained.set_constraint(name, above)
    return constrained


def _on_step(dimension: Dimension, value: float | int) -> float | int:
    """The value as the dimension writes it: 0.3, where steps from 0 add up to 0.30000000000000004.

    A dimension of whole numbers, or without steps, has its own.
    """
    if not dimension.step:
        return value
    return dimension.values()[round((value - dimension.low) / dimension.step)]


def _distribution(dimension: Dimension) -> BaseDistribution:
    if not dimension.step:
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    values = dimension.values()
    if all(isinstance(value, int) for value in values):
        return IntDistribution(int(values[0]), int(values[-1]), step=max(1, int(dimension.step)))
    return FloatDistribution(values[0], values[-1], step=dimension.step)
