"""What a point of a search is worth: the values of its best leaf, by outcomes and histories."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pct.config import Run
from sweeps import spool
from sweeps.job import Job, Outcome, read_outcome
from sweeps.search.space import Search

LOOKED_AT = 5
"""Validations whose median counts: the best single epoch is mostly luck."""


@dataclass(frozen=True)
class Verdict:
    """The best leaf of a point and its values; without a leaf, why there is none."""

    leaf: str | None
    values: dict[str, float]
    """Every objective and every constrained metric."""
    reason: str = ""
    final: bool = True
    """False where no leaf has finished: trying again may give another verdict."""


def judge(jobs: Sequence[Job], search: Search) -> Verdict:
    """The best finished leaf: one within the constraints first, then by the first objective.

    A leaf that failed, or one of whose values is not finite, does not count.
    """
    metrics = dict.fromkeys((*search.objectives, *search.constrain))
    found: list[Verdict] = []
    for job in jobs:
        outcome = read_outcome(job)
        if outcome is None:
            continue  # another leaf is the same run, or it broke off
        if outcome.status == "FAILED":
            found.append(Verdict(None, {}, f"{job.leaf}: {outcome.reason}"))
            continue
        values = {name: leaf_value(job, outcome, name) for name in metrics}
        lacking = [name for name, value in values.items() if not math.isfinite(value)]
        reason = f"{job.leaf}: no finite {', '.join(lacking)}" if lacking else ""
        found.append(Verdict(None if lacking else job.leaf, {} if lacking else values, reason))
    good = [verdict for verdict in found if verdict.leaf]
    if good:
        return min(good, key=lambda verdict: _rank(verdict.values, search))
    reasons = "; ".join(verdict.reason for verdict in found) or "no leaf has ended"
    return Verdict(None, {}, reasons, final=has_finished(jobs))


def has_finished(jobs: Sequence[Job]) -> bool:
    """Whether one of the leaves has finished."""
    return any(found.status == "FINISHED" for job in jobs if (found := read_outcome(job)))


def has_failed(jobs: Sequence[Job]) -> bool:
    """Whether one of the leaves broke off."""
    return any(found.status == "FAILED" for job in jobs if (found := read_outcome(job)))


def leaf_value(job: Job, outcome: Outcome, metric: str) -> float:
    """`val3d/...`: the final score. `val/...`: the median of the last 5 looks after the fork.

    NaN where the leaf has none.
    """
    if metric.startswith("val3d/"):
        return outcome.final.get(metric, math.nan)
    looks = {
        line["epoch"]: line["metrics"].get(metric, math.nan) for line in spool.epochs(job.spool)
    }
    since = forked_at(job.run, outcome.epochs)
    own = [looks[epoch] for epoch in sorted(looks) if since < epoch <= outcome.epochs]
    last = own[-LOOKED_AT:]
    return median(last) if last and all(map(math.isfinite, last)) else math.nan


def forked_at(run: Run, epochs: int) -> int:
    """Finished epochs at the last change of a schedule or of the warm-up before `epochs`."""
    changes = {run.warmup_epochs} | {key for _, steps in run.schedule for key, _ in steps}
    return max((change for change in changes if change < epochs), default=0)


def excess(values: dict[str, float], search: Search) -> dict[str, float]:
    """How far each constrained metric lies above its bound; 0 and below is within."""
    return {name: values[name] - most for name, most in search.constrain.items()}


def feasible(values: dict[str, float], search: Search) -> bool:
    """Whether no bound is exceeded."""
    return all(above <= 0 for above in excess(values, search).values())


def _rank(values: dict[str, float], search: Search) -> tuple[bool, list[float]]:
    signed = [values[n] for n in search.minimise] + [-values[n] for n in search.maximise]
    return not feasible(values, search), signed
