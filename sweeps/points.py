"""Points of a search: asked of Optuna one by one, told once all leaves of a point have ended."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from sweeps.job import Job, Outcome, read_outcome
from sweeps.recipe import Leaf, Recipe, leaves_at
from sweeps.space import Dimension

if TYPE_CHECKING:
    from sweeps.sweep import Sweep

log = logging.getLogger(__name__)

OPEN = 2
"""Points under way at once, so that a branch held back does not idle a worker."""


class Points:
    """The leaves of a search, point by point. Its study lies in DIR/study.db and can be resumed."""

    def __init__(self, sweep: "Sweep", *, begin: Callable[["Sweep"], list[Job]]) -> None:
        self._sweep, self._begin = sweep, begin
        self._study = open_study(sweep.recipe, f"sqlite:///{sweep.folder.resolve() / 'study.db'}")
        self._again = self._study.get_trials(states=[TrialState.RUNNING])
        self._open: dict[int, Sweep] = {}
        self._left: dict[int, set[str]] = {}

    @property
    def leaves(self) -> list[Leaf]:
        """The leaves of every point so far, settled ones too."""
        return [
            leaf
            for trial in self._study.get_trials(deepcopy=False)
            for leaf in point_leaves(self._sweep.recipe, trial.number, trial.params)
        ]

    @property
    def anything(self) -> bool:
        """Whether there is a point to run."""
        return bool(self._again) or self._asked < self._sweep.recipe.search.points

    @property
    def exhausted(self) -> bool:
        """Whether all points have been asked for and settled."""
        return not self.anything and not self._open

    def more(self) -> Sequence[Job]:
        """The leaves to train of the next point; none while enough points are under way."""
        jobs: list[Job] = []
        while self.anything and len(self._open) < OPEN and not jobs:
            number, params = self._next()
            part = self._sweep.of(point_leaves(self._sweep.recipe, number, params))
            jobs = self._begin(part)
            self._open[number], self._left[number] = part, {job.leaf for job in jobs}
            self._tell_if_settled(number)
        return jobs

    def settled(self, leaf: str) -> None:
        """A leaf has ended; with the last one of its point, Optuna learns the point's value."""
        number = next((n for n, left in self._left.items() if leaf in left), None)
        if number is not None:
            self._left[number].discard(leaf)
            self._tell_if_settled(number)

    @property
    def _asked(self) -> int:
        return len(self._study.get_trials(deepcopy=False))

    def _next(self) -> tuple[int, dict[str, Any]]:
        if self._again:
            trial: FrozenTrial = self._again.pop(0)
            return trial.number, trial.params
        asked = self._study.ask(distributions(self._sweep.recipe))
        return asked.number, asked.params

    def _tell_if_settled(self, number: int) -> None:
        if self._left[number]:
            return
        part = self._open.pop(number)
        values = point_value(
            [read_outcome(job) for job in part.jobs], self._sweep.recipe.search.minimise
        )
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        self._study.tell(number, values, state=state)
        log.info("point %d: %s", number, values)


def open_study(recipe: Recipe, storage: str) -> optuna.Study:
    """The recipe's study, made or resumed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = recipe.search
    study = optuna.create_study(
        study_name=recipe.name,
        storage=storage,
        directions=["minimize"] * len(search.minimise),
        load_if_exists=True,
    )
    # Another seed in each session: the same one would ask for the first points again.
    seed = search.seed + len(study.get_trials(deepcopy=False))
    if search.sampler == "random":
        study.sampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    return study


def distributions(recipe: Recipe) -> dict[str, BaseDistribution]:
    """What Optuna samples: the space without its exhausted dimensions."""
    return {
        name: _distribution(dimension)
        for name, dimension in recipe.space.items()
        if name not in recipe.search.exhaust
    }


def point_leaves(recipe: Recipe, number: int, params: dict[str, Any]) -> list[Leaf]:
    """The leaves of one point, its number before their names."""
    return [
        Leaf(f"p{number:02d}-{leaf.name}", leaf.run, leaf.point)
        for leaf in leaves_at(recipe, params)
    ]


def point_value(outcomes: Sequence[Outcome | None], minimise: Sequence[str]) -> list[float] | None:
    """The objectives of the point's best leaf by the first of them; None if none has finished."""
    rows = [
        [outcome.final.get(name, math.nan) for name in minimise]
        for outcome in outcomes
        if outcome and outcome.status == "FINISHED"
    ]
    finite = [row for row in rows if all(math.isfinite(value) for value in row)]
    return min(finite) if finite else None


def _distribution(dimension: Dimension) -> BaseDistribution:
    whole = all(
        float(v).is_integer() for v in (dimension.low, dimension.high, dimension.step or 0.5)
    )
    if whole:
        return IntDistribution(
            int(dimension.low), int(dimension.high), step=int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
