"""What stands beside a pseudo-CT: a picture, and a JSON of how it was made and how far to trust it.

Neither holds a name, a date or any text of a header.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.dicom_ct import Maker, is_clutter
from data_prep.histograms import BIN_HU, FIRST_HU, NUM_BINS, TISSUES, count_hu
from data_prep.parquet import sha256_of
from data_prep.volume import Volume, to_ras
from pct.config import Background, Geometry
from pct.prediction.asked import Kind, Where
from pct.prediction.check import Check, warnings
from pct.prediction.measures import head_on
from pct.prediction.targets import beside
from pct.prediction.volume import Prepared

FORMAT = 1

_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Made:
    """All that decides what a pseudo-CT holds, but for a grid from elsewhere."""

    digest: str
    """Of the model's weights."""
    geometry: Geometry
    background: Background
    mr_sha256: str
    kind: Kind
    grid: Where
    software: str


def as_json(
    made: Made,
    maker: Maker,
    prepared: Prepared,
    checks: Sequence[Check],
    *,
    output: dict[str, Any],
    histogram: dict[str, Any],
) -> str:
    """The text of the JSON, `output` and `histogram` as the functions below give them."""
    facts = {
        "format": FORMAT,
        "model": {"name": maker.name, "digest": maker.digest, "address": maker.address},
        "settings": {"geometry": made.geometry, "background": made.background},
        "mr": {
            "sha256": made.mr_sha256,
            "shape": prepared.mr.array.shape,
            "spacing_mm": [round(step, 4) for step in prepared.mr.spacing_mm],
            "window": prepared.window,
        },
        "output": {"kind": made.kind, "grid": made.grid, **output},
        "checks": [asdict(check) for check in checks],
        "warnings": len(warnings(checks)),
        "software": made.software,
        "hu_histogram": histogram,
    }
    return json.dumps(facts, indent=1, allow_nan=False) + "\n"


def output_facts(pct: Volume, target: Path, series_uid: str | None) -> dict[str, Any]:
    """What a record says of the pseudo-CT that was written to `target`; NIfTI has no series."""
    return {
        "shape": pct.grid.shape,
        "spacing_mm": [round(step, 4) for step in pct.spacing_mm],
        "series_uid": series_uid,
        "sha256": {file.name: sha256_of(file) for file in _files(target)},
    }


def hu_histogram(prepared: Prepared, pct: Volume) -> dict[str, Any]:
    """Voxel counts by tissue of a pseudo-CT in int16 HU, as a data folder's fingerprint has them.

    Air, soft tissue and bone inside the MR's head, and all outside of it; what lies beyond the
    first and the last bin counts in them.
    """
    pct = to_ras(pct)
    columns = count_hu(pct.array, head_on(prepared.head, pct.grid).array)
    counts = np.reshape(columns["hu_histogram"], (len(TISSUES), NUM_BINS)).tolist()
    return {
        "first_hu": FIRST_HU,
        "bin_hu": BIN_HU,
        "counts": dict(zip(TISSUES, counts, strict=True)),
        "median_hu": dict(zip(TISSUES, columns["hu_median"], strict=True)),
    }


def checks_in(record: dict[str, Any]) -> list[Check]:
    """The checks of a record."""
    return [Check(**check) for check in record["checks"]]


def read_record(target: Path) -> dict[str, Any] | None:
    """What stands in the JSON beside a target; None without one of this version."""
    try:
        record = json.loads(beside(target, "json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def record_of(target: Path, made: Made) -> dict[str, Any] | None:
    """The record beside a target that is whole and was made just so; else None."""
    record = read_record(target)
    if record is None or not _is_picture(beside(target, "png")):
        return None
    try:
        sha256 = record["output"]["sha256"]
        found = Made(
            record["model"]["digest"],
            **record["settings"],
            mr_sha256=record["mr"]["sha256"],
            kind=record["output"]["kind"],
            grid=record["output"]["grid"],
            software=record["software"],
        )
    except (KeyError, TypeError):  # edited by hand
        return None
    return record if found == made and _is_whole(target, sha256) else None


def _is_whole(target: Path, sha256: dict[str, str]) -> bool:
    """Whether just these files are there, with the bytes that were written."""
    files = _files(target)
    return bool(files) and {file.name: sha256_of(file) for file in files} == sha256


def _files(target: Path) -> list[Path]:
    """A file; of a series, all in its folder but for what other programs leave there."""
    found = sorted(target.iterdir()) if target.is_dir() else [target]
    return [file for file in found if file.is_file() and not is_clutter(file)]


def _is_picture(png: Path) -> bool:
    return png.is_file() and png.read_bytes().endswith(_PNG_END)
