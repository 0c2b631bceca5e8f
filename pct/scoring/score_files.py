"""3D scores of pseudo-CTs that another program made, in the rows of our own models."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.schema import CaseVolumes, Split
from data_prep.shards import list_cases, read_manifest, read_volumes
from data_prep.volume import BadVolume
from pct.metrics.case import METRICS
from pct.scoring.cohort import GIVEN
from pct.scoring.pseudo_cts import BadPseudoCt, Found, NoPseudoCts, lay
from pct.scoring.score import Score, score_pct

WHOLE = 0.99
"""Share of the head below which a pseudo-CT is reported as showing a part only."""


@dataclass(frozen=True)
class FileCase:
    """What became of one case."""

    values: dict[str, float]
    """By metric; empty where it cannot be scored."""
    reason: str = ""
    """Why it cannot."""
    resampled: bool = False
    """Its file is not on the CT's grid."""
    covered: float = 1.0
    """Share of the head that its file shows."""


@dataclass(frozen=True)
class FileScores:
    """Scores of a folder of pseudo-CTs, and what there is to know of its cases."""

    scores: list[Score]
    cases: dict[str, FileCase]

    def notes(self, name: str) -> list[str]:
        """What the table does not say, a line each."""
        lines = [f"{name}: {case.reason}" for case in self.cases.values() if case.reason]
        lines += [
            f"{name}: {subject}: the file shows {case.covered:.0%} of the head; beyond it is air."
            for subject, case in self.cases.items()
            if case.covered < WHOLE
        ]
        count = sum(case.resampled for case in self.cases.values())
        if count:
            lines.append(f"{name}: {count} of {len(self.cases)} cases resampled to the CT's grid.")
        return lines

    @property
    def is_whole(self) -> bool:
        """Whether every case was scored."""
        return not any(case.reason for case in self.cases.values())


def score_files(
    found: Found,
    data: Path,
    split: Split,
    *,
    name: str,
    on_case: Callable[[int, str], None] = lambda done, case: None,
) -> FileScores:
    """Score every case of a split for which a usable pseudo-CT was found.

    A case without one has NaN in every metric, so that tables count it. If no case has one, that
    is `NoPseudoCts` with all reasons.
    """
    cases, backends = {}, {}
    for done, subject in enumerate(list_cases(data, split), 1):
        case = read_volumes(data, subject)
        backends[subject] = case.mask_backend
        cases[subject] = _score(found, case)
        on_case(done, subject)
    metrics = dict.fromkeys(metric for case in cases.values() for metric in case.values)
    if not metrics:
        reasons = " ".join(case.reason for case in cases.values())
        raise NoPseudoCts(f"{name}: no case can be scored. {reasons}")
    split_sha = read_manifest(data).split_sha
    scores = [
        Score(
            name, subject, split, split_sha, metric, case.values.get(metric, math.nan),
            METRICS[metric].unit, backends[subject], geometry=GIVEN, background=GIVEN,
        )
        for subject, case in cases.items()
        for metric in metrics
    ]  # fmt: skip
    return FileScores(scores, cases)


def _score(found: Found, case: CaseVolumes) -> FileCase:
    subject = case.subject
    if subject not in found.files:
        return FileCase({}, f"{subject}: no pseudo-CT in the folder.")
    try:
        laid = lay(found.files[subject], case)
    except (BadVolume, BadPseudoCt) as error:
        return FileCase({}, str(error))
    return FileCase(score_pct(laid.pct, case), resampled=laid.resampled, covered=laid.covered)
