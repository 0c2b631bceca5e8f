"""Differences of every setting from one, by the rules of claims: no p below 3 seeds, 6 patients.

Two trainings are compared nowhere by a test over cases: that would call two seeds of one setting
different in half of all studies.
"""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from dashboards.load import Sweep
from dashboards.markup import UNKNOWN, html_table, note, subheading
from dashboards.pictures.choose import best_first
from dashboards.scores.tables import MAIN, metric_header
from pct.scoring.claims import MIN_PATIENTS, MIN_SEEDS, Comparison
from pct.scoring.cohort import MixedScores, digits, spell_count, spell_interval
from pct.scoring.declared import Question, declared_in
from pct.scoring.pairs import signed, spell_p
from pct.scoring.settings import NoSuchRuns, named, weigh

HEADERS = ("metric", "setting", "seeds", "patients", "mean", "difference")
OF_CLAIMS = ("A/A spread", "95 % CI", "p", "p (Holm)")
"""Columns that are there only where some setting has seeds and patients enough."""

MOST_SETTINGS = 24
"""Settings that are compared with the first; of more than that those with the best runs."""

Found = tuple[str, Comparison]
"""A setting, and how it compares with the reference in one metric."""


def differences_html(sweep: Sweep, scores: pd.DataFrame) -> str:
    """A table of the main metrics; "" with a single setting.

    `scores` are of one split and comparable. The reference is the declared claim's A, else the
    setting of the first trial. A setting that is the same runs under another name is left out.
    """
    declared = declared_in(sweep.folder)
    parts = {str(name): rows for name, rows in scores.groupby(scores["trial"].map(_setting))}
    runs = _runs_of(sweep, list(scores["trial"].unique()))
    wanted = [declared.a, declared.b] if declared else []
    order = dict.fromkeys([*wanted, *(_setting(run.trial) for run in sweep.runs), *parts])
    distinct = {runs[name]: name for name in reversed(list(order)) if name in parts}
    first, *others = [name for name in order if name in distinct.values()]
    if not others:
        return ""
    shown = _best(sweep, others, wanted)
    try:
        found = _compared(sweep, parts, first, shown)
    except (NoSuchRuns, MixedScores) as error:
        return note(f"Differences cannot be told: {error}")
    metrics = list(dict.fromkeys(each.metric for _, each in found))
    found.sort(key=lambda pair: metrics.index(pair[1].metric))
    claims = any(each.is_enough for _, each in found)
    heads = [*HEADERS, *(OF_CLAIMS if claims else ()), "kind"]
    title = f"Differences from {first}"
    table = html_table(heads, list(_rows(found, claims)), numeric=True, caption=title)
    return subheading(title) + table + note(_rule(claims) + _left_out(sweep, shown, others))


def _best(sweep: Sweep, others: Sequence[str], declared: Sequence[str]) -> list[str]:
    """The declared settings and those of the best runs, at most `MOST_SETTINGS`, in their order."""
    ranked = dict.fromkeys([*declared, *(_setting(run.trial) for run in best_first(sweep))])
    chosen = [name for name in ranked if name in set(others)][:MOST_SETTINGS]
    few = len(others) <= MOST_SETTINGS
    return [name for name in others if few or name in chosen]


def _left_out(sweep: Sweep, shown: Sequence[str], others: Sequence[str]) -> str:
    if len(shown) == len(others):
        return ""
    return (
        f" Shown are the best {len(shown)} of {len(others)} settings by "
        f"{sweep.info['select']['metric']}; `pct claim` compares any two."
    )


def _setting(trial: object) -> str:
    return named(str(trial))[0]


def _runs_of(sweep: Sweep, scored: Sequence[str]) -> dict[str, frozenset[str]]:
    """Setting -> the runs that it is."""
    same = {trial.trial: trial.same_as or trial.trial for trial in sweep.trials}
    found: dict[str, set[str]] = {}
    for trial in scored:
        found.setdefault(_setting(trial), set()).add(same.get(trial, trial))
    return {setting: frozenset(runs) for setting, runs in found.items()}


def _compared(
    sweep: Sweep, parts: dict[str, pd.DataFrame], a: str, others: Sequence[str]
) -> list[Found]:
    """The main metrics. Others count for Holm where there are seeds enough for a p at all."""
    declared = declared_in(sweep.folder)
    seeds = {name: rows["trial"].nunique() for name, rows in parts.items()}
    main = {name: rows[rows["metric"].isin(MAIN)] for name, rows in parts.items()}
    found: list[Found] = []
    for b in others:
        is_declared = declared is not None and (declared.a, declared.b) == (a, b)
        enough = min(seeds[a], seeds[b]) >= MIN_SEEDS
        own = pd.concat([(parts if enough or is_declared else main)[name] for name in (a, b)])
        on = _metric_in_question(sweep, own, declared)
        if on is not None:
            told = weigh(own, Question(a, b, on), declared=is_declared)
            found += [(b, each) for each in told if each.metric in {*MAIN, on}]
    return found


def _metric_in_question(
    sweep: Sweep, scores: pd.DataFrame, declared: Question | None
) -> str | None:
    """The declared one for all settings; without it the one that selects, if it was scored."""
    known = set(scores["metric"])
    chosen = sweep.info["select"]["metric"].removeprefix("val/")
    wanted = [declared.on] if declared else []
    return next((name for name in (*wanted, chosen, *MAIN) if name in known), None)


def _rows(found: Sequence[Found], claims: bool) -> Iterator[list[str]]:
    before = ""
    for setting, each in found:
        unit, effect, enough = each.unit, each.effect, each.is_enough
        row = [
            "" if each.metric == before else metric_header(each.metric, unit),
            setting,
            f"{each.seeds[0]} and {each.seeds[1]}",
            spell_count(each.patients, each.of),
            _number(each.b_mean, unit),
            signed(effect.difference, unit),
        ]
        if claims:
            row += [
                _number(each.aa_spread, unit),
                spell_interval(effect.ci_low, effect.ci_high, unit) if enough else "",
                spell_p(effect.p) if enough and each.primary else "",
                spell_p(each.p_holm) if enough and not each.primary else "",
            ]
        yield [*row, each.role if enough else "no claim"]
        before = each.metric


def _number(value: float, unit: str) -> str:
    return UNKNOWN if math.isnan(value) else f"{value:.{digits(unit)}f}"


def _rule(claims: bool) -> str:
    rule = (
        f"No p and no interval below {MIN_SEEDS} seeds of each setting or {MIN_PATIENTS} "
        "independent patients. "
    )
    if not claims:
        return rule + "A difference of single trainings is theirs, not their settings'."
    return rule + (
        "Intervals and p are those of `pct claim`: a bootstrap over seeds and patients, where each "
        "case counts as a patient. p is that of the metric in question; of the others it is raised "
        "by Holm over the metrics, and nothing is over the settings. The A/A spread is what two "
        "seeds of one setting differ by. Whatever was not declared before the run is exploratory."
    )
