"""What a sampler gains on random points: formulas of three quantities for scores, nothing trained.

    python benchmarks/samplers.py [SEEDS]

Two points are under way at any time, as in a sweep. For each budget: the median over seeds of the
best value found (lower is better), of the area that a front of two aims covers (higher is better).
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from optuna import logging
from optuna.trial import TrialState, create_trial

sys.path.insert(0, str(Path(__file__).parent.parent))

from sweeps.recipe import load_recipe
from sweeps.search.ask import next_point
from sweeps.search.space import Search, sampled

RECIPE = load_recipe("search_ngf")
SPACE = sampled(RECIPE.space, RECIPE.search)
AIMS = ("val3d/mae_head", "val3d/edge_bone")
WORST = (180.0, 90.0)
BUDGETS = (12, 24, 40)

Formula = Callable[[float, float, float], tuple[float, ...]]


def bowl(ngf: float, alpha: float, bg: float) -> tuple[float, ...]:
    """Each quantity has a best value of its own."""
    return (100 + 60 * (ngf - 0.3) ** 2 + 60 * (alpha - 0.7) ** 2 + 20 * (bg - 0.5) ** 2,)


def valley(ngf: float, alpha: float, bg: float) -> tuple[float, ...]:
    """Strength and sharpness make up for each other."""
    return (100 + 80 * (ngf + alpha - 1.1) ** 2 + 20 * (alpha - 0.6) ** 2 + 10 * (bg - 0.4) ** 2,)


def two_aims(ngf: float, alpha: float, bg: float) -> tuple[float, ...]:
    """A second score that wants other values."""
    first = 100 + 80 * (ngf - 0.2) ** 2 + 20 * (alpha - 0.5) ** 2 + 10 * (bg - 0.4) ** 2
    return first, 50 + 40 * (ngf - 0.7) ** 2 + 40 * (ngf + alpha - 1.2) ** 2


def searched(formula: Formula, search: Search) -> list[tuple[float, ...]]:
    """The scores of all points, each told when the second after it is asked."""
    trials, scores = [], []
    for number in range(search.points + 1):
        if number > 1:
            waiting = trials[number - 2]
            trials[number - 2] = create_trial(
                state=TrialState.COMPLETE, values=scores[number - 2],
                params=waiting.params, distributions=waiting.distributions,
            )  # fmt: skip
        if number < search.points:
            trials.append(next_point(SPACE, search, trials))
            scores.append(formula(*map(share, SPACE, trials[-1].params.values())))
    return scores


def share(name: str, value: float) -> float:
    """Where a value lies in its dimension, from 0 to 1."""
    low, high = SPACE[name].low, SPACE[name].high
    return math.log(value / low) / math.log(high / low)


def quality(scores: list[tuple[float, ...]]) -> float:
    """The best score; of two aims, the area between the front and the worst corner."""
    if len(scores[0]) == 1:
        return min(scores)[0]
    area, lowest = 0.0, WORST[1]
    for first, second in sorted(scores):
        if first < WORST[0] and second < lowest:
            area += (WORST[0] - first) * (lowest - second)
            lowest = second
    return area


def main(num_seeds: int) -> None:
    """Print a line for each formula and budget."""
    logging.set_verbosity(logging.WARNING)
    for formula in (bowl, valley, two_aims):
        for points in BUDGETS:
            told = []
            for sampler in ("random", "tpe"):
                aims = AIMS if formula is two_aims else AIMS[:1]
                runs = [
                    searched(formula, Search(sampler=sampler, minimise=aims, points=points, seed=s))
                    for s in range(num_seeds)
                ]
                told.append(f"{sampler} {median(map(quality, runs)):.2f}")
            print(f"{formula.__name__:<9} {points:>2} points  {'  '.join(told)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
