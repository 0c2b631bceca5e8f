"""Cases that the data refused or doubted, with their reasons, and how often each occurs."""

import re
from collections import Counter

import pandas as pd

from dashboards.load import Sweep
from dashboards.markup import folded, html_table, note, paragraph
from data_prep.words import counted

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:[.,]\d+)*")
TITLES = {"refused": "Refused", "flagged": "Flagged, and used all the same"}
UNFOLDED = 20
"""Longer lists are folded."""


def excluded_html(sweep: Sweep) -> str:
    """Counts by reason, then every refused or flagged case; a line where nothing is known."""
    if sweep.cases is None:
        return note("The sweep's folder holds no table of cases (cases.parquet).")
    counts = sweep.cases["status"].value_counts()
    told = ", ".join(f"{counts.get(kind, 0)} {kind}" for kind in ("taken", "flagged", "refused"))
    parts = [paragraph(f"{counted(len(sweep.cases), 'case')} of the data: {told}.")]
    for status, title in TITLES.items():
        rows = sweep.cases[sweep.cases["status"] == status]
        if not rows.empty:
            parts.append(_of_one_kind(rows, title))
    return "".join(parts)


def _of_one_kind(rows: pd.DataFrame, title: str) -> str:
    pairs = [(str(row.subject), str(row.reason)) for row in rows.itertuples()]
    kinds = Counter(kind_of(reason, case) for case, reason in pairs)
    counts = html_table(
        ["reason", "cases"], [[kind, str(count)] for kind, count in kinds.most_common()],
        caption=f"{title}: counts by reason",
    )  # fmt: skip
    cases = html_table(["case", "reason"], pairs, caption=f"{title}: cases")
    title = f"{title}: {counted(len(pairs), 'case')}"
    body = folded(title, cases, is_open=len(pairs) <= UNFOLDED)
    return (counts if len(kinds) < len(pairs) else "") + body


def kind_of(reason: str, case: str) -> str:
    """A reason without what belongs to one case: its first sentence, numbers as N."""
    mentions = rf"(?<!\w){re.escape(case)}(?!\w)"
    first = re.sub(mentions, "the case", reason).split(". ")[0]
    return NUMBER.sub("N", first).rstrip(".") or "no reason given"
