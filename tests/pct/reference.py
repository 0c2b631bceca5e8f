"""Pix2Pix as a textbook writes it: two forward passes of D, no shared graph, every formula anew."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pct.batches import Batch
from pct.config import Run
from pct.state import TrainState
from pct.train import Weights

SOBEL_X = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8


def reference_step(
    state: TrainState, batch: Batch, weights: Weights, run: Run
) -> dict[str, Tensor]:
    """G's update by all of its losses, then D's on the same images, detached."""
    target = batch.mr if weights.warmup else batch.ct
    pct = state.generator(batch.mr)
    total, terms = paired(pct, batch, target, weights, run)
    adversarial = weights.lambda_gan > 0 and not (weights.warmup and run.loss.warmup_gan == "off")
    mr, real, fake = (seen(image, batch.head, run) for image in (batch.mr, target, pct))
    if adversarial:
        terms["loss/gan"] = wish(state.discriminator(mr, fake), 1.0, run)
        total = total + weights.lambda_gan * terms["loss/gan"]
    state.adam_g.zero_grad()
    total.backward()
    state.adam_g.step()
    if adversarial:
        state.adam_d.zero_grad()
        on_real = wish(state.discriminator(mr, real), 1.0, run)
        on_fake = wish(state.discriminator(mr, fake.detach()), 0.0, run)
        terms["loss/d"] = 0.5 * (on_real + on_fake)
        terms["loss/d"].backward()
        state.adam_d.step()
    terms["loss/g"] = total
    return {name: value.detach() for name, value in terms.items()}


def paired(pct: Tensor, batch: Batch, target: Tensor, weights: Weights, run: Run):
    head, how = batch.head, run.loss
    by_mask = how.mask_fill != "none" and how.mask_reduction == "mask_mean"
    times = head if how.mask_fill == "zero" else torch.ones_like(head)
    everywhere = torch.ones_like(head)
    inside = head if by_mask else everywhere
    inner = (F.avg_pool2d(F.pad(head, (1, 1, 1, 1), value=1.0), 3, stride=1) > 0.999).float()
    outside = 1 - head

    terms, total = {}, torch.zeros(())
    if weights.lambda_l1:
        terms["loss/l1"] = mean_over((pct * times - target * times).abs(), inside)
        total = total + weights.lambda_l1 * terms["loss/l1"]
    if weights.lambda_ngf:
        cosine2 = squared_cosine(pct * times, batch.mr * times, weights.ngf_alpha)
        terms["loss/ngf"] = 1 - 0.5 * mean_over(cosine2, inner if by_mask else everywhere)
        total = total + weights.lambda_ngf * terms["loss/ngf"]
    if weights.lambda_bg:
        distance = (pct + 1).abs() * outside
        terms["loss/bg"] = mean_over(distance, outside if by_mask else everywhere)
        total = total + weights.lambda_bg * terms["loss/bg"]
    return total, terms


def squared_cosine(one: Tensor, other: Tensor, alpha: float) -> Tensor:
    kernels = torch.stack([SOBEL_X, SOBEL_X.T])[:, None]

    def gradient(image: Tensor) -> Tensor:
        return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernels)

    u, v = gradient(one), gradient(other)
    dot = (u * v).sum(1, keepdim=True)
    return (
        dot**2 / ((u**2).sum(1, keepdim=True) + alpha**2) / ((v**2).sum(1, keepdim=True) + alpha**2)
    )


def mean_over(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum()


def seen(image: Tensor, head: Tensor, run: Run) -> Tensor:
    outside = {"none": image, "air": -torch.ones_like(image), "zero": torch.zeros_like(image)}
    return torch.where(head > 0, image, outside[run.loss.mask_fill])


def wish(logits: list[Tensor], label: float, run: Run) -> Tensor:
    each = []
    for scale in logits:
        if run.loss.gan == "lsgan":
            each.append(((scale - label) ** 2).mean())
        else:
            signed = scale if label else -scale
            each.append(-F.logsigmoid(signed).mean())
    return sum(each) / len(each)
