"""HU by tissue, counted once a case, so that a fingerprint of thousands needs no pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TISSUES = ("air", "soft", "bone", "outside")
"""Inside the head air < -400 <= soft <= 250 < bone, in HU; then all that is outside the head."""
FIRST_HU, BIN_HU, NUM_BINS = -1024, 64, 64
"""A tissue's histogram: bins of 64 HU from -1024 on. What lies beyond counts in the end bins."""

_SOFT_FROM, _BONE_FROM = -400, 251
_NUM_VALUES = BIN_HU * NUM_BINS


def count_hu(ct_hu: NDArray[np.int16], head: NDArray[np.bool_]) -> dict[str, list[Any]]:
    """Columns of the case table from a CT and its head mask, arrays of one shape.

    `hu_histogram`: the tissues' histograms one after the other, 4 x 64 voxel counts; `hu_median`:
    the tissues' median HU, None for one that has no voxel.
    """
    whole, inside = np.zeros((2, _NUM_VALUES), np.int64)
    for plane, mask in zip(ct_hu, head, strict=True):  # a plane at a time: bincount widens 4-fold
        values = np.clip(plane, FIRST_HU, FIRST_HU + _NUM_VALUES - 1) - FIRST_HU
        whole += np.bincount(values.ravel(), minlength=_NUM_VALUES)
        inside += np.bincount(values[mask], minlength=_NUM_VALUES)
    hu = np.arange(FIRST_HU, FIRST_HU + _NUM_VALUES)
    soft = (hu >= _SOFT_FROM) & (hu < _BONE_FROM)
    tissues = [
        inside * (hu < _SOFT_FROM), inside * soft, inside * (hu >= _BONE_FROM), whole - inside
    ]  # fmt: skip
    binned = [one.reshape(NUM_BINS, BIN_HU).sum(axis=1) for one in tissues]
    return {
        "hu_histogram": np.concatenate(binned).tolist(),
        "hu_median": [_median(one) for one in tissues],
    }


def tissue_facts(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Per tissue over `rows` of the case table: share of the head, medians in HU, histogram.

    `median_hu` holds the lowest, middle and highest of the cases' medians, None without a voxel.
    The share of `outside` is that of all voxels.
    """
    pooled = np.zeros((len(TISSUES), NUM_BINS), np.int64)
    for row in rows:
        pooled += np.reshape(row["hu_histogram"], pooled.shape)
    sums = pooled.sum(axis=1)
    of = np.where(np.array(TISSUES) == "outside", sums.sum(), sums[:-1].sum())
    facts: dict[str, Any] = {}
    for number, name in enumerate(TISSUES):
        medians = [m for row in rows if (m := row["hu_median"][number]) is not None]
        facts[name] = {
            "share": float(sums[number] / max(1, of[number])),
            "median_hu": np.quantile(medians, (0.0, 0.5, 1.0)).tolist() if medians else None,
            "histogram": pooled[number].tolist(),
        }
    return facts


def sparkline(counts: Sequence[int]) -> str:
    """A histogram as a row of up to 24 blocks, from its first to its last bin that holds anything.

    Heights go by the square root, so that small bins are seen; an empty histogram is an empty text.

    >>> sparkline([0, 1, 100, 50, 0])
    '▁█▆'
    """
    filled = np.flatnonzero(counts)
    if filled.size == 0:
        return ""
    part = np.asarray(counts, float)[filled[0] : filled[-1] + 1]
    part = np.add.reduceat(part, np.arange(0, part.size, -(-part.size // 24)))
    heights = np.ceil(np.sqrt(part / part.max()) * 8).astype(int)
    return "".join(" ▁▂▃▄▅▆▇█"[height] for height in heights)


def _median(counts: NDArray[np.int64]) -> float | None:
    """The lower median of whole HU values, `counts` from `FIRST_HU` on."""
    total = int(counts.sum())
    if total == 0:
        return None
    return float(FIRST_HU + np.searchsorted(np.cumsum(counts), (total + 1) // 2))
