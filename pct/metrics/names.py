"""What every score is called, its unit, and which way is better. Light: loads nothing."""

from dataclasses import dataclass

METRIC_VERSION = 2
"""Raised when a number changes for the same volumes; tables refuse to mix versions."""

BIN_MM, NUM_BINS = 10, 12
"""The background's profile reaches to 120 mm from the head."""

BINS = tuple(f"{BIN_MM * i:03d}_{BIN_MM * (i + 1):03d}" for i in range(NUM_BINS))
"""Names of its bins: 000_010 holds distances above 0 and up to 10 mm."""


@dataclass(frozen=True)
class Metric:
    """What a score means; its unit is "1" where it is a ratio.

    `higher_is_better` is None for what describes an image and is no aim.
    """

    name: str
    unit: str
    higher_is_better: bool | None
    meaning: str


_IMAGE = (
    Metric("psnr", "dB", True, "slice-wise on [-1, 1]"),
    Metric("psnr_masked", "dB", True, "slice-wise, over mask pixels only"),
    Metric("psnr_masked_fill", "dB", True, "slice-wise, air outside the mask in both"),
    Metric("ssim", "1", True, "3D, whole volume"),
    Metric("ssim_masked", "1", True, "3D, inside the head dilated by 2 pixels in-plane"),
)
_CHALLENGES = (
    Metric("synthrad23_mae", "HU", False, "inside the head, clipped to [-1024, 3000]"),
    Metric("synthrad23_psnr", "dB", True, "inside the head, peak 4024 HU"),
    Metric("synthrad23_ssim", "1", True, "inside the head, windows of 7^3"),
    Metric("synthrad25_mae", "HU", False, "inside the head, clipped to [-1024, 3071]"),
    Metric("synthrad25_psnr", "dB", True, "inside the head, peak 4095 HU"),
    Metric("synthrad25_ms_ssim", "1", True, "inside the head, five scales"),
)
_TISSUE = (
    Metric("dice_hu250", "1", True, "bone above 250 HU inside the head"),
    Metric("hd95_hu250", "mm", False, "95th percentile distance of the surfaces of that bone"),
    Metric("surface_mm_hu250", "mm", False, "mean distance of the surfaces of that bone"),
    Metric("surface_mm_head", "mm", False, "mean distance of the head's outlines at -300 HU"),
    Metric("dice_air", "1", True, "air below -400 HU inside the head"),
    Metric("mae_head", "HU", False, "inside the head"),
    Metric("mae_air", "HU", False, "CT below -400 HU inside the head"),
    Metric("mae_soft", "HU", False, "CT from -400 to 250 HU inside the head"),
    Metric("mae_bone", "HU", False, "CT above 250 HU inside the head"),
    Metric("mae_skull", "HU", False, "inside the CT's skull mask, whatever its back end"),
    Metric("edge_bone", "HU/mm", False, "error of the gradient's size within 2 mm of bone"),
    Metric("z_jitter", "HU", False, "second difference of the error from slice to slice"),
    Metric("wepl_mm", "mm", False, "water-equivalent path error over 192 rays to the brain"),
)
_SKULL = (
    Metric("dice_skull", "1", True, "the skull, both drawn by one TotalSegmentator"),
    Metric("hd95_skull", "mm", False, "95th percentile distance of the surfaces of that skull"),
)
_MR = (
    Metric("mr_leak", "1", False, "|mr_leak_corr| less |mr_leak_corr_ct|; above 0.2 is a leak"),
    Metric("mr_leak_slope", "HU", None, "soft-tissue detail of the pCT a unit of the MR's"),
    Metric("mr_leak_corr", "1", None, "its correlation with the MR's"),
    Metric("mr_leak_slope_ct", "HU", None, "the CT's own slope"),
    Metric("mr_leak_corr_ct", "1", None, "the CT's own correlation"),
    Metric("nmi_mr", "1", None, "mutual information with the MR in the head, 1 to 2"),
)
_BACKGROUND = (
    Metric("fog_hu", "HU", None, "mean further than 5 mm from the head; air is -1000"),
    Metric("fog_share", "1", False, "share above -900 HU further than 5 mm from the head"),
    *(Metric(f"bg_hu_{mm}", "HU", None, f"mean {mm} mm from the head") for mm in BINS),
    *(Metric(f"bg_share_{mm}", "1", False, f"share above -900 HU {mm} mm off") for mm in BINS),
)

METRICS = {
    metric.name: metric for metric in (*_IMAGE, *_CHALLENGES, *_SKULL, *_TISSUE, *_MR, *_BACKGROUND)
}
"""By name. Those of `_MR` need an MR on the CT's grid, those of `_SKULL` a segmenter."""

_LOOKS = (
    Metric("psnr", "dB", True, "slice-wise on [-1, 1]"),
    Metric("psnr_masked", "dB", True, "slice-wise, over mask pixels only"),
    Metric("psnr_masked_fill", "dB", True, "slice-wise, air outside the mask in both"),
    Metric("l1", "1", False, "mean distance of pCT and CT on [-1, 1]"),
    Metric("ngf", "1", False, "disagreement of edges, pCT against MR"),
    Metric("ngf_ct", "1", None, "the same of the CT: what a perfect pCT would have"),
    Metric("ngf_against_ct", "1", False, "disagreement of edges, pCT against CT"),
    Metric("bg", "1", False, "distance from air outside the head, on [-1, 1]"),
    Metric("idt", "1", False, "mean distance of G(CT) and CT on [-1, 1]"),
)
LOOKS = {metric.name: metric for metric in _LOOKS}
"""By name. What `pct.validate` measures after each epoch, as `val/NAME` in a history."""
