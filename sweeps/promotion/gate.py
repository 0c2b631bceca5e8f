"""The promotion gate: what a model must not be, with the numbers in the message."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from data_prep.errors import PctError
from pct.metrics.leak import LEAK_LIMIT

MARGINS = {
    "mae_head": ("relative", 0.05),
    "edge_bone": ("relative", 0.05),
    "ssim_masked": ("absolute", 0.01),
    "dice_hu250": ("absolute", 0.01),
}
"""How much worse than the champion a model may be, on paired means over validation cases."""

LEAK = "mr_leak"
"""|correlation| of the pseudo-CT's soft-tissue detail with the MR's, less that of the CT's."""

ENOUGH = 3
"""Validation cases below which the gate cannot tell."""


class Refused(PctError):
    """A model that the gate does not let through."""


def objections(
    own: pd.DataFrame, champion: pd.DataFrame | None, *, learnt_from: Collection[str] = ()
) -> list[str]:
    """Why a trial with validation scores `own` may not become champion; nothing when it may.

    `champion` holds the champion's validation scores, None before the first promotion. Both must
    come from one split and one version of the metrics. `learnt_from` are the cases that the model,
    or the one it started from, was trained on: none of them may have judged it.
    """
    if leaked := sorted(set(own["case"]) & set(learnt_from)):
        return [f"was trained on {len(leaked)} of its validation cases: {', '.join(leaked[:5])}"]
    missing = [name for name in (*MARGINS, LEAK) if name not in set(own["metric"])]
    if missing:
        return [f"no 3D scores for {', '.join(missing)}"]
    odd = own[own["metric"].isin([*MARGINS, LEAK]) & ~np.isfinite(own["value"])]
    if len(odd):
        return [f"undefined 3D scores: {', '.join(sorted(set(odd['metric'])))}"]
    leaks = _leaks(own)
    if champion is None:
        return leaks
    for column in ("split_sha", "metric_version", "mask_backend", "geometry", "background"):
        if set(own[column]) != set(champion[column]):
            return [
                f"{column} differs from the champion's: {_shown(own, column)} against "
                f"{_shown(champion, column)}"
            ]
    return leaks + _worse(own, champion)


def _leaks(own: pd.DataFrame) -> list[str]:
    """A model that paints the MR's soft-tissue detail into the pseudo-CT, as low alphas do."""
    leak = own.loc[own["metric"] == LEAK, "value"].mean()
    if leak <= LEAK_LIMIT:
        return []
    return [
        f"{LEAK} {leak:.2f}, at most {LEAK_LIMIT}: the pseudo-CT follows the MR's soft tissue more "
        "closely than the CT does"
    ]


def _worse(own: pd.DataFrame, champion: pd.DataFrame) -> list[str]:
    pairs = own.merge(champion, on=["case", "metric"], suffixes=("", "_champion"))
    problems = []
    for metric, (kind, margin) in MARGINS.items():
        rows = pairs[pairs["metric"] == metric]
        if len(rows) < ENOUGH:
            return [
                f"{len(rows)} validation cases in common with the champion, at least "
                f"{ENOUGH} are needed"
            ]
        new, old = rows["value"].mean(), rows["value_champion"].mean()
        limit = old * (1 + margin) if kind == "relative" else old - margin
        holds = new <= limit if kind == "relative" else new >= limit
        if not holds:  # also where one of them is undefined
            problems.append(
                f"{metric} {new:.4g} against the champion's {old:.4g} (limit {limit:.4g})"
            )
    return problems


def gate(
    trial: str,
    own: pd.DataFrame,
    champion: pd.DataFrame | None,
    *,
    learnt_from: Collection[str],
    force: bool,
    note: str,
) -> list[str]:
    """Raise `Refused` with the numbers, unless forced with a note; the objections overridden."""
    problems = objections(own, champion, learnt_from=learnt_from)
    if problems and not (force and note):
        hint = (
            "--force needs a --note that says why"
            if force
            else "To promote it all the same: --force --note WHY"
        )
        raise Refused(f"{trial} is not promoted: {'; '.join(problems)}. {hint}.")
    return problems


def _shown(scores: pd.DataFrame, column: str) -> str:
    return ", ".join(sorted({str(value)[:12] for value in scores[column]}))
