"""What a data folder holds, in one glance: counts, grid, spacings, masks, doubtful cases."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.shards import read_case_table, read_manifest


def fingerprint(data: Path) -> dict[str, Any]:
    """Facts of a finished data folder, all plain values; raises `ShardError` as reading it does."""
    manifest = read_manifest(data)
    rows = read_case_table(data).to_pylist()
    used = [row for row in rows if row["status"] != "refused"]
    status = Counter(row["status"] for row in rows)
    return {
        "digest": manifest.digest,
        "grid": {
            "arm": manifest.grid.arm,
            "size": manifest.grid.size,
            "pixel_mm": manifest.grid.pixel_mm,
            "slice_mm": manifest.grid.slice_mm,
        },
        "status": {name: status[name] for name in ("taken", "flagged", "refused")},
        "cases": {name: manifest.num_cases[name] for name in ("train", "val", "test")},
        "slices": {name: manifest.num_slices[name] for name in ("train", "val", "test")},
        "masks": list(manifest.mask_backends),
        "ct_spacing_mm": _range([row["ct_spacing_mm"] for row in used]),
        "mr_spacing_mm": _range([row["mr_spacing_mm"] for row in used]),
        "head_in_mr": min(row["head_in_mr"] for row in used),
        "head_kept": min(row["head_kept"] for row in used),
        "flip_margin": min(row["flip_margin"] for row in used),
        "remarks": [
            {name: row[name] for name in ("subject", "status", "reason")}
            for row in rows
            if row["status"] != "taken"
        ],
    }


def lines(facts: dict[str, Any]) -> list[str]:
    """The fingerprint for a person, one fact a line."""
    grid = facts["grid"]
    return [
        f"digest         {facts['digest'][:16]}",
        f"grid           {grid['arm']}, {grid['size']} px of {grid['pixel_mm']:g} mm, "
        f"slices every {grid['slice_mm']:g} mm",
        f"status         {_counted(facts['status'])}",
        f"cases          {_counted(facts['cases'])}",
        f"slices         {_counted(facts['slices'])}",
        f"masks          {', '.join(facts['masks'])}",
        f"CT spacing     {_spacing(facts['ct_spacing_mm'])}",
        f"MR spacing     {_spacing(facts['mr_spacing_mm'])}",
        f"head in MR     at least {facts['head_in_mr']:.1%}",
        f"head in grid   at least {facts['head_kept']:.1%}",
        f"flip margin    at least {facts['flip_margin']:+.1%}",
        *(f"{one['status']:<14} {one['subject']}: {one['reason']}" for one in facts["remarks"]),
    ]


def _range(spacings: list[list[float]]) -> list[list[float]]:
    every = np.array(spacings)
    return [every.min(axis=0).tolist(), every.max(axis=0).tolist()]


def _spacing(low_high: list[list[float]]) -> str:
    texts = [f"{a:.3g}" if a == b else f"{a:.3g}-{b:.3g}" for a, b in zip(*low_high, strict=True)]
    return " x ".join(texts) + " mm"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())
