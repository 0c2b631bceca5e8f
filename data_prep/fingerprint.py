"""What a data folder holds, in one glance: counts, grid, sizes, intensities, doubtful cases."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.histograms import BIN_HU, FIRST_HU, NUM_BINS, TISSUES, sparkline, tissue_facts
from data_prep.shards import read_case_table, read_manifest

MEASURES = {
    "head_in_mr": ("head in MR", ".1%"),
    "head_kept": ("head in grid", ".1%"),
    "head_dice": ("head Dice", ".3f"),
    "flip_margin": ("flip margin", "+.1%"),
    "offset_mm": ("offset, mm", ".2f"),
    "offset_deg": ("offset, deg", ".2f"),
    "dense_outside": ("> 2500 outside", ".2%"),
}
"""Columns of the case table that judge a pair: in which words and form they are shown."""
ABOUT = ("site", "scanner", "field_t", "sequence", "diagnosis", "registration")
"""Columns that tell where a case comes from, for those of them that are known."""

_MOST_REMARKS = 12


def fingerprint(data: Path) -> dict[str, Any]:
    """Facts of a finished data folder, all plain values; raises `ShardError` as reading it does.

    Ranges are [lowest, middle, highest] over the cases taken or flagged; of sizes and spacings
    they are so along each axis. What no case knows is left out of `measures` and `about`.
    """
    manifest = read_manifest(data)
    rows = read_case_table(data).to_pylist()
    used = [row for row in rows if row["status"] != "refused"]
    status = Counter(row["status"] for row in rows)
    mr = [[row["mr_head_window"][0], row["mr_median"], row["mr_head_window"][1]] for row in used]
    grid = manifest.grid
    return {
        "digest": manifest.digest,
        "grid": {name: getattr(grid, name) for name in ("arm", "size", "pixel_mm", "slice_mm")},
        "split": manifest.settings.get("split", "ranked"),
        "status": {name: status[name] for name in ("taken", "flagged", "refused")},
        "cases": {name: manifest.num_cases[name] for name in ("train", "val", "test")},
        "slices": {name: manifest.num_slices[name] for name in ("train", "val", "test")},
        "masks": dict(Counter(row["mask_backend"] for row in used)),
        **{name: _ranges([row[name] for row in used])
           for name in ("ct_shape", "ct_spacing_mm", "mr_shape", "mr_spacing_mm")},
        "mr_percentiles": dict(zip(("p1", "p50", "p99.9"), _ranges(mr), strict=True)),
        "hu_bins": {"first_hu": FIRST_HU, "width_hu": BIN_HU, "count": NUM_BINS},
        "hu": tissue_facts(used),
        "measures": _measures(used),
        "about": _about(used, ABOUT),
        "remarks": [
            {name: row[name] for name in ("subject", "status", "reason")}
            for row in rows
            if row["status"] != "taken"
        ],
    }  # fmt: skip


def training_fingerprint(data: Path) -> dict[str, Any]:
    """What a model trained on `data` has seen, for prediction to compare an MR and its pCT with.

    [lowest, middle, highest] over the training cases: MR spacing in mm along R, A, S; raw MR
    percentiles in the head; `mr_contrast`, where the median lies between the outer two (a ratio, so
    that scanners' scales do not count); share of the head that is air, soft and bone in the CT.
    `about` counts cases by what is known of their site, scanner and sequence, `masks` by how their
    heads were outlined.
    """
    table = read_case_table(data).to_pylist()
    rows = [row for row in table if row["split"] == "train" and row["status"] != "refused"]
    mr = np.array([[row["mr_head_window"][0], row["mr_median"], row["mr_head_window"][1]]
                   for row in rows])  # fmt: skip
    low, middle, high = mr.T
    tissues = np.array([np.reshape(row["hu_histogram"], (len(TISSUES), NUM_BINS)).sum(axis=1)[:-1]
                        for row in rows])  # fmt: skip
    shares = _ranges(tissues / np.maximum(1, tissues.sum(axis=1, keepdims=True)))
    return {
        "cases": len(rows),
        "mr_spacing_mm": _ranges([row["mr_spacing_mm"] for row in rows]),
        "mr_percentiles": dict(zip(("p1", "p50", "p99.9"), _ranges(mr), strict=True)),
        "mr_contrast": _ranges(((middle - low) / (high - low))[:, None])[0],
        "hu_share": dict(zip(TISSUES, shares, strict=False)),
        "masks": dict(Counter(row["mask_backend"] for row in rows)),
        "about": _about(rows, [name for name in ABOUT if name != "diagnosis"]),
    }


def lines(facts: dict[str, Any]) -> list[str]:
    """The fingerprint for a person, one fact a line, remarks on a dozen cases at the end."""
    grid, remarks = facts["grid"], facts["remarks"]
    told = {
        "digest": facts["digest"][:16],
        "grid": f"{grid['arm']}, {grid['size']} px of {grid['pixel_mm']:g} mm, "
        f"slices every {grid['slice_mm']:g} mm",
        "status": _counted(facts["status"]),
        "split": facts["split"],
        "cases": _counted(facts["cases"]),
        "slices": _counted({name: facts["slices"][name] for name in ("train", "val")})
        + "; test patients stay whole volumes",
        "masks": _counted(facts["masks"]),
        "CT size": " x ".join(_spread(one, "g") for one in facts["ct_shape"]),
        "CT spacing": " x ".join(_spread(one, ".3g") for one in facts["ct_spacing_mm"]) + " mm",
        "MR size": " x ".join(_spread(one, "g") for one in facts["mr_shape"]),
        "MR spacing": " x ".join(_spread(one, ".3g") for one in facts["mr_spacing_mm"]) + " mm",
        "MR in the head": ", ".join(
            f"{name} {_spread(one, '.4g')}" for name, one in facts["mr_percentiles"].items()
        ),
        **{f"{name}, HU": _tissue(name, facts["hu"][name]) for name in TISSUES},
        **{MEASURES[name][0]: _middle(one, MEASURES[name][1])
           for name, one in facts["measures"].items()},
        **{name: _counted(counts) for name, counts in facts["about"].items()},
    }  # fmt: skip
    more = len(remarks) - _MOST_REMARKS
    return [
        *(f"{name:<14} {text}" for name, text in told.items()),
        *(f"{one['status']:<14} {one['subject']}: {one['reason']}"
          for one in remarks[:_MOST_REMARKS]),
        *([f"and {more} more: see --json or --sheets"] if more > 0 else []),
    ]  # fmt: skip


def _ranges(rows: Sequence[Sequence[float]] | NDArray[np.float64]) -> list[list[float]]:
    """[lowest, middle, highest] of each column."""
    found: list[list[float]] = np.quantile(np.array(rows), (0.0, 0.5, 1.0), axis=0).T.tolist()
    return found


def _measures(rows: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    known = {name: [v for row in rows if (v := row.get(name)) is not None] for name in MEASURES}
    return {name: _ranges([[v] for v in values])[0] for name, values in known.items() if values}


def _about(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many cases have which value, of the columns that are known for any of them."""
    known = {name: Counter(str(row[name]) for row in rows if row.get(name)) for name in names}
    return {name: dict(counts) for name, counts in known.items() if counts}


def _spread(low_middle_high: list[float], form: str) -> str:
    low, high = (format(one, form) for one in low_middle_high[::2])
    return low if low == high else f"{low}-{high}"


def _middle(low_middle_high: list[float], form: str) -> str:
    low, middle, high = (format(one, form) for one in low_middle_high)
    return low if low == high else f"{middle} ({low} to {high})"


def _tissue(name: str, facts: dict[str, Any]) -> str:
    whole = "of the volume" if name == "outside" else "of the head"
    share = f"{facts['share']:6.1%} {whole:<13}"
    if facts["median_hu"] is None:
        return share
    return f"{share} median {_middle(facts['median_hu'], '.0f')}  {sparkline(facts['histogram'])}"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())
