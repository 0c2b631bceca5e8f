"""The pseudo-CTs of a folder of patients on one HTML page that needs nothing else, worst first."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Literal

from PIL import Image

from data_prep.atomic import renamed
from data_prep.words import counted
from pct.prediction.check import Check, notes, warnings

QUALITY = 82
"""Of the pictures in the page: JPEG of some 150 kB, a quarter of the PNG."""

Status = Literal["failed", "warned", "fine"]

_ORDER: tuple[Status, ...] = ("failed", "warned", "fine")
_TOLD = {"failed": "failed", "warned": "with warnings", "fine": "without"}
_VERDICT = {True: "ok", False: "warning", None: "not measured"}


@dataclass(frozen=True)
class Entry:
    """A patient: `picture` is a PNG, empty where there is none; `failure` is empty if all went."""

    name: str
    picture: bytes
    checks: Sequence[Check]
    failure: str

    @property
    def status(self) -> Status:
        """Whether there is a pseudo-CT, and whether anything is to be looked at."""
        if self.failure:
            return "failed"
        return "warned" if warnings(self.checks) else "fine"


def write_page(entries: Sequence[Entry], path: Path) -> None:
    """Write all patients, under a temporary name: failed ones, then by the number of warnings.

    Each has its status and warnings in a table, and below its picture and all that was checked.
    """
    ordered = sorted(
        entries, key=lambda e: (_ORDER.index(e.status), -len(warnings(e.checks)), e.name)
    )
    status = Counter(entry.status for entry in ordered)
    template = resources.files("pct.prediction").joinpath("qc_page.html").read_text("utf-8")
    filled = Template(template).substitute(
        title=f"Pseudo-CTs of {counted(len(ordered), 'patient')}",
        summary=", ".join(f"{status[one]} {_TOLD[one]}" for one in _ORDER if status[one]),
        rows="\n".join(_row(number, entry) for number, entry in enumerate(ordered)),
        patients="\n".join(_patient(number, entry) for number, entry in enumerate(ordered)),
    )
    with renamed(path) as temporary:
        temporary.write_text(filled, encoding="utf-8")


def _row(number: int, entry: Entry) -> str:
    words = [entry.failure] if entry.failure else warnings(entry.checks)
    listed = "".join(f"<li>{escape(one)}</li>" for one in words)
    listed += "".join(f'<li class="note">{escape(one)}</li>' for one in notes(entry.checks))
    return (
        f'<tr class="{entry.status}"><td><a href="#patient-{number}">{escape(entry.name)}</a></td>'
        f'<td class="status">{_status(entry)}</td>'
        f"<td>{f'<ul>{listed}</ul>' if listed else ''}</td></tr>"
    )


def _patient(number: int, entry: Entry) -> str:
    failure = f'<p class="failure">{escape(entry.failure)}</p>' if entry.failure else ""
    picture = (
        f'<div class="picture"><img alt="MR and pseudo-CT of {escape(entry.name)}" '
        f'src="{_inline(entry.picture)}"></div>'
        if entry.picture
        else ""
    )
    return (
        f'<article class="{entry.status}" id="patient-{number}"><header>'
        f"<h2>{escape(entry.name)}</h2><b>{_status(entry)}</b></header>"
        f"{failure}{picture}{_checks(entry.checks)}"
        '<p class="back"><a href="#patients">back to the table</a></p></article>'
    )


def _checks(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    rows = "".join(
        f'<tr class="{_mark(check)}"><td>{escape(check.name)}</td>'
        f"<td>{_VERDICT[check.ok]}</td><td>{escape(check.words)}</td></tr>"
        for check in checks
    )
    return (
        f"<details><summary>all {counted(len(checks), 'check')}</summary>"
        f"<table><tbody>{rows}</tbody></table></details>"
    )


def _status(entry: Entry) -> str:
    if entry.failure:
        return "failed"
    return (
        counted(len(warnings(entry.checks)), "warning") if warnings(entry.checks) else "no warning"
    )


def _inline(png: bytes) -> str:
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").save(out, format="JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _mark(check: Check) -> str:
    return {True: "fine", False: "bad", None: "note"}[check.ok]
