"""The promotion gate: what a model must not be, with the numbers in the message."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data_prep.errors import PctError
from data_prep.words import apart, counted
from pct.metrics.leak import LEAK_LIMIT
from pct.metrics.names import METRICS
from pct.scoring.cohort import DIGITS

MARGINS = {
    "mae_head": ("relative", 0.05),
    "edge_bone": ("relative", 0.05),
    "ssim_masked": ("absolute", 0.01),
    "dice_hu250": ("absolute", 0.01),
}
"""How much worse than the champion a model may be, on paired means over validation cases."""

WHERE_BOTH = {"dice_skull": ("absolute", 0.01)}
"""The same of scores that not every table has: held to where model and champion have them."""

LEAK = "mr_leak"
"""|correlation| of the pseudo-CT's soft-tissue detail with the MR's, less that of the CT's."""

LEAK_MARGIN = 0.1
"""How much more than the champion a model may leak. A champion below 0 counts as 0: to follow the
MR less than the CT does is no merit, a blurred image does."""

COMPARED_IN = ("split_sha", "metric_version", "mask_backend", "geometry", "background")
"""What the scores of model and champion must agree in."""

ENOUGH = 3
"""Validation cases below which the gate cannot tell."""

SHOWN = 5
"""Cases named in a message."""


class Refused(PctError):
    """A promotion, or a way back, that is not gone; nothing is changed."""


@dataclass(frozen=True)
class Cases:
    """Whom a model has learnt from, and its data's cases that may judge it."""

    trained_on: Collection[str]
    """With those of the model that it started from."""
    val: Collection[str]
    test: Collection[str]
    id_key: str
    """What the ids of `val` and `test` were made with."""
    id_keys: Collection[str]
    """What those of `trained_on` were made with: only ids of one key can be compared."""


def objections(own: pd.DataFrame, champion: pd.DataFrame | None, *, cases: Cases) -> list[str]:
    """Why a trial with validation scores `own` may not become champion; nothing when it may.

    `champion` holds the champion's validation scores, None before the first promotion. Only scores
    of one split, one version of the metrics and one way to predict are compared, case by case.
    """
    problems = [*_seen(cases), *_gaps(own, cases.val), *_leaks(own)]
    if champion is None:
        return problems
    return problems + (list(_of_another_kind(own, champion)) or _worse(own, champion))


def gate(trial: str, problems: Sequence[str], *, force: bool, note: str) -> list[str]:
    """Raise `Refused` with all problems, unless forced with a note; those overridden."""
    if force and not note:
        raise Refused("--force needs a --note that says why, for the record.")
    if problems and not force:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise Refused(
            f"{trial} is not promoted:{listed}\nTo promote it all the same: --force --note WHY."
        )
    return list(problems)


def _seen(cases: Cases) -> Iterator[str]:
    """Who may judge or test the model must not have taught it."""
    judges: tuple[tuple[str, Collection[str]], ...] = (
        ("its validation", cases.val),
        ("the test", cases.test),
    )
    for whose, judging in judges:
        if seen := sorted(set(judging) & set(cases.trained_on)):
            yield f"was trained on {len(seen)} of {whose} cases: {_named(seen)}"
    if strange := sorted(set(cases.id_keys) - {cases.id_key}):
        yield (
            f"started from a model whose cases have ids by another key ({', '.join(strange)}; "
            f"here {cases.id_key}): nobody can tell whether it has seen validation or test cases"
        )


def _gaps(own: pd.DataFrame, val: Collection[str]) -> Iterator[str]:
    """Scores that are missing or undefined, metrics with the same gap told together."""
    missing: dict[tuple[str, ...], list[str]] = {}
    undefined: dict[tuple[str, ...], list[str]] = {}
    optional = [name for name in WHERE_BOTH if name in set(own["metric"])]
    for metric in (*MARGINS, LEAK, *optional):
        rows = own[own["metric"] == metric]
        without = tuple(sorted(set(val) - set(rows["case"])))
        odd = tuple(sorted(rows.loc[~np.isfinite(rows["value"]), "case"]))
        for found, gap in ((missing, without), (undefined, odd)):
            if gap:
                found.setdefault(gap, []).append(metric)
    for words, found in (("no", missing), ("undefined", undefined)):
        for gap, metrics in found.items():
            where = f"{len(gap)} of {counted(len(val), 'validation case')}: {_named(gap)}"
            yield f"{words} 3D scores for {', '.join(metrics)} on {where}"


def _leaks(own: pd.DataFrame) -> Iterator[str]:
    """A model that paints the MR's soft-tissue detail into the pseudo-CT, as low alphas do."""
    leak = own.loc[own["metric"] == LEAK, "value"].clip(lower=0.0).mean()
    if leak > LEAK_LIMIT:
        shown, limit = apart(leak, LEAK_LIMIT, places=2)
        yield (
            f"{LEAK} {shown}, at most {limit}: the pseudo-CT follows the MR's soft tissue more "
            "closely than the CT does"
        )


def _of_another_kind(own: pd.DataFrame, champion: pd.DataFrame) -> Iterator[str]:
    for column in COMPARED_IN if len(own) else ():
        if set(own[column]) != set(champion[column]):
            yield (
                f"{column} differs from the champion's: {_shown(own, column)} against "
                f"{_shown(champion, column)}, so their scores cannot be compared"
            )


def _worse(own: pd.DataFrame, champion: pd.DataFrame) -> list[str]:
    pairs = own.merge(champion, on=["case", "metric"], suffixes=("", "_champion"))
    scored = [metric for metric in (*MARGINS, LEAK) if metric in set(own["metric"])]
    paired = min([(pairs["metric"] == metric).sum() for metric in scored], default=ENOUGH)
    if paired < ENOUGH:
        return [
            f"{counted(paired, 'validation case')} in common with the champion, at least "
            f"{ENOUGH} are needed to tell which is better"
        ]
    problems = []
    pairs = pairs[np.isfinite(pairs["value"])]  # what is undefined has been told
    for metric in (*scored, *WHERE_BOTH):
        rows, enough = pairs[pairs["metric"] == metric], 1
        if metric in WHERE_BOTH:
            rows, enough = rows[np.isfinite(rows["value_champion"])], ENOUGH
        if len(rows) >= enough:
            new, old = rows["value"].mean(), rows["value_champion"].mean(skipna=False)
            problems += _beyond(metric, new, old)
    return problems


def _beyond(metric: str, new: float, old: float) -> list[str]:
    """A mean beyond its margin of the champion's."""
    if not np.isfinite(old):
        return [f"the champion's {metric} is undefined, so nobody can tell which is better"]
    lower = not METRICS[metric].higher_is_better
    limit = _limit(metric, old)
    if new <= limit if lower else new >= limit:
        return []
    places = 2 if metric == LEAK else DIGITS.get(METRICS[metric].unit, 4)
    shown, bound = apart(new, limit, places=places)
    word = "at most" if lower else "at least"
    return [f"{metric} {shown} against the champion's {old:.{places}f}, {word} {bound}"]


def _limit(metric: str, old: float) -> float:
    if metric == LEAK:
        return max(old, 0.0) + LEAK_MARGIN
    kind, margin = (MARGINS | WHERE_BOTH)[metric]
    return old * (1 + margin) if kind == "relative" else old - margin


def _named(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
    return ", ".join(cases[:SHOWN]) + more


def _shown(scores: pd.DataFrame, column: str) -> str:
    return ", ".join(sorted({str(value)[:12] for value in scores[column]})) or "none"
