"""Errors in HU inside the head: by tissue, by overlap of thresholds, from slice to slice."""

import numpy as np

from pct.metrics.slabs import HuVolume, Mask, box_of, slabs

SKULL_HU = 250
"""Above it is bone: one threshold for every score."""

AIR_BELOW_HU = -400
"""Below it is air inside a head."""


def mae_hu(pct_hu: HuVolume, ct_hu: HuVolume, mask: Mask) -> float:
    """Mean absolute error in HU over `mask`; NaN if it is empty."""
    total, count = 0.0, 0
    for slab in slabs(box_of(mask)[0]):
        inside = mask[slab]
        error = np.subtract(pct_hu[slab][inside], ct_hu[slab][inside], dtype=np.float64)
        total, count = total + float(np.abs(error).sum()), count + error.size
    return total / count if count else float("nan")


def tissues(ct_hu: HuVolume, head: Mask) -> dict[str, Mask]:
    """Inside `head`, by the CT: air (< -400 HU), soft tissue, bone (> 250 HU)."""
    air, bone = ct_hu < AIR_BELOW_HU, ct_hu > SKULL_HU
    return {"air": head & air, "soft": head & ~air & ~bone, "bone": head & bone}


def mae_by_tissue(pct_hu: HuVolume, ct_hu: HuVolume, head: Mask) -> dict[str, float]:
    """MAE in HU of each of the CT's tissues inside `head`."""
    parts = tissues(ct_hu, head)
    return {f"mae_{tissue}": mae_hu(pct_hu, ct_hu, part) for tissue, part in parts.items()}


def dice(a: Mask, b: Mask) -> float:
    """Overlap 2|a and b| / (|a| + |b|), from 0 to 1; NaN if both are empty (thesis eq. 2.9)."""
    size = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / size if size else float("nan")


def dice_hu250(pct_hu: HuVolume, ct_hu: HuVolume, head: Mask) -> float:
    """Dice of the voxels above 250 HU inside `head`; stands in for the skull's Dice."""
    return dice((pct_hu > SKULL_HU) & head, (ct_hu > SKULL_HU) & head)


def dice_air(pct_hu: HuVolume, ct_hu: HuVolume, head: Mask) -> float:
    """Dice of the voxels below -400 HU inside `head`: sinuses, mastoid cells, airways."""
    return dice((pct_hu < AIR_BELOW_HU) & head, (ct_hu < AIR_BELOW_HU) & head)


def z_jitter(pct_hu: HuVolume, ct_hu: HuVolume, head: Mask) -> float:
    """Mean |second difference along z of (pCT - CT)| in HU: what a slice-wise prediction adds.

    Over voxels that lie in `head` with both their neighbours; a constant or linear error counts
    nothing, one that alternates by +-a from slice to slice counts 4 a. NaN below three slices.
    """
    total, count = 0.0, 0
    for slab in slabs(max(0, len(head) - 2)):
        three = [slice(slab.start + step, slab.stop + step) for step in range(3)]
        inside = head[three[0]] & head[three[1]] & head[three[2]]
        below, here, above = (
            np.subtract(pct_hu[one][inside], ct_hu[one][inside], dtype=np.float64) for one in three
        )
        bend = np.abs(below - 2 * here + above)
        total, count = total + float(bend.sum()), count + bend.size
    return total / count if count else float("nan")
