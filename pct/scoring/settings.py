"""From a table of scores to a comparison of two settings: runs by seed, cases by patient."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from data_prep.errors import PctError
from pct.config import suggest
from pct.metrics.names import METRICS
from pct.scoring.claims import (
    MIN_PATIENTS,
    MIN_SEEDS,
    Comparison,
    Effect,
    Matrix,
    aa_spread,
    compare,
    holm,
)
from pct.scoring.cohort import CURVE, refuse_mixtures
from pct.scoring.declared import Question, declared_in
from pct.scoring.rows import read_rows

_TRIAL = re.compile(r"(?P<setting>.+?)(@s(?P<seed>\d+))?(@\d+)?")
"""`exp3.keep@s1`, or `exp3.keep@s1@40` of a model folder: with the epoch of its weights."""

_CASE, _PATIENT = ("case", "subject"), ("patient", "base", "donor")
"""Columns of a table of patients, by any of these names."""

Arms = tuple[pd.DataFrame, pd.DataFrame]
"""The rows of setting A and of setting B, with a column `seed`."""


class NoSuchRuns(PctError):
    """Settings, metrics or splits that a table of scores does not hold."""


class BadPatients(PctError):
    """A table of patients that does not say who is who."""


def named(trial: str) -> tuple[str, str]:
    """Setting and seed of a trial, by its name; without a seed in the name it is ""."""
    found = _TRIAL.fullmatch(trial)
    assert found
    return found["setting"], found["seed"] or ""


def same_trunk(a: str, b: str) -> bool:
    """Whether two settings are branches of one trial, as exp3.keep and exp3.drop are."""
    return "." in a and "." in b and a.partition(".")[0] == b.partition(".")[0]


@dataclass(frozen=True)
class Asked:
    """A question, the scores that shall answer it, and whether it was put before them."""

    question: Question
    scores: pd.DataFrame
    declared: bool


def ask(table: Path, settings: Sequence[str], *, on: str | None, split: str) -> Asked:
    """The question of a command line, or that of the recipe, to the scores of one split.

    `table` is a table of scores or the folder of a sweep. Without settings and metric the question
    is the declared one; any other is exploratory.
    """
    path = table / "scores.parquet" if table.is_dir() else table
    declared = declared_in(path.parent)
    question = _question(declared, settings, on, path.parent)
    scores = read_rows(path)
    if scores.empty:
        raise NoSuchRuns(f"{path}: no scores there. `pct sweep` and `pct score` write them.")
    own = scores[scores["split"] == split]
    if own.empty:
        found = ", ".join(sorted(scores["split"].unique()))
        raise NoSuchRuns(f"{path}: no scores of the {split} split, only {found}. Give --split.")
    return Asked(question, own, declared=question == declared)


def _question(
    declared: Question | None, settings: Sequence[str], on: str | None, folder: Path
) -> Question:
    if len(settings) not in (0, 2):
        raise NoSuchRuns(f"{' '.join(settings)}: expected two settings, as in exp1 exp2, or none.")
    a, b = settings or ((declared.a, declared.b) if declared else (None, None))
    on = on or (declared.on if declared else None)
    if a is None or b is None or on is None:
        raise NoSuchRuns(
            f"{folder}: no claim was declared there. Name settings and metric, as in exp1 exp2 "
            "--on ssim_masked; the recipe of the next sweep may hold `claim: {a, b, on}`."
        )
    if a == b:
        raise NoSuchRuns(f"{a} against itself: its seeds differ by the A/A spread of any claim.")
    return Question(a, b, on)


def weigh(
    scores: pd.DataFrame,
    question: Question,
    *,
    declared: bool = False,
    patient_of: Mapping[str, str] | None = None,
) -> list[Comparison]:
    """Compare two settings in every metric they share, the one in question first.

    `scores` are of one split; mixed ones are refused as in `cohort`. The metric in question keeps
    its p; the others are secondary, adjusted together by Holm and exploratory in any case, as all
    is unless `declared`. `patient_of` maps a case to the head or donor it was made from; else each
    is a patient. A case that some run lacks, or where its score is undefined, is left out for all.
    """
    arms = (_runs(scores, question.a), _runs(scores, question.b))
    refuse_mixtures(pd.concat(arms))
    shared = [m for m in arms[0]["metric"].unique() if m in set(arms[1]["metric"])]
    if question.on not in shared:
        raise NoSuchRuns(
            f"no scores in {question.on!r} of both {question.a} and {question.b}"
            f"{suggest(question.on, shared)}"
        )
    shared = [question.on, *(m for m in shared if m != question.on and _is_an_aim(m))]
    found = [_comparison(arms, metric, question, declared, patient_of) for metric in shared]
    return _adjusted(found)


def _is_an_aim(metric: str) -> bool:
    """Whether it stands for itself and one value of it is better than another.

    Points of a curve and descriptions of an image are compared only where they are in question:
    each more would raise Holm's p of all others.
    """
    known = METRICS.get(metric)
    is_point = metric.startswith(CURVE)
    return not is_point and (known is None or known.higher_is_better is not None)


def _adjusted(found: list[Comparison]) -> list[Comparison]:
    secondary = [each for each in found if not each.primary and each.is_enough]
    raised = holm([each.effect.p for each in secondary])
    by_metric = {each.metric: p for each, p in zip(secondary, raised, strict=True)}
    return [replace(each, p_holm=by_metric.get(each.metric, math.nan)) for each in found]


def _runs(scores: pd.DataFrame, setting: str) -> pd.DataFrame:
    """The rows of a setting, with a column `seed`."""
    names = {trial: named(str(trial)) for trial in scores["trial"].unique()}
    own = [trial for trial, (found, _) in names.items() if found == setting]
    if not own:
        known = sorted({found for found, _ in names.values()})
        raise NoSuchRuns(
            f"no scores of a setting {setting!r}{suggest(setting, known)} A setting is a trial's "
            "name without its @seed."
        )
    seeds = [names[trial][1] for trial in own]
    for seed in seeds:
        twice = [str(trial) for trial in own if names[trial][1] == seed]
        if len(twice) > 1:
            raise NoSuchRuns(
                f"{' and '.join(twice)} are one seed of {setting}, scored twice. Compare tables "
                "that hold each run once."
            )
    rows = scores[scores["trial"].isin(own)]
    return rows.assign(seed=rows["trial"].map(lambda trial: names[trial][1]))


def _comparison(
    arms: Arms,
    metric: str,
    question: Question,
    declared: bool,
    patient_of: Mapping[str, str] | None,
) -> Comparison:
    runs = _matrices(arms, metric, patient_of)
    a, b = runs.a, runs.b
    paired = same_trunk(question.a, question.b) and runs.seeds_agree
    enough = min(len(a), len(b)) >= MIN_SEEDS and a.shape[1] >= MIN_PATIENTS
    primary = metric == question.on
    a_mean, b_mean = (float(each.mean()) if each.size else math.nan for each in (a, b))
    return Comparison(
        metric=metric,
        unit=str(arms[0].loc[arms[0]["metric"] == metric, "unit"].iloc[0]),
        role="declared" if declared and primary else "exploratory",
        primary=primary,
        seeds=(len(a), len(b)),
        paired=paired,
        patients=a.shape[1],
        of=runs.of,
        a_mean=a_mean,
        b_mean=b_mean,
        effect=compare(a, b, paired=paired) if enough else Effect(b_mean - a_mean, *[math.nan] * 4),
        aa_spread=aa_spread(a, b) if a.size else math.nan,
    )


@dataclass(frozen=True)
class _Runs:
    """One metric of two settings, on the patients whose scores are defined in every run."""

    a: Matrix
    b: Matrix
    seeds_agree: bool
    of: int
    """Patients, those left out included."""


def _matrices(arms: Arms, metric: str, patient_of: Mapping[str, str] | None) -> _Runs:
    tables = [
        rows[rows["metric"] == metric].pivot(index="seed", columns="case", values="value")
        for rows in arms
    ]
    cases = tables[0].columns.union(tables[1].columns)
    whole = pd.concat([table.reindex(columns=cases) for table in tables], keys=(0, 1))
    patients = pd.Series([patient_of[case] if patient_of else case for case in cases], cases)
    means = whole.dropna(axis=1).T.groupby(patients).mean().T
    a, b = means.loc[0], means.loc[1]
    agree = list(a.index) == list(b.index)
    return _Runs(a.to_numpy(np.float64), b.to_numpy(np.float64), agree, patients.nunique())


def read_patients(path: Path, cases: list[str]) -> dict[str, str]:
    """Case -> independent patient, from a CSV.

    Its columns are case (or subject) and patient (or base, or donor); others are passed over. A
    case that it leaves out raises `BadPatients`.
    """
    expected = f"Expected a CSV with {' or '.join(_CASE)}, and {' or '.join(_PATIENT)}."
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise BadPatients(f"{path}: cannot be read ({error}). {expected}") from error
    header = set(rows[0]) if rows else set()
    keys = [next((name for name in names if name in header), None) for names in (_CASE, _PATIENT)]
    case, patient = keys
    if case is None or patient is None:
        raise BadPatients(f"{path}: has the columns {', '.join(map(str, header))}. {expected}")
    patient_of = {row[case]: row[patient] for row in rows}
    absent = [name for name in cases if not patient_of.get(name)]
    if absent:
        raise BadPatients(
            f"{path}: does not say which patient {', '.join(absent)} is. Add a row for each case."
        )
    return {name: patient_of[name] for name in cases}
