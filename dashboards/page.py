"""The report: one HTML file that needs nothing else, no network included."""

from collections.abc import Iterator
from html import escape
from importlib import resources
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from dashboards.curves import curve_figure, has_metric, level_of, trial_colours
from dashboards.load import Sweep
from dashboards.panels import panels_html
from dashboards.tables import claim_note, score_tables, settings_table, trials_table
from dashboards.trees import stage_tree_svg

PSNR, PSNR_MASKED = "val/psnr", "val/psnr_masked"
NGF, NGF_OF_CT = "val/ngf", "val/ngf_ct"

# The browser itself keeps the page from loading anything.
TWINS_TOLD = 3
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


def write_report(sweep: Sweep, *, num_cases: int = 2) -> Path:
    """Write `report.html` into the sweep's folder, under a temporary name first; return its path.

    `num_cases` limits the validation cases whose panels are embedded.
    """
    path = sweep.folder / "report.html"
    temporary = path.with_name(".report.html.tmp")
    temporary.write_text(render(sweep, num_cases=num_cases), encoding="utf-8")
    temporary.replace(path)
    return path


def render(sweep: Sweep, *, num_cases: int = 2) -> str:
    """The whole page as HTML, plotly.js once and inlined."""
    title = escape(f"Sweep {sweep.info['sweep']}")
    style = resources.files("dashboards").joinpath("report.css").read_text(encoding="utf-8")
    sections = "\n".join(
        f"<section><h2>{escape(heading)}</h2>{body}</section>"
        for heading, body in _sections(sweep, num_cases)
        if body
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style><script>{get_plotlyjs()}</script></head>\n"
        f"<body><main><h1>{title}</h1>{_paragraph(summary(sweep))}\n{sections}"
        "</main></body></html>\n"
    )


def summary(sweep: Sweep) -> str:
    """What ran, what sharing saved, which trial was best, which model stands: in words."""
    return " ".join(_sentences(sweep))


def _sections(sweep: Sweep, num_cases: int) -> Iterator[tuple[str, str]]:
    colours = trial_colours(sweep)
    yield "Validation PSNR", _psnr(sweep, PSNR, colours)
    if sweep.info["select"]["metric"] == PSNR_MASKED:
        yield "Validation PSNR inside the head, which selects", _psnr(sweep, PSNR_MASKED, colours)
    yield "Unweighted NGF", _ngf(sweep, colours)
    yield "Stage tree", _tree(sweep, colours)
    yield "Panels", panels_html(sweep, num_cases=num_cases)
    scores = score_tables(sweep, "val") or _paragraph("No case has been scored.")
    yield "Scores, validation", scores + _paragraph(claim_note(sweep))
    test = score_tables(sweep, "test")
    opened = f"Test opened {_times(sweep.times_test_opened)} on this data."
    yield "Scores, test", test and test + _paragraph(opened)
    yield "Trials", trials_table(sweep)
    yield "Settings and versions", settings_table(sweep)


CARRIED_NOTE = "Solid: epochs that the trial trained itself. Dashed: carried over from its trunk."
NGF_NOTE = (
    "The NGF value before its weight, so a run that switched the weight off can be compared with "
    "one that did not."
)
TREE_NOTE = (
    "Grey stages are shared and trained once; pale ones were not reached. Point at a bar for all "
    "its values."
)


def _psnr(sweep: Sweep, metric: str, colours: dict[str, str]) -> str:
    if not has_metric(sweep, metric):
        return ""
    figure = curve_figure(sweep, metric, title="PSNR (dB)", colours=colours, height=440)
    return _plot(figure) + _note(CARRIED_NOTE)


def _ngf(sweep: Sweep, colours: dict[str, str]) -> str:
    if not has_metric(sweep, NGF):
        return ""
    level = level_of(sweep, NGF_OF_CT, name="the CT itself")
    figure = curve_figure(sweep, NGF, title="NGF", colours=colours, height=320, level=level)
    return _plot(figure) + _note(NGF_NOTE)


def _tree(sweep: Sweep, colours: dict[str, str]) -> str:
    svg = stage_tree_svg(sweep, colours=colours)
    return svg and f'<div class="scroll">{svg}</div>' + _note(TREE_NOTE)


def _plot(figure: go.Figure) -> str:
    config = {"displaylogo": False, "responsive": True, "displayModeBar": False}
    html: str = figure.to_html(full_html=False, include_plotlyjs=False, config=config)
    return html


def _sentences(sweep: Sweep) -> Iterator[str]:
    info, cases = sweep.info, sweep.info["data"].get("num_cases", {})
    counts = ", ".join(f"{cases.get(split, 0)} {split}" for split in ("train", "val", "test"))
    preset = f" from preset {info['preset']}" if info.get("preset") else ""
    yield f"Recipe {info['recipe']}{preset}: {len(sweep.trials)} trials on {counts} cases."
    yield _saving(info["epochs_written"], info.get("epochs_planned"), info["epochs_trained"])
    same = [trial for trial in sweep.trials if trial.same_as]
    for trial in same[:TWINS_TOLD]:
        yield f"{trial.trial} is the same run as {trial.same_as}: one training, two names."
    if len(same) > TWINS_TOLD:
        yield f"So are {len(same) - TWINS_TOLD} more: see the tables."
    yield _best(sweep)
    ended = {trial.trial: trial.status for trial in sweep.runs if trial.status != "FINISHED"}
    if ended:
        listed = ", ".join(f"{name} ({status})" for name, status in ended.items())
        yield f"Did not finish: {listed}; the reasons are under Trials."
    champion = info.get("champion")
    if champion:
        yield f"Champion: {champion['trial']}, version {champion['version']} ({champion['model']})."
    else:
        yield "No model has been promoted."


def _saving(written: int, planned: int | None, trained: int) -> str:
    planned = trained if planned is None else planned
    saved = written - planned
    share = f" ({saved / written:.0%})" if written else ""
    text = f"Their schedules add up to {written} epochs; sharing stages saved {saved}{share}"
    text += f", and {trained} were trained."
    if trained < planned:
        text += f" The other {planned - trained} were in the store already or did not run."
    return text


def _best(sweep: Sweep) -> str:
    metric = sweep.info["select"]["metric"]
    if not sweep.ranked:
        return "No trial finished with a value to select by."
    unit = " dB" if "psnr" in metric else ""
    best, *others = ((run, run.best_value or 0.0) for run in sweep.ranked)
    name, epoch = sweep.names_of(best[0]), best[0].best_epoch
    text = f"Best by {metric}: {name}, {best[1]:.2f}{unit} at epoch {epoch}"
    if others:
        run, value = others[0]
        text += f", {abs(best[1] - value):.2f}{unit} from the next, {sweep.names_of(run)}"
    return text + "."


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'
