"""Tables of scores, trials and settings as HTML."""

from collections.abc import Sequence
from html import escape
from typing import Any, Literal

import pandas as pd

from dashboards.load import Sweep, Trial
from data_prep.errors import PctError

ONE_OF_EACH = ("mask_backend", "metric_version", "split_sha")
"""Columns that must hold one value in all rows of a table."""

MIN_SEEDS, MIN_PATIENTS = 3, 6
"""Below either, a difference between trials is no claim about their settings."""

UNKNOWN = "\N{EN DASH}"

DECIMALS = {"HU": 1, "dB": 2, "mm": 2, "HU/mm": 1}


class MixedScores(PctError):
    """Scores that were measured in different ways and must not stand in one table."""


def html_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: bool = False
) -> str:
    """A plain table; text is escaped. `numeric` aligns all but the first column to the right."""
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "".join(
        "<tr>" + f'<th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )  # fmt: skip
    kind = ' class="numeric"' if numeric else ""
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def score_tables(sweep: Sweep, split: Literal["val", "test"]) -> str:
    """Mean ± SD over cases of each metric and trial of one split; "" without rows.

    Trials in rows, or in columns where there are more metrics than trials. SD with n - 1. Undefined
    scores (NaN) are left out and counted. Scores of another geometry or background stand in a
    table of their own; other mask back ends, metric versions or splits raise `MixedScores`.
    """
    scores = sweep.scores[sweep.scores["split"] == split]
    if scores.empty:
        return ""
    _refuse_mixtures(scores, split)
    same = [trial.trial for trial in sweep.trials if trial.same_as]
    scores = scores[~scores["trial"].isin(same)]
    names = {run.trial: sweep.names_of(run) for run in sweep.runs}
    known = {trial.trial for trial in sweep.trials}
    names |= {other: other for other in scores["trial"].unique() if other not in known}
    parts = []
    for (geometry, background), part in scores.groupby(["geometry", "background"], sort=True):
        parts.append(_score_table(part, names))
        parts.append(
            f'<p class="note">Mean ± SD over {_cases(part)}. Geometry {escape(str(geometry))}, '
            f"background {escape(str(background))}, "
            f"masks by {escape(str(part['mask_backend'].iloc[0]))}, "
            f"metric version {part['metric_version'].iloc[0]}. "
            "↑ higher is better, ↓ lower is better.</p>"
        )
    return "".join(parts)


def claim_note(sweep: Sweep) -> str:
    """Whether the validation scores could support a claim between settings, in one sentence."""
    num_cases = sweep.scores.loc[sweep.scores["split"] == "val", "case"].nunique()
    seeds = {trial.trial.rpartition("@")[2] for trial in sweep.runs if "@" in trial.trial}
    num_seeds = max(1, len(seeds))
    found = f"n = {_count(num_cases, 'case')}, {_count(num_seeds, 'seed')}"
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


def _refuse_mixtures(scores: pd.DataFrame, split: str) -> None:
    for column in ONE_OF_EACH:
        found = sorted(map(str, scores[column].unique()))
        if len(found) > 1:
            raise MixedScores(
                f"scores.parquet, split {split}: {column} is {' and '.join(found)}; expected one, "
                "because such scores cannot be compared. Prepare all cases with one mask back end "
                "and run `pct sweep` again: finished stages are kept, scores are written anew."
            )


def _score_table(scores: pd.DataFrame, names: dict[str, str]) -> str:
    units = scores.drop_duplicates("metric").set_index("metric")["unit"]
    headers = ["trial", *(_metric_header(metric, unit) for metric, unit in units.items())]
    rows = []
    for trial, name in names.items():
        values = scores[scores["trial"] == trial].set_index("metric")["value"]
        if len(values):
            cells = [
                _mean_sd(values[values.index == metric], unit) for metric, unit in units.items()
            ]
            rows.append([name, *cells])
    if len(rows) < len(units):
        headers, *rows = map(list, zip(["metric", *headers[1:]], *rows, strict=True))
    return html_table(headers, rows, numeric=True)


def _metric_header(metric: Any, unit: str) -> str:
    lower_is_better = unit.startswith(("HU", "mm"))
    shown = "" if unit in ("", "1") else f" ({unit})"
    return f"{metric}{shown} {'↓' if lower_is_better else '↑'}"


def _mean_sd(values: "pd.Series[float]", unit: str) -> str:
    known = values.dropna()
    if known.empty:
        return UNKNOWN
    decimals = DECIMALS.get(unit, 3)
    text = f"{known.mean():.{decimals}f}"
    if len(known) > 1:
        text += f" ± {known.std():.{decimals}f}"
    return text if len(known) == len(values) else f"{text} (n = {len(known)})"


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
    return _count(scores["case"].nunique(), "case")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _plain(value: Any) -> str:
    """A recorded value as a person writes it."""
    if value is None:
        return UNKNOWN
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)
