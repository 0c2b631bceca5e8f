"""Scores split by what the table of cases says of a case: its site, its scanner."""

import pandas as pd

from dashboards.load import Sweep
from dashboards.markup import folded, html_table, note, subheading
from dashboards.scores.tables import MAIN, comparable, metric_header, score_names, without_twins
from data_prep.errors import PctError
from pct.scoring.cohort import spell

COLUMNS = ("site", "scanner", "field_t", "sequence", "diagnosis")
MISSING = "not known"
MIN_CASES = 3
"""Groups of fewer cases are marked."""

NOTE = (
    "Mean ± SD over the validation cases of each group. Groups differ in more than the column says "
    "and small ones by chance: no claim. Columns in brackets hold fewer than 3 cases."
)


class NoGroups(PctError):
    """A column by which scores cannot be split."""


def grouped_html(sweep: Sweep, *, by: str) -> str:
    """A folded table a main metric: trials in rows, groups in columns; "" without scores.

    Raises `NoGroups` for a column that is not one of `COLUMNS`, and without a table of cases.
    """
    group_of = groups_of(sweep, by)
    scores = without_twins(sweep, sweep.scores[sweep.scores["split"] == "val"])
    scores = scores.assign(group=scores["case"].map(group_of).fillna(MISSING))
    names, parts = score_names(sweep, scores), []
    for title, part in comparable(scores, where="val"):
        parts += [subheading(title.lstrip(": ").capitalize())] if title else []
        for metric in [name for name in MAIN if (part["metric"] == name).any()]:
            table = _table(part[part["metric"] == metric], names, by)
            unit = str(part.loc[part["metric"] == metric, "unit"].iloc[0])
            parts.append(folded(metric_header(metric, unit), table, is_open=len(parts) < 2))
    return "".join(parts) and "".join(parts) + note(NOTE)


def groups_of(sweep: Sweep, by: str) -> dict[str, str]:
    """Case -> its value in the column `by`; cases without one are left out."""
    path = sweep.folder / "cases.parquet"
    if sweep.cases is None:
        raise NoGroups(
            f"{path} is missing, so nobody knows the {by} of a case. Run the line of `pct sweep` "
            "again: it copies the data's table and trains nothing anew."
        )
    known = [name for name in COLUMNS if name in sweep.cases]
    filled = [name for name in known if sweep.cases[name].notna().any()]
    if by not in known:
        raise NoGroups(
            f"{path}: no column {by!r} to split scores by. Give --by one of {', '.join(known)}"
            f" (filled in: {', '.join(filled) or 'none'})."
        )
    if by not in filled:
        raise NoGroups(
            f"{path}: the column {by} is empty; filled in: {', '.join(filled) or 'none'}. Name it "
            "in the metadata that `pct prep` reads, or leave --by out."
        )
    rows = sweep.cases.dropna(subset=[by])
    values = [f"{value:g}" if isinstance(value, float) else str(value) for value in rows[by]]
    return dict(zip(rows["subject"].astype(str), values, strict=True))


def _table(scores: pd.DataFrame, names: dict[str, str], by: str) -> str:
    counts = scores.groupby("group")["case"].nunique()
    sizes = dict(zip(map(str, counts.index), counts.tolist(), strict=True))
    heads = {
        group: f"{group} (n = {n})" if n >= MIN_CASES else f"[{group} (n = {n})]"
        for group, n in sizes.items()
    }
    unit = str(scores["unit"].iloc[0])
    rows = []
    parts = dict(iter(scores.groupby("trial")))
    for trial, name in names.items():
        if trial in parts:
            own = parts[trial]
            values = [own.loc[own["group"] == group, "value"].dropna() for group in heads]
            rows.append([name, *map(_cell, values, [unit] * len(heads), sizes.values())])
    return html_table(["trial", *heads.values()], rows, numeric=True, caption=f"Scores by {by}")


def _cell(values: "pd.Series[float]", unit: str, of: int) -> str:
    text = spell(float(values.mean()), float(values.std()), unit)
    return text if len(values) in (of, 0) else f"{text} (n = {len(values)} of {of})"
