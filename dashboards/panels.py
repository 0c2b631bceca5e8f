"""Pictures of validation slices, embedded: MR, CT, pCT and error, patient by patient."""

import base64
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from dashboards.load import NoSweep, Sweep, Trial
from dashboards.markup import note

PANEL = re.compile(r"(?:best|epoch-(?P<epoch>\d+))_(?P<case>.+)\.png")


@dataclass(frozen=True)
class Panel:
    """One picture on disk: a case at an epoch; `epoch` None is the best one's."""

    path: Path
    case: str
    epoch: int | None


def find_panels(folder: Path) -> list[Panel]:
    """The panels in a trial's folder, by case and epoch, the best epoch's first."""
    matches = [(path, PANEL.fullmatch(path.name)) for path in folder.glob("*.png")]
    panels = [
        Panel(path, match["case"], int(match["epoch"]) if match["epoch"] else None)
        for path, match in matches
        if match
    ]
    return sorted(panels, key=lambda panel: (panel.case, panel.epoch or 0))


def panels_html(sweep: Sweep, *, num_cases: int) -> str:
    """For each of the first `num_cases` cases: every run's best and last epoch, below each other.

    "" without panels. A file that is no PNG raises `NoSweep`.
    """
    by_run = [(run, find_panels(sweep.folder / "panels" / run.trial)) for run in sweep.runs]
    cases = sorted({panel.case for _, panels in by_run for panel in panels})
    parts = []
    for case in cases[:num_cases]:
        parts.append(f"<h3>Case {escape(case)}</h3>")
        for run, panels in by_run:
            mine = [panel for panel in panels if panel.case == case]
            parts += [_figure(sweep, run, panel) for panel in _best_and_last(mine, run)]
    if len(cases) > num_cases > 0:
        rest = len(cases) - num_cases
        parts.append(note(f"{rest} more in {sweep.folder.name}/panels."))
    return "".join(parts)


def _best_and_last(panels: list[Panel], run: Trial) -> list[Panel]:
    """The best epoch's panel, then the last epoch's unless that is the best."""
    best = [panel for panel in panels if panel.epoch in (None, run.best_epoch)][:1]
    last = [panel for panel in panels if panel.epoch is not None][-1:]
    if best and last and last[0].epoch == run.best_epoch:
        return best
    return best + last


def _figure(sweep: Sweep, run: Trial, panel: Panel) -> str:
    data = panel.path.read_bytes()
    if not data.startswith(b"\x89PNG"):
        raise NoSweep(f"{panel.path} is no PNG image. Delete it and run `pct sweep` again.")
    is_best = panel.epoch in (None, run.best_epoch)
    when = f"best epoch, {run.best_epoch}" if is_best else f"epoch {panel.epoch}"
    text = f"{sweep.names_of(run)}, {when}"
    return (
        f"<figure><figcaption>{escape(text)}</figcaption>"
        f'<img alt="MR, CT, pCT and error of case {escape(panel.case)}: {escape(text)}" '
        f'src="data:image/png;base64,{base64.b64encode(data).decode()}"></figure>'
    )
