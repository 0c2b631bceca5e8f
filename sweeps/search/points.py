"""Points of a search: asked one by one, told once all leaves of a point have ended."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from sweeps.job import Job
from sweeps.recipe import Leaf, Recipe, leaves_at
from sweeps.search.ask import next_point
from sweeps.search.front import write_points
from sweeps.search.judge import has_failed, judge
from sweeps.search.space import Point, budget, corner
from sweeps.search.study import Study, facts_of

if TYPE_CHECKING:
    from sweeps.sweep import Sweep

log = logging.getLogger(__name__)


class Points:
    """The leaves of a search, point by point. Its study lies in DIR/study.db.

    A point is opened when a worker would be idle, and the study knows it before a leaf of it runs.
    """

    def __init__(self, sweep: "Sweep", *, begin: Callable[["Sweep"], list[Job]]) -> None:
        self._sweep, self._begin = sweep, begin
        self._study = open_study(sweep)
        self._trials = self._study.trials()
        self._again = [trial for trial in self._trials if self._is_left(trial)]
        self._budget = budget(sweep.recipe.space, sweep.recipe.search)
        self._open: dict[int, Sweep] = {}
        self._left: dict[int, set[str]] = {}
        self._refresh()

    @property
    def leaves(self) -> list[Leaf]:
        """The leaves of every point so far, settled ones too."""
        return [
            leaf
            for trial in self._trials
            for leaf in point_leaves(self._sweep.recipe, trial.number, trial.params)
        ]

    @property
    def anything(self) -> bool:
        """Whether there is a point to open: one that was under way, or a new one."""
        return bool(self._again) or len(self._trials) < self._budget

    @property
    def exhausted(self) -> bool:
        """Whether all points have been asked for and settled."""
        return not self.anything and not self._open

    def more(self) -> Sequence[Job]:
        """The leaves to train of the next point, past those with nothing left to train."""
        while self.anything:
            if jobs := self._open_next():
                return jobs
        return []

    def settled(self, leaf: str) -> None:
        """A leaf has ended; with the last one of its point, Optuna learns the point's value."""
        number = next((n for n, left in self._left.items() if leaf in left), None)
        if number is not None:
            self._left[number].discard(leaf)
            self._tell_if_settled(number)

    def _is_left(self, trial: FrozenTrial) -> bool:
        """Whether a point was under way, or has a leaf that broke off and is tried again."""
        return trial.state == TrialState.RUNNING or has_failed(self._part(trial).jobs)

    def _part(self, trial: FrozenTrial) -> "Sweep":
        return self._sweep.of(point_leaves(self._sweep.recipe, trial.number, trial.params))

    def _open_next(self) -> list[Job]:
        trial = self._again.pop(0) if self._again else self._ask()
        part = self._part(trial)
        jobs = self._begin(part)
        self._open[trial.number] = part
        self._left[trial.number] = {job.leaf for job in jobs}
        self._tell_if_settled(trial.number)
        return jobs

    def _ask(self) -> FrozenTrial:
        recipe = self._sweep.recipe
        number = self._study.open(next_point(recipe.space, recipe.search, self._study.trials()))
        self._refresh()
        return self._trials[number]

    def _tell_if_settled(self, number: int) -> None:
        if self._left[number]:
            return
        part = self._open.pop(number)
        del self._left[number]
        if self._trials[number].state.is_finished():
            return  # its value was told already; only a leaf that broke off was tried again
        verdict = judge(part.jobs, self._sweep.recipe.search)
        at = next((leaf.point for leaf in part.leaves if leaf.name == verdict.leaf), {})
        self._study.tell(number, verdict, at, self._sweep.recipe.search)
        self._refresh()
        log.info("point %d: %s", number, verdict.values or verdict.reason)

    def _refresh(self) -> None:
        self._trials = self._study.trials()
        if self._trials:
            write_points(self._sweep.folder, self._trials, self._sweep.recipe.search)


def open_study(sweep: "Sweep") -> Study:
    """The sweep's study, made or gone on with; one of another search is an error."""
    recipe = sweep.recipe
    one = sweep.of(leaves_at(recipe, corner(recipe.space, "low")))
    keys = json.dumps({job.leaf: job.key(job.run.epochs) for job in one.jobs}, sort_keys=True)
    facts = facts_of(
        recipe.search, recipe.space, runs=hashlib.sha256(keys.encode()).hexdigest()[:32]
    )
    path = sweep.folder / "study.db"
    return Study(path, name=recipe.name, search=recipe.search, facts=facts)


def point_leaves(recipe: Recipe, number: int, point: Point) -> list[Leaf]:
    """The leaves of one point, its number before their names."""
    return [
        Leaf(f"p{number:02d}-{leaf.name}", leaf.run, leaf.point)
        for leaf in leaves_at(recipe, point)
    ]
