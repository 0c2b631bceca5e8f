"""What the registry's page says of a version: a paragraph for people, in Markdown."""

from collections.abc import Iterator, Sequence

from data_prep.words import counted
from pct.card import INTENDED_USE
from pct.markdown import plain
from pct.metrics.names import METRICS
from pct.scoring.cohort import DIGITS, cohort
from sweeps.promotion.candidate import Candidate
from sweeps.promotion.registry import Version

TOLD = ("mae_head", "ssim_masked", "dice_hu250", "dice_skull", "edge_bone", "mr_leak")


def describe(
    candidate: Candidate, champion: Version | None, *, note: str, overridden: Sequence[str]
) -> str:
    """Where it comes from, how it scores, what it replaces and what was overridden."""
    card, scores = candidate.model.card, candidate.scores
    paragraphs = [
        f"{candidate.model.name}: the generator of that trial after that epoch, its best by "
        f"{card['select']} ({card['value']:.2f} dB), trained on "
        f"{counted(len(card['trained_on']), 'case')}.",
        f"On {counted(scores['case'].nunique(), 'validation case')}: "
        + ", ".join(_scores(candidate))
        + ".",
        f"Before its promotion the test set of these data had been opened "
        f"{_times(candidate.opened)}, for this model {_times(candidate.opened_for_it)}. "
        + (f"It replaced {champion.shown}." if champion else "It was the first champion."),
    ]
    if overridden:
        paragraphs.append(
            "**Promoted against the gate**, which found:\n\n"
            + "\n".join(f"- {problem}" for problem in overridden)
        )
    if note:
        paragraphs.append(f"Note: {plain(note)}")
    return "\n\n".join([*paragraphs, f"*{INTENDED_USE}*"])


def _scores(candidate: Candidate) -> Iterator[str]:
    rows = {row["metric"]: row for row in cohort(candidate.scores).to_dict("records")}
    for name in TOLD:
        if name in rows:
            unit = METRICS[name].unit
            places = DIGITS.get(unit, 3)
            mean, sd = (f"{rows[name][part]:.{places}f}" for part in ("mean", "sd"))
            yield f"{name} {mean} ± {sd}" + ("" if unit == "1" else f" {unit}")


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")
