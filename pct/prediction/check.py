"""One thing looked at in a prediction: a number, its limits, and a sentence for a person."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

UNKNOWN_TRAINING = "fingerprint"
"""Name of the check that stands for those which a model of an earlier version does not allow."""


@dataclass(frozen=True)
class Check:
    """One thing looked at; `value` is None where it could not be measured, a limit where none is.

    `words` is one sentence for a person, with the number and what was expected.
    """

    name: str
    value: float | None
    unit: str
    low: float | None
    high: float | None
    ok: bool
    words: str


def held(
    name: str,
    value: float,
    words: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
) -> Check:
    """Holds `value` to its limits, both included; NaN is no value, and nothing to warn of."""
    if math.isnan(value):
        return Check(name, None, unit, low, high, True, words)
    ok = (low is None or value >= low) and (high is None or value <= high)
    return Check(name, float(value), unit, low, high, bool(ok), words)


def warnings(checks: Sequence[Check]) -> list[str]:
    """Sentences of the checks that do not hold."""
    return [check.words for check in checks if not check.ok]


def notes(checks: Sequence[Check]) -> list[str]:
    """What a reader should know although it is no warning: that comparisons are left out."""
    return [check.words for check in checks if check.name == UNKNOWN_TRAINING]


def span(low: float, high: float, form: str) -> str:
    """Two numbers as a range, or one where they read alike.

    >>> span(1.0, 3.0, ".1f"), span(2.0, 2.0, "g")
    ('1.0 to 3.0', '2')
    """
    texts = format(low, form), format(high, form)
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"
