"""Scores of a pseudo-CT against the CT: images in [-1, 1] with torch, volumes in HU with numpy."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from data_prep.errors import PctError
from data_prep.intensity import AIR_UNIT, hu_to_unit
from data_prep.masks import dilate_in_plane
from pct.ssim import DATA_RANGE, ssim

METRIC_VERSION = 1
"""Raised when a number below changes for the same volumes; tables refuse to mix versions."""

PSNR_CAP_DB = 100.0
"""The PSNR of identical images."""

SKULL_HU = 250
"""Above it is bone, for `dice_hu250`, `mae_bone` and `edge_bone` alike."""

AIR_BELOW_HU = -400
"""Below it is air, for `mae_air`."""

EDGE_MM = 2.0
"""Half the width of the band along the bone's surface that `edge_bone` looks at."""

HuVolume = NDArray[np.floating] | NDArray[np.integer]
"""(D, H, W) = (z, y, x), in HU."""

Mask = NDArray[np.bool_]


class VolumesDiffer(PctError):
    """Volumes or masks of one case that do not lie on one grid."""


@dataclass(frozen=True)
class Metric:
    """What a score means; its unit is "1" where it is a ratio."""

    name: str
    unit: str
    higher_is_better: bool
    meaning: str


METRICS = {
    metric.name: metric
    for metric in (
        Metric("psnr", "dB", True, "slice-wise on [-1, 1]"),
        Metric("psnr_masked", "dB", True, "slice-wise, over mask pixels only"),
        Metric("psnr_masked_fill", "dB", True, "slice-wise, air outside the mask in both"),
        Metric("ssim", "1", True, "3D, whole volume"),
        Metric("ssim_masked", "1", True, "3D, inside the head dilated by 2 pixels in-plane"),
        Metric("dice_hu250", "1", True, "bone above 250 HU inside the head"),
        Metric("mae_head", "HU", False, "inside the head"),
        Metric("mae_air", "HU", False, "CT below -400 HU inside the head"),
        Metric("mae_soft", "HU", False, "CT from -400 to 250 HU inside the head"),
        Metric("mae_bone", "HU", False, "CT above 250 HU inside the head"),
        Metric("mae_skull", "HU", False, "inside the CT's skull mask, whatever its back end"),
        Metric("edge_bone", "HU/mm", False, "error of the gradient's size within 2 mm of bone"),
    )
}


def psnr(pct_unit: Tensor, ct_unit: Tensor) -> Tensor:
    """PSNR in dB of each slice, (n,) from (n, 1, H, W) in [-1, 1]; at most 100 (thesis eq. 2.3)."""
    return _decibel(((pct_unit - ct_unit) ** 2).flatten(1).mean(dim=1))


def psnr_masked(pct_unit: Tensor, ct_unit: Tensor, mask: Tensor) -> Tensor:
    """PSNR in dB of each slice over its mask pixels; NaN where the mask is empty."""
    inside = mask.to(ct_unit.dtype)
    squares = ((pct_unit - ct_unit) ** 2 * inside).flatten(1).sum(dim=1)
    return _decibel(squares / inside.flatten(1).sum(dim=1))


def psnr_masked_fill(pct_unit: Tensor, ct_unit: Tensor, mask: Tensor) -> Tensor:
    """PSNR in dB of each slice after filling outside the mask with air (-1) in both.

    It exceeds `psnr_masked` by 10 log10(pixels / mask pixels), below the cap. NaN where the mask
    is empty. Source: thesis 2.6.1, for Exp. 4.
    """
    inside = mask.bool()
    value = psnr(pct_unit.where(inside, AIR_UNIT), ct_unit.where(inside, AIR_UNIT))
    return value.where(inside.flatten(1).any(dim=1), torch.nan)


def dice(a: Mask, b: Mask) -> float:
    """Overlap 2|a and b| / (|a| + |b|), from 0 to 1; NaN if both are empty (thesis eq. 2.9)."""
    size = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / size if size else float("nan")


def dice_hu250(pct_hu: HuVolume, ct_hu: HuVolume, head: Mask) -> float:
    """Dice of the voxels above 250 HU inside `head`; stands in for the skull's Dice."""
    return dice((pct_hu > SKULL_HU) & head, (ct_hu > SKULL_HU) & head)


def mae_hu(pct_hu: HuVolume, ct_hu: HuVolume, mask: Mask) -> float:
    """Mean absolute error in HU over `mask`; NaN if it is empty."""
    if not mask.any():
        return float("nan")
    return float(np.abs(np.subtract(pct_hu[mask], ct_hu[mask], dtype=np.float64)).mean())


