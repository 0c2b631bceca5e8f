"""How a pseudo-CT's HU and its errors are spread, tissue by tissue: what one mean hides."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pct.metrics.hu_errors import tissues
from pct.metrics.slabs import HuVolume, Mask

WIDTH_HU = 20
"""Of a bin."""

ERROR_RANGE_HU = (-1000, 1000)
HU_RANGE = (-1040, 3080)
"""Whole bins around all that a shard stores; the outermost bins take what lies beyond."""


def hu_histograms(pct_hu: HuVolume, ct_hu: HuVolume, head: Mask) -> pd.DataFrame:
    """Voxels of each tissue of the CT in `head` by bins of 20 HU.

    Columns tissue (air | soft | bone), quantity (error_hu, which is pCT - CT | ct_hu | pct_hu),
    low (a bin's left edge, HU), width (HU), voxels. Empty bins stand there with 0.
    """
    parts = []
    for tissue, mask in tissues(ct_hu, head).items():
        pct, ct = (volume[mask].astype(np.float32) for volume in (pct_hu, ct_hu))
        bins = {
            "error_hu": (pct - ct, ERROR_RANGE_HU),
            "ct_hu": (ct, HU_RANGE),
            "pct_hu": (pct, HU_RANGE),
        }
        for quantity, (values, (low, high)) in bins.items():
            edges = np.arange(low, high, WIDTH_HU)
            part = pd.DataFrame({"low": edges, "voxels": _count(values, low, len(edges))})
            parts.append(part.assign(tissue=tissue, quantity=quantity, width=WIDTH_HU))
    return pd.concat(parts, ignore_index=True)


def _count(values: NDArray[np.float32], low: int, bins: int) -> NDArray[np.int64]:
    index = np.clip(np.floor((values - low) / WIDTH_HU), 0, bins - 1).astype(np.int64)
    return np.bincount(index, minlength=bins)
