"""One thing looked at in a prediction: a number, its limits, and a sentence for a person."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing looked at; a limit is None where there is none.

    `ok` is None of what could not be measured: neither a warning nor a sign that all is well.
    `words` is one sentence for a person, with the number and what was expected.
    """

    name: str
    value: float | None
    unit: str
    low: float | None
    high: float | None
    ok: bool | None
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
    """Holds `value` to its limits, both included; NaN is no value, and neither good nor bad."""
    if math.isnan(value):
        return Check(name, None, unit, low, high, None, words)
    ok = (low is None or value >= low) and (high is None or value <= high)
    return Check(name, float(value), unit, low, high, bool(ok), words)


def warnings(checks: Sequence[Check]) -> list[str]:
    """Sentences of the checks that do not hold."""
    return [check.words for check in checks if check.ok is False]


def notes(checks: Sequence[Check]) -> list[str]:
    """Sentences of what could not be measured: no warnings, but for a reader to know."""
    return [f"not measured: {check.words}" for check in checks if check.ok is None]


def span(low: float, high: float, form: str) -> str:
    """Two numbers as a range, or one where they read alike.

    >>> span(1.0, 3.0, ".1f"), span(2.0, 2.0, "g")
    ('1.0 to 3.0', '2')
    """
    texts = format(low, form), format(high, form)
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"
