"""All curves of a sweep, and the choice of trials that they follow."""

import json
from html import escape

from dashboards.curves.curves import (
    NGF,
    NGF_OF_CT,
    PSNR,
    PSNR_MASKED,
    Level,
    curve_figure,
    has_metric,
    in_words,
    level_of,
)
from dashboards.families import Family, families, family_of, trial_colours
from dashboards.load import Sweep
from dashboards.markup import note, subheading
from dashboards.plots import plot_html

LOSSES = {
    "loss/l1": "L1 loss",
    "loss/ngf": "NGF loss (absent where its weight is 0)",
    "loss/bg": "background loss",
    "loss/gan": "adversarial loss of G",
    "loss/d": "loss of D",
}
MOST_BUTTONS = 24
CARRIED_NOTE = (
    "A trunk is drawn once, its branches from the fork on. Solid: trained in this sweep. Dashed: "
    "taken from the store, where another sweep had trained it."
)
NGF_NOTE = (
    "The NGF value before its weight, so a run that switched the weight off can be compared with "
    "one that did not."
)


def choice_html(sweep: Sweep) -> str:
    """A field and buttons that narrow all curves to some trials; "" for a single run."""
    if len(sweep.runs) < 2:
        return ""
    found = families(sweep)
    buttons = "".join(
        f'<button type="button" aria-pressed="false" style="--colour:{each.colour}" '
        f'data-trials="{_names(_members(sweep, each))}">{escape(each.name)}</button>'
        for each in found[:MOST_BUTTONS]
    )
    return (
        '<form class="choice" role="search" aria-label="Trials in the curves" '
        f'data-trials="{_names([trial.trial for trial in sweep.trials])}">'
        '<label>Only trials whose name has <input type="search" autocomplete="off" size="12" '
        f'placeholder="all {len(sweep.trials)}"></label>{buttons}'
        '<output aria-live="polite"></output></form>'
    )


def _members(sweep: Sweep, family: Family) -> list[str]:
    """Its runs under all their names, and twins that belong to it by their own name."""
    runs = {run.trial for run in family.runs}
    return [
        trial.trial
        for trial in sweep.trials
        if {trial.trial, trial.same_as} & runs or family_of(trial.trial) == family.name
    ]


def _names(trials: list[str]) -> str:
    return escape(json.dumps(trials))


def psnr_html(sweep: Sweep) -> str:
    """Validation PSNR, and the metric that selects where it is another one (as figure 3.1)."""
    metric, parts = sweep.info["select"]["metric"], []
    for name in dict.fromkeys((PSNR, metric)):
        words = title_of(name)
        curve = _curve(sweep, name, title=words, height=440)
        if curve and name == metric and name != PSNR:
            parts.append(subheading(f"{words}, which selects"))
        parts.append(curve)
    return "".join(parts) and "".join(parts) + note(CARRIED_NOTE)


def title_of(metric: str) -> str:
    """What an axis of a validation metric is called."""
    known = {PSNR: "PSNR (dB)", PSNR_MASKED: "PSNR inside the head (dB)"}
    return known.get(metric, metric.removeprefix("val/"))


def ngf_html(sweep: Sweep) -> str:
    """The unweighted NGF of every run, with the line of the CT itself."""
    level = level_of(sweep, NGF_OF_CT, name="the CT itself: NGF(CT, MR)")
    curve = _curve(sweep, NGF, title="NGF", height=340, level=level)
    return curve and curve + note(NGF_NOTE)


def losses_html(sweep: Sweep) -> str:
    """The losses before their weights, two figures a row."""
    parts = [
        f"<figure><figcaption>{escape(title)}</figcaption>{curve}</figure>"
        for name, title in LOSSES.items()
        if (curve := _curve(sweep, name, title="", height=280))
    ]
    return "".join(parts) and f'<div class="grid">{"".join(parts)}</div>'


def _curve(
    sweep: Sweep, metric: str, *, title: str, height: int, level: Level | None = None
) -> str:
    if not has_metric(sweep, metric):
        return ""
    figure = curve_figure(
        sweep, metric, title=title, colours=trial_colours(sweep), height=height, level=level
    )
    return plot_html(figure, alt=in_words(sweep, metric, title=title or metric), kind="curves")
