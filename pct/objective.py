"""What G learns from in one batch: the terms of thesis eq. 2.1, on which pixels, with what weight.

Weights, regions and fills are read from the run here; `losses` and `ngf` hold the formulas.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data_prep.intensity import AIR_UNIT
from pct import losses, ngf
from pct.batches import Batch, Images
from pct.config import Run
from pct.loss_config import LossConfig
from pct.schedule import number_at


@dataclass(frozen=True)
class Weights:
    """The scheduled values of one epoch."""

    lambda_l1: float
    lambda_ngf: float
    lambda_gan: float
    lambda_bg: float
    lambda_idt: float
    ngf_alpha: float
    warmup: bool


def weights_at(run: Run, finished: int) -> Weights:
    """The weights of the epoch after `finished`."""
    schedule = run.schedule
    return Weights(
        lambda_l1=number_at(schedule.lambda_l1, finished),
        lambda_ngf=number_at(schedule.lambda_ngf, finished),
        lambda_gan=number_at(schedule.lambda_gan, finished),
        lambda_bg=number_at(schedule.lambda_bg, finished),
        lambda_idt=number_at(schedule.lambda_idt, finished),
        ngf_alpha=number_at(schedule.ngf_alpha, finished),
        warmup=finished < run.warmup_epochs,
    )


def target_of(batch: Batch, weights: Weights) -> Images:
    """What G is to make of the MR: the CT, or in warm-up the MR itself (thesis 2.4.2)."""
    return batch.mr if weights.warmup else batch.ct


def paired_terms(
    pct: Images, batch: Batch, *, weights: Weights, how: LossConfig
) -> dict[str, Tensor]:
    """L1, NGF and background, unweighted; a term of weight 0 is not computed."""
    target, terms = target_of(batch, weights), {}
    inside = batch.head if _by_mask(how) else None
    if weights.lambda_l1:
        one, other = (_multiplied(image, batch, how) for image in (pct, target))
        terms["loss/l1"] = losses.l1(one, other, inside)
    if weights.lambda_ngf:
        other = target if how.ngf_against == "ct" else batch.mr
        terms["loss/ngf"] = _ngf(pct, other, batch, alpha=weights.ngf_alpha, how=how)
    if weights.lambda_bg:
        over: losses.Over = "outside" if _by_mask(how) else "image"
        terms["loss/bg"] = losses.background(pct, 1.0 - batch.head, over=over)
    return terms


def _ngf(pct: Images, other: Images, batch: Batch, *, alpha: float, how: LossConfig) -> Tensor:
    pct, other = (_multiplied(image, batch, how) for image in (pct, other))
    if how.ngf_control == "shuffled":
        assert batch.patient is not None
        other = of_others(other, batch.patient)
    flat = alpha_by_pixel(alpha, batch, how)
    region = None if how.ngf_region == "image" else losses.erode(batch.head)
    if region is not None and how.ngf_region == "edge":
        region = region * ngf.edges(other, alpha=flat, gradient=how.ngf_gradient)
    return ngf.ngf(
        pct, other, alpha=flat, form=how.ngf_form, gradient=how.ngf_gradient, mask=region
    )


def alpha_by_pixel(alpha: float, batch: Batch, how: LossConfig) -> ngf.Alpha:
    """`alpha` in intensity per pixel, one a slice where the run gives it per mm."""
    if how.ngf_unit == "pixel":
        return alpha
    assert batch.pixel_mm is not None
    return alpha * batch.pixel_mm.view(-1, 1, 1, 1)


def of_others(images: Images, patient: Tensor) -> Images:
    """For each slice the image of the next one in the batch, round about, of another patient.

    No random number is drawn. Where the batch shows one patient only, flat images: nothing to
    agree with, and nothing to learn.
    """
    count = len(patient)
    at = torch.arange(count, device=patient.device)
    ahead = (at[None, :] - at[:, None]) % count
    stranger = patient[:, None] != patient[None, :]
    nearest = torch.where(stranger, ahead, count).argmin(dim=1)
    return images[nearest] * stranger.any(dim=1).view(-1, 1, 1, 1)


def identity_term(generator: nn.Module, batch: Batch, how: LossConfig) -> Tensor:
    """|G(CT) - CT|, on the pixels of the L1 term (thesis 2.3.4): a CT is to be left as it is."""
    with frozen_statistics(generator):
        again = generator(batch.ct).float()
    one, other = (_multiplied(image, batch, how) for image in (again, batch.ct))
    return losses.l1(one, other, batch.head if _by_mask(how) else None)


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Let batch norm use the batch's statistics without learning them: they are those of MR."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def weighted_sum(terms: dict[str, Tensor], weights: Weights) -> Tensor:
    """Thesis eq. 2.1 without its adversarial term."""
    by_name = {
        "loss/l1": weights.lambda_l1,
        "loss/ngf": weights.lambda_ngf,
        "loss/bg": weights.lambda_bg,
        "loss/idt": weights.lambda_idt,
    }
    return torch.stack([by_name[name] * term for name, term in terms.items()]).sum()


def fill(image: Images, head: Images, how: LossConfig) -> Images:
    """What the discriminator sees outside the head: the image itself, air, or 0."""
    if how.mask_fill == "none":
        return image
    outside = AIR_UNIT if how.mask_fill == "air" else 0.0
    return image * head + outside * (1.0 - head)


def _by_mask(how: LossConfig) -> bool:
    return how.mask_fill != "none" and how.mask_reduction == "mask_mean"


def _multiplied(image: Images, batch: Batch, how: LossConfig) -> Images:
    """M * image, where the thesis multiplies (Exp 4): 0 is +1000 HU, so the rim becomes an edge."""
    return image * batch.head if how.mask_fill == "zero" else image
