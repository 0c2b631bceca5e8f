"""The stage tree as SVG: a bar a stage, a shared trunk once, its branches below."""

from dataclasses import dataclass
from html import escape
from typing import Any

from dashboards.load import Stage, Sweep, Trial
from dashboards.markup import note, scroll

WIDTH, ROW, BAR = 900, 58, 16
CLOSE_ROW = 40
MANY_RUNS = 12
"""More rows than that stand closer, with labels above their bars only."""

LEFT, TOP = 12, 26
CHAR = 6.6  # mean width of a character at 12 px
AXIS_TITLE, AXIS_GAP = "epochs finished", 18
SHARED, INK, FAINT = "#9aa5b1", "#1f2933", "#d9dee4"


@dataclass(frozen=True)
class Bar:
    """One stage in its place: the row of the first run that has it, and what to write at it."""

    stage: Stage
    run: Trial
    row: int
    parent_row: int | None
    """The row of the stage before it, where that is another one."""
    label: str
    shared_by: int
    reached: int
    """The last epoch that any of its runs finished; before `stage.first` where none began it."""


def lay_out(runs: tuple[Trial, ...]) -> tuple[Bar, ...]:
    """Place each stage once, depth first, so that a branch lies below its trunk.

    A first stage is labelled with the values that differ anywhere in the sweep, a later one with
    those that it or one of its siblings changes.
    """
    ordered = _depth_first(runs)
    sharing: dict[str, list[Trial]] = {}
    for run in ordered:
        for stage in run.stages:
            sharing.setdefault(stage.key, []).append(run)
    changing = _changing(ordered)
    rows: dict[str, int] = {}
    bars = []
    for row, run in enumerate(ordered):
        before: Stage | None = None
        for stage in run.stages:
            if stage.key not in rows:
                rows[stage.key] = row
                parent_row = rows[before.key] if before else row
                bars.append(
                    Bar(
                        stage=stage,
                        run=run,
                        row=row,
                        parent_row=parent_row if parent_row != row else None,
                        label=_values(stage, changing[before.key if before else ""]),
                        shared_by=len(sharing[stage.key]),
                        reached=min(stage.last, max(run.epochs for run in sharing[stage.key])),
                    )
                )
            before = stage
    return tuple(bars)


TREE_NOTE = (
    "Grey stages are shared and trained once; pale ones were not reached. Point at a bar for all "
    "its values."
)


def stage_tree_html(sweep: Sweep, *, colours: dict[str, str]) -> str:
    """The tree in an area that scrolls, and what it saved; "" without stages."""
    svg = stage_tree_svg(sweep, colours=colours)
    written, planned = sweep.info["epochs_written"], sweep.info.get("epochs_planned")
    saved = f" {written - planned} of {written} epochs are saved by sharing." if planned else ""
    return svg and scroll(svg, name="Stage tree") + note(TREE_NOTE + saved)


def stage_tree_svg(sweep: Sweep, *, colours: dict[str, str]) -> str:
    """The tree as an SVG element: epochs to the right, shared stages grey, own ones coloured."""
    bars = lay_out(sweep.runs)
    if not bars:
        return ""
    num_rows = 1 + max(bar.row for bar in bars)
    last = max(bar.stage.last for bar in bars)
    names = {bar.row: sweep.names_of(bar.run) for bar in bars}
    room = AXIS_GAP + CHAR * len(AXIS_TITLE) + 4
    right = min(300.0, max(room, 24 + 7.4 * max(map(len, names.values()))))
    scale = (WIDTH - LEFT - right) / last
    step = ROW if num_rows <= MANY_RUNS else CLOSE_ROW
    height = TOP + num_rows * step + 34
    parts = _axis(last, scale, bottom=TOP + num_rows * step)
    for bar in bars:
        parts += _connector(bar, scale, step)
    for row in range(num_rows):
        here = [bar for bar in bars if bar.row == row]
        parts += _row(here, scale, step, colours)
        end = LEFT + here[-1].stage.last * scale + 8
        colour = colours.get(here[-1].run.trial, INK)
        parts.append(_text(end, _middle(row, step) + 4.5, names[row], size=13, fill=colour))
    return (
        f'<svg class="tree" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Stage tree of {escape(sweep.info["sweep"])}">{"".join(parts)}</svg>'
    )


