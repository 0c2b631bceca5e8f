"""The claim of a recipe: which two of its trials it was written to compare. Light and pure."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from pct.config import suggest
from pct.scoring.declared import Question


def parse_claim(given: Any, problems: list[str]) -> Question | None:
    """`claim: {a: exp2, b: exp1, on: ssim_masked}` of a recipe; None where it has none."""
    keys = {field.name for field in fields(Question)}
    if given is None:
        return None
    if not isinstance(given, Mapping) or set(given) != keys or given["a"] == given["b"]:
        problems.append(f"claim: expected {{a: TRIAL, b: OTHER, on: METRIC}}, found {given!r}.")
        return None
    return Question(**{name: str(value) for name, value in given.items()})


def check_claim(claim: Question | None, leaves: Sequence[str], problems: list[str]) -> None:
    """Whether both sides of a claim are trials, named without their seeds."""
    names = list(dict.fromkeys(leaf.partition("@")[0] for leaf in leaves))
    for side in (claim.a, claim.b) if claim and names else ():
        if side not in names:
            problems.append(f"claim: no trial {side!r}{suggest(side, names)}")
