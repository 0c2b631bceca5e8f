"""Renders and contact plates: in the page, and as PNG and PDF for a paper."""

from pathlib import Path

from dashboards.assets import asset
from dashboards.load import Sweep
from dashboards.markup import note
from dashboards.volumes.folder import chosen, find_head, left_out
from dashboards.volumes.plate import plate
from dashboards.volumes.raycast import BONE_HU, SKIN_HU
from dashboards.volumes.render import CLEAR_MM, bone_sheet, fog_sheet
from dashboards.volumes.sheets import sheet_html, write_sheet
from pct.metrics.background import CLEAR_AIR_HU, FOG_FROM_MM

RUNS = 6
"""More runs than that are not drawn."""

_FOG_NOTE = (
    f"Skin at {SKIN_HU:g} HU. Blue haze is background above {CLEAR_AIR_HU} HU more than "
    f"{FOG_FROM_MM:g} mm from the CT's head: {CLEAR_MM:.0f} mm of it hide 63 % of what is behind. "
    "In a CT it is the couch or a head rest."
)
_BONE_NOTE = (
    f"Surface at {BONE_HU:g} HU, lit from the upper left. Last column: the highest value along "
    "each ray, in the bone window."
)
_PLATE_NOTE = (
    "Planes through the middle of the head, bone window (level 400, width 2000 HU), MR in its own. "
    "The bar is 50 mm."
)


def renders_html(sweep: Sweep, *, limit: int = RUNS) -> str:
    """The head of one case in 3D, CT first, a row a run; "" where the sweep kept no volumes."""
    head = find_head(sweep)
    if head is None:
        return ""
    runs = chosen(sweep, head, limit=limit)
    bone, fog = bone_sheet(sweep, head, runs), fog_sheet(sweep, head, runs)
    return (
        f"{_style()}{sheet_html(fog)}{note(_FOG_NOTE)}{sheet_html(bone)}"
        f"{note(f'Case {head.case}. {_BONE_NOTE} {left_out(head, runs)}')}"
    )


def plates_html(sweep: Sweep, *, limit: int = RUNS) -> str:
    """The contact plate of one case; "" where the sweep kept no volumes."""
    head = find_head(sweep)
    if head is None:
        return ""
    runs = chosen(sweep, head, limit=limit)
    told = f"Case {head.case}. {_PLATE_NOTE} {left_out(head, runs)}"
    return f"{_style()}{sheet_html(plate(sweep, head, runs), max_width_px=720)}{note(told)}"


def write_plates(sweep: Sweep, folder: Path, *, limit: int = RUNS) -> list[Path]:
    """Write plate, bone and fog as PNG (300 dpi) and PDF; return their paths.

    A sweep that kept no volumes has none.
    """
    head = find_head(sweep)
    if head is None:
        return []
    runs = chosen(sweep, head, limit=limit)
    sheets = {
        "contact-plate": plate(sweep, head, runs),
        "render-fog": fog_sheet(sweep, head, runs),
        "render-bone": bone_sheet(sweep, head, runs),
    }
    return [path for name, sheet in sheets.items() for path in write_sheet(sheet, folder, name)]


def _style() -> str:
    return f"<style>{asset('volumes/sheet.css')}</style>"
