"""Tables of scores, trials and versions as HTML."""

from collections.abc import Iterator
from typing import Any, Literal, cast

import pandas as pd

from dashboards.load import Sweep, Trial
from dashboards.markup import UNKNOWN, html_table, note
from data_prep.words import counted
from pct.metrics.names import METRICS
from pct.scoring.claim_table import heading, verdict
from pct.scoring.claims import MIN_PATIENTS, MIN_SEEDS
from pct.scoring.cohort import (
    SHOWN,
    MixedScores,
    cell,
    cohort,
    refuse_mixtures,
    titled,
    without_curves,
)
from pct.scoring.declared import declared_in
from pct.scoring.settings import NoSuchRuns, weigh

ONE_OF_EACH = ("mask_backend", "metric_version", "split_sha")
"""Columns that must hold one value in all tables of a split."""


MAIN = (*SHOWN, "dice_skull")
"""Metrics that details, groups and outliers show; all are in the table of scores."""


def score_tables(sweep: Sweep, split: Literal["val", "test"]) -> str:
    """Mean ± SD over cases of each metric and trial of one split; "" without rows.

    Trials in rows, or in columns where there are more metrics than trials. SD with n - 1. Undefined
    scores (NaN) are left out and counted. Scores of another geometry or background stand in a
    table of their own; other mask back ends, metric versions or splits raise `MixedScores`.
    """
    scores = without_twins(sweep, sweep.scores[sweep.scores["split"] == split])
    names = score_names(sweep, scores)
    parts = []
    for _, part in comparable(scores, where=split):
        geometry, background = part["geometry"].iloc[0], part["background"].iloc[0]
        parts.append(_score_table(part, names))
        parts.append(
            note(
                f"Mean ± SD over {_cases(part)}. Geometry {geometry}, background {background}, "
                f"masks by {part['mask_backend'].iloc[0]}, metric version "
                f"{part['metric_version'].iloc[0]}. ↑ higher is better, ↓ lower is better."
            )
        )
    return "".join(parts)


def comparable(scores: pd.DataFrame, *, where: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Scores of one split that may stand in one table, with what sets them apart if there are more.

    By geometry and background; other mask back ends, metric versions or splits of the data raise
    `MixedScores`.
    """
    refuse_mixtures(scores, columns=ONE_OF_EACH, where=f"scores.parquet, split {where}: ")
    parts = scores.groupby(["geometry", "background"], sort=True)
    for (geometry, background), part in parts:
        several = f": geometry {geometry}, background {background}" if parts.ngroups > 1 else ""
        yield several, part


def without_twins(sweep: Sweep, scores: pd.DataFrame) -> pd.DataFrame:
    """The scores, each run's once."""
    same = [trial.trial for trial in sweep.trials if trial.same_as]
    return scores[~scores["trial"].isin(same)]


def score_names(sweep: Sweep, scores: pd.DataFrame) -> dict[str, str]:
    """Trials as scores call them -> as the report does; models of other names come last."""
    names = {run.trial: sweep.names_of(run) for run in sweep.runs}
    known = {trial.trial for trial in sweep.trials}
    return names | {other: other for other in scores["trial"].unique() if other not in known}


def claim_note(sweep: Sweep) -> str:
    """What the validation scores say of the claim that the recipe declared, in a few sentences.

    Without one: whether they could support any.
    """
    scores = sweep.scores[sweep.scores["split"] == "val"]
    question = declared_in(sweep.folder)
    if question is None:
        return _could_be(sweep, scores["case"].nunique())
    try:
        first, *_ = weigh(scores, question, declared=True)
    except (NoSuchRuns, MixedScores) as error:
        return f"The claim declared before the run cannot be judged: {error}"
    told = heading(first, question, split="val", clustered=False)
    return f"{told}. {verdict(first, question)}"


def _could_be(sweep: Sweep, num_cases: int) -> str:
    seeds = {trial.trial.rpartition("@")[2] for trial in sweep.runs if "@" in trial.trial}
    num_seeds = max(1, len(seeds))
    found = f"n = {counted(num_cases, 'case')}, {counted(num_seeds, 'seed')}"
    if num_seeds < MIN_SEEDS or num_cases < MIN_PATIENTS:
        return (
            f"No claim: {found}. A claim between settings needs at least {MIN_SEEDS} seeds and "
            f"{MIN_PATIENTS} patients."
        )
    return f"Exploratory: {found}. No comparison was declared before the run."


def trials_table(sweep: Sweep) -> str:
    """Every trial: how it ended, what it trained itself, where it forked, its best epoch."""
    headers = ["trial", "status", "epochs", "own epochs", "began", "best epoch",
               f"best {sweep.info['select']['metric']}", "minutes", "reason"]  # fmt: skip
    return html_table(headers, [_trial_row(trial) for trial in sweep.trials])


def settings_table(sweep: Sweep) -> str:
    """What ran on what: recipe, data and versions, as the sweep recorded them."""
    info, data = sweep.info, sweep.info["data"]
    facts: dict[str, Any] = {
        "recipe": info["recipe"],
        "preset": info.get("preset"),
        "created (UTC)": info.get("created_utc"),
        "model selection": f"{info['select']['mode']} of {info['select']['metric']}",
        "data digest": data.get("digest"),
        "grid": data.get("grid"),
        "cases": data.get("num_cases"),
        "mask back ends": data.get("mask_backends"),
        **{f"version of {name}": version for name, version in info.get("versions", {}).items()},
    }
    rows = [[name, _plain(value)] for name, value in facts.items() if value is not None]
    return html_table(["setting", "value"], rows)


def _score_table(scores: pd.DataFrame, names: dict[str, str]) -> str:
    scores = without_curves(scores)
    units = scores.drop_duplicates("metric").set_index("metric")["unit"]
    headers = ["trial", *(metric_header(metric, unit) for metric, unit in units.items())]
    cells = {(row.trial, row.metric): cell(row) for row in cast(Any, cohort(scores).itertuples())}
    known = set(scores["trial"])
    scored = {trial: name for trial, name in names.items() if trial in known}
    rows = [
        [name, *(cells.get((trial, metric), UNKNOWN) for metric in units.index)]
        for trial, name in scored.items()
    ]
    if len(rows) < len(units):
        headers, *rows = map(list, zip(["metric", *headers[1:]], *rows, strict=True))
    return html_table(headers, rows, numeric=True)


def metric_header(metric: Any, unit: str) -> str:
    """A metric with its unit and an arrow to where it is better."""
    known = METRICS.get(metric)
    arrow = {None: "", True: " ↑", False: " ↓"}[known.higher_is_better if known else None]
    return titled(metric, unit) + arrow


def _trial_row(trial: Trial) -> list[str]:
    began = "epoch 1"
    if trial.same_as:
        began = f"same run as {trial.same_as}"
    elif trial.forked_from:
        began = f"{trial.forked_from}, after {trial.forked_at}"
    return [
        trial.trial,
        trial.status,
        str(trial.epochs),
        str(trial.own_epochs),
        began,
        _plain(trial.best_epoch or None),
        UNKNOWN if trial.best_value is None else f"{trial.best_value:.3f}",
        UNKNOWN if trial.seconds is None else f"{trial.seconds / 60:.1f}",
        trial.reason or "",
    ]


def _cases(scores: pd.DataFrame) -> str:
    return counted(scores["case"].nunique(), "case")


def _plain(value: Any) -> str:
    """A recorded value as a person writes it."""
    if value is None:
        return UNKNOWN
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)
