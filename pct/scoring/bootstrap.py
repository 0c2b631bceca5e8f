"""Confidence intervals by resampling: of a mean over cases, with numpy alone."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
"""Draws behind every interval."""

SEED = 0
"""The same scores give the same interval."""

LEVEL = 0.95
"""Confidence of every interval."""


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Percentile bootstrap interval (95 %) of the mean; NaN below two values.

    Cases are drawn anew with replacement, 10,000 times, from seed 0. With few cases it is too
    narrow, like every percentile interval: it describes the cases and supports no claim.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    means = np.sort(values)[_draws(len(values))].mean(axis=1)  # whatever the order of the cases
    low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


@lru_cache(maxsize=2)
def _draws(num: int) -> NDArray[np.int64]:
    """(RESAMPLES, num) indices; one cohort after the other asks for the same."""
    return np.random.default_rng(SEED).integers(num, size=(RESAMPLES, num))