def _depth_first(runs: tuple[Trial, ...]) -> list[Trial]:
    seen: dict[str, int] = {}
    for run in runs:
        for stage in run.stages:
            seen.setdefault(stage.key, len(seen))
    return sorted(
        (run for run in runs if run.stages),
        key=lambda run: [seen[stage.key] for stage in run.stages],
    )


def _changing(runs: list[Trial]) -> dict[str, set[str]]:
    """Key of a stage ("" before the first) -> names of the values that the next stages change."""
    stages = {stage.key: stage for run in runs for stage in run.stages}
    names: dict[str, set[str]] = {"": _differing(list(stages.values()))}
    for run in runs:
        for before, after in zip(run.stages, run.stages[1:], strict=False):
            names.setdefault(before.key, set()).update(_differing([before, after]))
    return names


def _differing(stages: list[Stage]) -> set[str]:
    names = {name for stage in stages for name in stage.values}
    return {name for name in names if len({repr(stage.values.get(name)) for stage in stages}) > 1}


def _values(stage: Stage, names: set[str]) -> str:
    return ", ".join(
        f"{name} {_short(stage.values[name])}" for name in sorted(names & set(stage.values))
    )


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _row(bars: list[Bar], scale: float, step: int, colours: dict[str, str]) -> list[str]:
    """Bars of one row, each label above its bar, or below it where the one before is in the way."""
    parts = []
    free = {-BAR / 2 - 6: 0.0} | ({BAR / 2 + 15: 0.0} if step == ROW else {})
    for bar in bars:
        x = LEFT + (bar.stage.first - 1) * scale
        parts.append(f"<g><title>{escape(_tooltip(bar))}</title>")
        fill = SHARED if bar.shared_by > 1 else colours.get(bar.run.trial, INK)
        for last, opacity in ((bar.stage.last, 0.25), (bar.reached, 1)):
            width = max(0.0, (last - bar.stage.first + 1) * scale - 2)
            top = _middle(bar.row, step) - BAR / 2
            parts.append(
                f'<rect x="{x + 1:.1f}" y="{top:.1f}" width="{width:.1f}" '
                f'height="{BAR}" rx="3" fill="{fill}" fill-opacity="{opacity}"/>'
            )
        parts.append("</g>")
        slot = next((offset for offset, used in free.items() if used <= x), None)
        if bar.label and slot is not None:
            parts.append(_text(x + 2, _middle(bar.row, step) + slot, bar.label))
            free[slot] = x + CHAR * len(bar.label) + 10
    return parts


def _tooltip(bar: Bar) -> str:
    shared = f", shared by {bar.shared_by} runs" if bar.shared_by > 1 else ""
    values = _values(bar.stage, set(bar.stage.values))
    return f"epochs {bar.stage.first}-{bar.stage.last}{shared}: {values}"


def _connector(bar: Bar, scale: float, step: int) -> list[str]:
    if bar.parent_row is None:
        return []
    x = LEFT + (bar.stage.first - 1) * scale
    start, end = _middle(bar.parent_row, step) + BAR / 2, _middle(bar.row, step)
    return [f'<path d="M{x:.1f} {start:.1f}V{end:.1f}h2" fill="none" stroke="{SHARED}"/>']


def _axis(last: int, scale: float, *, bottom: float) -> list[str]:
    """Grid lines at finished epochs: at most about ten, at round numbers."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, last) if last <= 11 * step)
    parts = []
    for epoch in range(0, last + 1, step):
        x = LEFT + epoch * scale
        parts.append(f'<path d="M{x:.1f} {TOP - 14}V{bottom}" stroke="{FAINT}"/>')
        parts.append(_text(x, bottom + 16, str(epoch), anchor="middle" if epoch else "start"))
    parts.append(_text(LEFT + last * scale + AXIS_GAP, bottom + 16, AXIS_TITLE))
    return parts


def _middle(row: int, step: int) -> float:
    return TOP + row * step + step / 2


def _text(
    x: float, y: float, text: str, *, size: int = 12, fill: str = INK, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
