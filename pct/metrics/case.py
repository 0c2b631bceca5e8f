"""All scores of one case: a pseudo-CT against the CT, and against the MR that it was made from."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.errors import PctError
from data_prep.intensity import hu_to_unit
from data_prep.masks import dilate_in_plane
from pct.metrics.background import background
from pct.metrics.edges import edge_bone
from pct.metrics.hu_errors import (
    SKULL_HU,
    dice,
    dice_air,
    dice_hu250,
    mae_by_tissue,
    mae_hu,
    z_jitter,
)
from pct.metrics.image import psnr, psnr_masked, psnr_masked_fill, psnr_of_slices
from pct.metrics.leak import leak_scores, nmi_mr
from pct.metrics.names import METRIC_VERSION, METRICS, Metric
from pct.metrics.slabs import HuVolume, Mask, SpacingMm, box_of, working_dtype
from pct.metrics.ssim import ssim
from pct.metrics.surfaces import AROUND_MM, head_outlines, surface_distances
from pct.metrics.synthrad import synthrad_scores
from pct.metrics.wepl import wepl_mm

__all__ = [
    "METRICS",
    "METRIC_VERSION",
    "Metric",
    "VolumesDiffer",
    "dice",
    "dice_hu250",
    "edge_bone",
    "mae_by_tissue",
    "mae_hu",
    "psnr",
    "psnr_masked",
    "psnr_masked_fill",
    "score_volume",
]


class VolumesDiffer(PctError):
    """Volumes or masks of one case that do not lie on one grid."""


def score_volume(
    pct_hu: HuVolume,
    ct_hu: HuVolume,
    head: Mask,
    skull: Mask,
    spacing_mm: SpacingMm,
    *,
    mr_unit: NDArray[np.floating] | None = None,
) -> dict[str, float]:
    """All volume metrics of one case, by the names in `METRICS`; undefined scores are NaN.

    Arrays are (z, y, x) on one grid, z from inferior to superior, and `spacing_mm` is in the same
    order. `mr_unit` is the MR in [-1, 1]; without it what compares with the MR is left out. For
    PSNR and SSIM HU [-1000, 3000] become [-1, 1]; `ssim_masked` looks at `head` dilated by 2
    pixels in-plane. Errors in HU are of the values as given. Arithmetic is float64 where the
    volumes are, else float32, sums float64 always; temporaries are slabs or the head's box.
    """
    _refuse_different(pct_hu, ct_hu, head, skull, mr_unit)
    pct_hu, ct_hu = (_plain(volume) for volume in (pct_hu, ct_hu))
    head, skull = head.astype(bool, copy=False), skull.astype(bool, copy=False)
    margin = [int(np.ceil(AROUND_MM / step)) + 1 for step in spacing_mm]
    box = box_of(head, margin=(margin[0], margin[1], margin[2]))
    near_pct, near_ct, near_head = pct_hu[box], ct_hu[box], head[box]
    scores = {
        **_image_scores(pct_hu, ct_hu, head),
        **synthrad_scores(pct_hu, ct_hu, head),
        **_tissue_scores(near_pct, near_ct, near_head, spacing_mm),
        "mae_skull": mae_hu(pct_hu, ct_hu, skull),
    }
    if mr_unit is not None:
        near_mr = mr_unit[box]
        scores |= leak_scores(near_pct, near_ct, near_mr, near_head, spacing_mm)
        scores["nmi_mr"] = nmi_mr(near_pct, near_mr, near_head)
    return scores | background(pct_hu, head, spacing_mm)


def _image_scores(pct_hu: HuVolume, ct_hu: HuVolume, head: Mask) -> dict[str, float]:
    dtype = torch.float64 if working_dtype(pct_hu, ct_hu) is np.float64 else torch.float32

    def to_unit(hu: Tensor) -> Tensor:
        unit: Tensor = hu_to_unit(hu.to(dtype))
        return unit

    pct, ct = torch.from_numpy(pct_hu), torch.from_numpy(ct_hu)
    wide = torch.from_numpy(dilate_in_plane(head, slice_axis=0))
    return {
        **psnr_of_slices(pct_hu, ct_hu, head, to_unit=to_unit),
        "ssim": float(ssim(pct, ct, to_unit=to_unit)),
        "ssim_masked": float(ssim(pct, ct, wide, to_unit=to_unit)),
    }


def _tissue_scores(
    pct_hu: HuVolume, ct_hu: HuVolume, head: Mask, spacing_mm: SpacingMm
) -> dict[str, float]:
    """What is measured in HU and mm inside the head."""
    pct_bone, ct_bone = ((volume > SKULL_HU) & head for volume in (pct_hu, ct_hu))
    bone = surface_distances(pct_bone, ct_bone, spacing_mm)
    pct_outline, ct_outline = head_outlines(pct_hu, ct_hu, head, spacing_mm)
    return {
        "dice_hu250": dice(pct_bone, ct_bone),
        "hd95_hu250": bone.hd95_mm,
        "surface_mm_hu250": bone.mean_mm,
        "surface_mm_head": surface_distances(pct_outline, ct_outline, spacing_mm).mean_mm,
        "dice_air": dice_air(pct_hu, ct_hu, head),
        "mae_head": mae_hu(pct_hu, ct_hu, head),
        **mae_by_tissue(pct_hu, ct_hu, head),
        "edge_bone": edge_bone(pct_hu, ct_hu, spacing_mm, head),
        "z_jitter": z_jitter(pct_hu, ct_hu, head),
        "wepl_mm": wepl_mm(pct_hu, ct_hu, head, spacing_mm),
    }


def _plain(volume_hu: HuVolume) -> HuVolume:
    """As torch can share it: in order, of this machine's bytes; a copy only of what is not."""
    return np.require(volume_hu, volume_hu.dtype.newbyteorder("="), ["C", "W"])


def _refuse_different(
    pct_hu: HuVolume, ct_hu: HuVolume, head: Mask, skull: Mask, mr_unit: NDArray[Any] | None
) -> None:
    named = {"pCT": pct_hu, "CT": ct_hu, "head": head, "skull": skull}
    named |= {} if mr_unit is None else {"MR": mr_unit}
    shapes = [array.shape for array in named.values()]
    if len(set(shapes)) > 1 or len(shapes[0]) != 3:
        raise VolumesDiffer(
            f"{', '.join(named)} have shapes {', '.join(map(str, shapes))}; expected equal "
            "(z, y, x). Bring the prediction to the CT's grid first."
        )
