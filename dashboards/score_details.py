"""Scores in full: n, SD and interval of each trial, and differences between settings.

Weights are compared case by case nowhere here: a p needs seeds and independent patients, and
settings with too few of them get their difference and the words "no claim".
"""

import math
from collections.abc import Iterator
from typing import Any, cast

import pandas as pd

from dashboards.load import Sweep
from dashboards.markup import UNKNOWN, counted, folded, html_table, note, subheading
from dashboards.tables import comparable, metric_header, score_names, without_twins
from pct.scoring.claims import MIN_PATIENTS, MIN_SEEDS, Comparison
from pct.scoring.cohort import (
    SHOWN,
    MixedScores,
    cohort,
    digits,
    spell_count,
    spell_interval,
    without_curves,
)
from pct.scoring.declared import Question, declared_in
from pct.scoring.pairs import signed, spell_p
from pct.scoring.settings import NoSuchRuns, named, weigh

MAIN = (*SHOWN, "dice_skull")
"""Metrics shown of sweeps with many trials; the others are in scores.parquet."""

FEW_TRIALS = 8
HEADERS = ("trial", "n", "mean", "SD", "95 % CI of the mean")
GAPS = ("metric", "setting", "seeds", "patients", "mean", "difference", "95 % CI", "A/A spread",
        "p", "p (Holm)", "kind")  # fmt: skip


def details_html(sweep: Sweep) -> str:
    """A folded table a metric of the validation scores, then differences against one setting."""
    scores = sweep.scores[sweep.scores["split"] == "val"]
    scores = without_curves(without_twins(sweep, scores))
    if scores.empty:
        return ""
    names = score_names(sweep, scores)
    parts: list[str] = []
    for title, part in comparable(scores, where="val"):
        parts.append(subheading(f"Each trial{title}") + _metrics(part, names))
        parts.append(_gaps(sweep, part))
    return "".join(parts)


def _metrics(scores: pd.DataFrame, names: dict[str, str]) -> str:
    many = scores["trial"].nunique() > FEW_TRIALS
    shown = scores[scores["metric"].isin(MAIN)] if many else scores
    parts = []
    for metric, rows in cohort(shown).groupby("metric", sort=False):
        unit = rows["unit"].iloc[0]
        table = html_table(
            HEADERS, [_row(row, names) for row in cast(Any, rows.itertuples())], numeric=True,
            caption=f"{metric} of each trial",
        )  # fmt: skip
        parts.append(folded(metric_header(metric, unit), table, is_open=not parts))
    rest = scores["metric"].nunique() - shown["metric"].nunique()
    more = f" {counted(rest, 'more metric')} in scores.parquet." if rest else ""
    return "".join(parts) + note(
        "SD with n - 1. Intervals are percentiles of a bootstrap over cases: they describe these "
        "cases and one training each, and support no claim between settings." + more
    )


def _row(row: Any, names: dict[str, str]) -> list[str]:
    places = digits(row.unit)
    return [
        names.get(row.trial, row.trial),
        spell_count(row.n, row.of),
        number(row.mean, places),
        number(row.sd, places),
        spell_interval(row.ci_low, row.ci_high, row.unit),
    ]


def number(value: float, places: int) -> str:
    """With so many decimals; a dash where it is undefined."""
    return UNKNOWN if math.isnan(value) else f"{value:.{places}f}"


def reference(sweep: Sweep, scores: pd.DataFrame) -> str | None:
    """The setting that others are compared with: the declared claim's A, else the first trial's."""
    settings = list(dict.fromkeys(named(str(trial))[0] for trial in scores["trial"]))
    declared = declared_in(sweep.folder)
    wanted = [declared.a] if declared else []
    wanted += [named(run.trial)[0] for run in sweep.runs]
    return next((name for name in wanted if name in settings), None)


def _gaps(sweep: Sweep, scores: pd.DataFrame) -> str:
    """Differences of every other setting from the reference; none with a single setting."""
    first = reference(sweep, scores)
    others = list(dict.fromkeys(named(str(trial))[0] for trial in scores["trial"]))
    others = [name for name in others if name != first]
    if first is None or not others:
        return ""
    try:
        found = [
            (other, each) for other in others for each in _compared(sweep, scores, first, other)
        ]
    except (NoSuchRuns, MixedScores) as error:
        return note(f"Differences cannot be told: {error}")
    order = list(dict.fromkeys(each.metric for _, each in found))
    found.sort(key=lambda pair: order.index(pair[1].metric))
    table = html_table(
        GAPS, list(_gap_rows(found)), numeric=True, caption=f"Differences from {first}"
    )
    return subheading(f"Differences from {first}") + table + note(_rule(found))


def _compared(sweep: Sweep, scores: pd.DataFrame, a: str, b: str) -> list[Comparison]:
    """The main metrics. Others count for Holm where there are seeds enough for a p at all."""
    own = scores[[named(str(trial))[0] in (a, b) for trial in scores["trial"]]]
    seeds = own.groupby(own["trial"].map(lambda trial: named(str(trial))[0]))["trial"].nunique()
    if seeds.min() < MIN_SEEDS:
        own = own[own["metric"].isin(MAIN)]
    declared = declared_in(sweep.folder)
    is_declared = declared is not None and {declared.a, declared.b} == {a, b}
    shared = [m for m in MAIN if m in set(own["metric"])]
    on = declared.on if declared and is_declared else _first_aim(sweep, shared)
    if on is None:
        return []
    question = Question(a, b, on)
    found = weigh(own, question, declared=is_declared and question == declared)
    return [each for each in found if each.metric in {*MAIN, on}]


def _first_aim(sweep: Sweep, metrics: list[str]) -> str | None:
    chosen = sweep.info["select"]["metric"].removeprefix("val/")
    return chosen if chosen in metrics else next(iter(metrics), None)


def _gap_rows(found: list[tuple[str, Comparison]]) -> Iterator[list[str]]:
    before = ""
    for setting, each in found:
        unit, effect = each.unit, each.effect
        enough = each.is_enough
        yield [
            "" if each.metric == before else metric_header(each.metric, unit),
            setting,
            f"{each.seeds[0]} and {each.seeds[1]}",
            spell_count(each.patients, each.of),
            number(each.b_mean, digits(unit)),
            signed(effect.difference, unit),
            spell_interval(effect.ci_low, effect.ci_high, unit) if enough else "",
            number(each.aa_spread, digits(unit)),
            spell_p(effect.p) if enough and each.primary else "",
            spell_p(each.p_holm) if enough and not each.primary else "",
            each.role if enough else "no claim",
        ]
        before = each.metric


def _rule(found: list[tuple[str, Comparison]]) -> str:
    rule = (
        f"No p and no interval below {MIN_SEEDS} seeds of each setting or {MIN_PATIENTS} "
        "independent patients. "
    )
    if any(each.is_enough for _, each in found):
        rule += (
            "Intervals and p are those of `pct claim`: a bootstrap over seeds and patients. "
            "Whatever was not declared before the run is exploratory. "
        )
    unknown = "each case counts as a patient; pass a table of patients to `pct claim` otherwise."
    return rule + "The A/A spread is what two seeds of one setting differ by; " + unknown
