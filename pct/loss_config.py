"""Settings of the objective: how each loss term is formed, and its weight over epochs. Light."""

from typing import Literal

from pydantic import Field, field_validator

from pct.frozen import Frozen
from pct.schedule import Numbers, Restore, Steps


class LossConfig(Frozen):
    """How each loss term is formed; the weights are schedules."""

    gan: Literal["lsgan", "bce", "hinge"] = "lsgan"
    """Mao et al., ICCV 2017; Isola et al., CVPR 2017; Lim and Ye, Geometric GAN, 2017."""
    ngf_form: Literal["half", "full"] = "half"
    """`half`: 1 - mean(c^2)/2 (thesis eq. 2.2); `full`: mean(1 - c^2) (thesis 1.4), twice as
    strong at the same weight."""
    ngf_region: Literal["image", "head", "edge"] = "image"
    """Pixels that NGF is a mean over: all; the head but for its rim of one pixel; of these the
    ones where the image compared with is steeper than alpha."""
    ngf_against: Literal["mr", "ct"] = "mr"
    """Whose edges the pseudo-CT's are compared with; `ct` is the target, in warm-up the MR."""
    ngf_control: Literal["none", "shuffled"] = "none"
    """`shuffled`: a placebo, the edges are those of another patient's slice in the batch."""
    ngf_gradient: Literal["sobel", "diff"] = "sobel"
    """Central differences, smoothed across (kornia's default) or plain; the thesis names none."""
    ngf_unit: Literal["pixel", "mm"] = "pixel"
    """What alpha, a slope, counts by: `mm` means the same on any grid."""
    mask_fill: Literal["none", "air", "zero"] = "none"
    """Outside the head: as is; air for D and left out of L1; or 0 everywhere (Exp 4)."""
    mask_reduction: Literal["mask_mean", "image_mean"] = "mask_mean"
    """Where there is a fill, L1 and background are means over their own pixels or over all."""
    warmup_gan: Literal["on", "off"] = "off"


class Schedules(Frozen):
    """Values over epochs: a number, or {finished epochs: value}."""

    lambda_l1: Numbers = Field(140.0, validate_default=True)
    lambda_ngf: Numbers = Field(20.0, validate_default=True)
    lambda_gan: Numbers = Field(1.0, validate_default=True)
    lambda_bg: Numbers = Field(0.0, validate_default=True)
    lambda_idt: Numbers = Field(0.0, validate_default=True)
    """Weight of |G(CT) - CT| (thesis 2.3.4), for example {0: 5, 2: 0}: in the warm-up only."""
    ngf_alpha: Numbers = Field(0.08, validate_default=True)
    lr_g: Numbers = Field(2e-4, validate_default=True)
    lr_d: Numbers = Field(2e-4, validate_default=True)
    fork_restore: Restore = Field("full", validate_default=True)
    """`weights` from an epoch on: at that epoch all state but the weights starts anew."""

    @field_validator("ngf_alpha")
    @classmethod
    def _divides(cls, steps: Steps) -> Steps:
        for key, value in steps:
            if not value:
                raise ValueError(
                    f"is 0 from {key}; expected a number above 0, for where both images are flat "
                    "NGF would divide 0 by 0"
                )
        return steps
