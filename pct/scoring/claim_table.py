"""A comparison of two settings as a person reads it: a table, and one sentence that sums it up."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from data_prep.words import counted
from pct.scoring.bootstrap import LEVEL
from pct.scoring.claims import MIN_PATIENTS, MIN_SEEDS, Comparison
from pct.scoring.cohort import digits, plain, spell_count, spell_interval, titled
from pct.scoring.declared import Question
from pct.scoring.pairs import signed, spell_p


def claim_table(found: Sequence[Comparison], question: Question) -> Table:
    """A line a metric, the one in question first; columns of p and intervals only for claims."""
    titles = ["metric", "patients", question.a, question.b, "B - A"]
    titles += ["A/A spread"]
    claims = any(each.is_enough for each in found)
    if claims:
        titles += ["95 % CI of B - A", "p", "p (Holm)", "detectable", "kind"]
    shown = plain(*titles)
    for each in found:
        effect, unit = each.effect, each.unit
        cells = [
            titled(each.metric, unit),
            spell_count(each.patients, each.of),
            _number(each.a_mean, unit),
            _number(each.b_mean, unit),
            signed(effect.difference, unit),
            _number(each.aa_spread, unit),
        ]
        if claims:
            cells += [
                spell_interval(effect.ci_low, effect.ci_high, unit),
                spell_p(effect.p) if each.primary else "",
                spell_p(each.p_holm) if not each.primary else "",
                _number(effect.detectable, unit),
                each.role if each.is_enough else "no claim",
            ]
        shown.add_row(*cells)
    return shown


def heading(first: Comparison, question: Question, *, split: str, clustered: bool) -> str:
    """Which runs are compared, and what counts as a patient."""
    how = "paired, branches of one trunk" if first.paired else "independent"
    who = "by the table of patients" if clustered else "each case its own"
    seeds = f"{_seeds(first)} ({how})"
    return (
        f"{question.b} (B) against {question.a} (A), {split} split: {seeds}, "
        f"{counted(first.of, 'independent patient')} ({who})"
    )


def _seeds(first: Comparison) -> str:
    """`1 and 3 seeds`, or `1 seed each`."""
    a, b = first.seeds
    return f"{counted(a, 'seed')} each" if a == b else f"{a} and {counted(b, 'seed')}"


def verdict(first: Comparison, question: Question) -> str:
    """What may be said of the metric in question, in one or two sentences."""
    if not first.is_enough:
        return (
            f"No claim: {_seeds(first)}, {counted(first.patients, 'independent patient')}. "
            f"A claim between settings needs at least {MIN_SEEDS} seeds of each and "
            f"{MIN_PATIENTS} patients."
        )
    effect, unit = first.effect, first.unit
    size = f"{_number(abs(effect.difference), unit)}{'' if unit == '1' else ' ' + unit}"
    interval = f"95 % CI {spell_interval(effect.ci_low, effect.ci_high, unit)}"
    if effect.p < 1 - LEVEL:
        side = "higher" if effect.difference > 0 else "lower"
        said = f"{first.metric} is {side} by {size} with {question.b} ({interval})."
    else:
        said = (
            f"no difference shown in {first.metric} ({interval}); one of "
            f"{_number(effect.detectable, unit)} would be found in 4 of 5 such studies."
        )
    if first.role == "declared":
        return f"Claim, declared before the run: {said}"
    return f"Exploratory, not declared before the run: {said} Declare it and run anew to claim it."


def records(found: Sequence[Comparison], question: Question) -> list[dict[str, Any]]:
    """For programs: a record a metric; what is undefined is None."""
    rows = []
    for each in found:
        row = {"a": question.a, "b": question.b, **asdict(each), "enough": each.is_enough}
        row |= row.pop("effect")
        rows.append({k: None if _is_nan(v) else v for k, v in row.items()})
    return rows


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _number(value: float, unit: str) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits(unit)}f}"