def mae_by_tissue(pct_hu: HuVolume, ct_hu: HuVolume, head: Mask) -> dict[str, float]:
    """MAE in HU where the CT inside `head` is air (< -400), soft tissue, or bone (> 250 HU)."""
    air, bone = ct_hu < AIR_BELOW_HU, ct_hu > SKULL_HU
    return {
        "mae_air": mae_hu(pct_hu, ct_hu, head & air),
        "mae_soft": mae_hu(pct_hu, ct_hu, head & ~air & ~bone),
        "mae_bone": mae_hu(pct_hu, ct_hu, head & bone),
    }


def edge_bone(
    pct_hu: HuVolume, ct_hu: HuVolume, spacing_mm: tuple[float, float, float], head: Mask
) -> float:
    """Mean | |grad pCT| - |grad CT| | in HU/mm inside `head` within 2 mm of the CT's bone surface.

    The surface runs along the voxel faces between bone (CT > 250 HU inside `head`) and the rest;
    `spacing_mm` is that of the arrays' axes (z, y, x). Central differences, one-sided at the
    volume's ends. NaN without such a surface.
    """
    bone = (ct_hu > SKULL_HU) & head
    if not bone.any() or bone.all():
        return float("nan")
    margin = [int(np.ceil(EDGE_MM / step)) + 1 for step in spacing_mm]
    box = tuple(
        slice(max(0, found.start - wide), found.stop + wide)
        for found, wide in zip(ndimage.find_objects(bone.astype(np.uint8))[0], margin, strict=True)
    )
    near = _near_surface(bone[box], spacing_mm) & head[box]
    error = np.abs(_steepness(pct_hu[box], spacing_mm) - _steepness(ct_hu[box], spacing_mm))
    return float(error[near].mean(dtype=np.float64))


def score_volume(
    pct_hu: HuVolume,
    ct_hu: HuVolume,
    head: Mask,
    skull: Mask,
    spacing_mm: tuple[float, float, float],
) -> dict[str, float]:
    """All volume metrics of one case, by the names in `METRICS`.

    Arrays are (z, y, x) on one grid and `spacing_mm` is in the same order. For SSIM both volumes
    are clipped to HU [-1000, 3000] and scaled to [-1, 1]; `ssim_masked` looks at `head` dilated by
    2 pixels in-plane. Errors in HU are of the values as given. Undefined scores are NaN.
    """
    shapes = [array.shape for array in (pct_hu, ct_hu, head, skull)]
    if len(set(shapes)) > 1 or len(shapes[0]) != 3:
        raise VolumesDiffer(
            f"pCT, CT, head and skull have shapes {', '.join(map(str, shapes))}; expected four "
            "equal (z, y, x). Bring the prediction to the CT's grid first."
        )
    head, skull = head.astype(bool), skull.astype(bool)
    pct_unit, ct_unit = (
        torch.from_numpy(hu_to_unit(volume.astype(np.float32))) for volume in (pct_hu, ct_hu)
    )
    wide = torch.from_numpy(dilate_in_plane(head, slice_axis=0)).float()
    return {
        "ssim": float(ssim(pct_unit, ct_unit)),
        "ssim_masked": float(ssim(pct_unit, ct_unit, wide)),
        "dice_hu250": dice_hu250(pct_hu, ct_hu, head),
        "mae_head": mae_hu(pct_hu, ct_hu, head),
        **mae_by_tissue(pct_hu, ct_hu, head),
        "mae_skull": mae_hu(pct_hu, ct_hu, skull),
        "edge_bone": edge_bone(pct_hu, ct_hu, spacing_mm, head),
    }


def _decibel(mean_square: Tensor) -> Tensor:
    return (10 * torch.log10(DATA_RANGE**2 / mean_square)).clamp(max=PSNR_CAP_DB)


def _near_surface(bone: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Voxels whose centre lies within 2 mm of a voxel of the other class."""
    half = np.asarray(spacing_mm)[:, None, None, None] / 2
    near = np.zeros_like(bone)
    for mine in (bone, ~bone):
        nearest = ndimage.distance_transform_edt(
            mine, sampling=spacing_mm, return_distances=False, return_indices=True
        )
        apart = np.abs(nearest - np.indices(bone.shape)) * 2 * half
        # From voxel centre to the other voxel's face, not to its centre.
        distance = np.linalg.norm(np.maximum(apart - half, 0.0), axis=0)
        near |= mine & (distance <= EDGE_MM)
    return near


def _steepness(volume_hu: HuVolume, spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """|grad| in HU/mm by central differences; an axis of one voxel has no slope."""
    volume = volume_hu.astype(np.float64)
    slopes = (
        np.gradient(volume, step, axis=axis)
        for axis, step in enumerate(spacing_mm)
        if volume.shape[axis] > 1
    )
    return np.sqrt(sum(slope**2 for slope in slopes))
