"""Contact sheets of a data folder as one HTML page that needs nothing else: look, j, look, j."""

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from data_prep.atomic import renamed
from data_prep.fingerprint import ABOUT, MEASURES
from data_prep.parquet import ShardError
from data_prep.shards import read_case_table, read_manifest
from data_prep.words import counted

STATUSES = ("refused", "flagged", "taken")
"""In the order of the page: what needs a look comes first."""
WIDTH_PX, QUALITY = 1080, 72
"""Of the pictures in the page: JPEG of about 100 kB, so 390 cases make some 50 MB."""


def write_sheets(data: Path, page: Path) -> Path:
    """Write all cases of a finished data folder, refused ones first, and return `page`.

    Each has its status, split, reason, measures and picture. Raises `ShardError` as reading the
    folder does, also for a picture that is damaged or gone.
    """
    files = read_manifest(data).files
    rows = sorted(
        read_case_table(data).to_pylist(),
        key=lambda row: (STATUSES.index(row["status"]), row["subject"]),
    )
    status = Counter(row["status"] for row in rows)
    template = resources.files("data_prep").joinpath("sheets.html").read_text(encoding="utf-8")
    filled = Template(template).substitute(
        title=escape(f"{data.resolve().name}: {counted(len(rows), 'case')}"),
        summary=escape(_summary(rows)),
        filters="".join(_filter(name, status[name]) for name in STATUSES if status[name]),
        cases="\n".join(_case(row, _picture(data, row["subject"], files)) for row in rows),
    )
    with renamed(page) as temporary:
        temporary.write_text(filled, encoding="utf-8")
    return page


def _summary(rows: list[dict[str, Any]]) -> str:
    status = Counter(row["status"] for row in rows)
    splits = Counter(row["split"] for row in rows if row["split"])
    masks = Counter(row["mask_backend"] for row in rows if row["status"] != "refused")
    return "; ".join(
        ", ".join(f"{counts[name]} {name}" for name in order if counts[name])
        for counts, order in (
            (status, STATUSES), (splits, ("train", "val", "test")), (masks, sorted(map(str, masks)))
        )
    )  # fmt: skip


def _filter(status: str, count: int) -> str:
    return f'<button data-status="{status}" aria-pressed="false">{status} {count}</button>'


def _case(row: Mapping[str, Any], picture: str | None) -> str:
    measured = {MEASURES[name][0]: format(row[name], MEASURES[name][1])
                for name in MEASURES if row.get(name) is not None}  # fmt: skip
    if row["hu_median"] and row["hu_median"][1] is not None:
        measured["soft tissue, HU"] = format(row["hu_median"][1], ".0f")
    measured |= {name: str(row[name]) for name in (*ABOUT, "mask_backend") if row.get(name)}
    numbers = "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(text)}</dd></div>"
        for name, text in measured.items()
    )
    reason = f'<p class="reason">{escape(row["reason"])}</p>' if row["reason"] else ""
    drawn = (
        f'<img alt="slices of {escape(row["subject"])}" decoding="async" src="{picture}">'
        if picture
        else '<p class="none">No picture: no image could be read.</p>'
    )
    return (
        f'<article class="{row["status"]}" data-status="{row["status"]}"><header>'
        f"<h2>{escape(row['subject'])}</h2><b>{row['status']}</b>"
        f"<span>{escape(row['split'] or '')}</span></header>"
        f"{reason}<dl>{numbers}</dl>{drawn}</article>"
    )


def _picture(data: Path, subject: str, files: Mapping[str, str]) -> str | None:
    """The contact sheet as a data address; None where the case has none."""
    name = f"contact/{subject}.png"
    if name not in files:
        return None
    content = (data / name).read_bytes() if (data / name).is_file() else b""
    if hashlib.sha256(content).hexdigest() != files[name]:
        raise ShardError(f"{data / name}: damaged or gone. Run `pct prep` again: it draws it anew.")
    with Image.open(io.BytesIO(content)) as whole:
        picture = whole.convert("RGB")
    picture.thumbnail((WIDTH_PX, 4 * WIDTH_PX), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
