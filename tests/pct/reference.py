"""Pix2Pix as a textbook writes it: two forward passes of D, no shared graph, every formula anew."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pct.batches import Batch
from pct.config import Run
from pct.objective import Weights
from pct.state import TrainState

KERNEL_X = {
    "sobel": torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8,
    "diff": torch.tensor([[0.0, 0.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]) / 2,
}


def reference_step(
    state: TrainState, batch: Batch, weights: Weights, run: Run
) -> dict[str, Tensor]:
    """G's update by all of its losses, then D's on the same images, detached."""
    target = batch.mr if weights.warmup else batch.ct
    pct = state.generator(batch.mr)
    total, terms = paired(pct, batch, target, weights, run)
    if weights.lambda_idt:
        terms["loss/idt"] = identity(state, batch, run)
        total = total + weights.lambda_idt * terms["loss/idt"]
    adversarial = weights.lambda_gan > 0 and not (weights.warmup and run.loss.warmup_gan == "off")
    mr, real, fake = (seen(image, batch.head, run) for image in (batch.mr, target, pct))
    if adversarial:
        terms["loss/gan"] = wish(state.discriminator(mr, fake), 1.0, run, of_g=True)
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
    outside = 1 - head

    terms, total = {}, torch.zeros(())
    if weights.lambda_l1:
        difference = (pct * times - target * times).abs()
        terms["loss/l1"] = mean_over(difference, head if by_mask else everywhere)
        total = total + weights.lambda_l1 * terms["loss/l1"]
    if weights.lambda_ngf:
        terms["loss/ngf"] = fields(pct * times, batch, target * times, weights, run)
        total = total + weights.lambda_ngf * terms["loss/ngf"]
    if weights.lambda_bg:
        distance = (pct + 1).abs() * outside
        terms["loss/bg"] = mean_over(distance, outside if by_mask else everywhere)
        total = total + weights.lambda_bg * terms["loss/bg"]
    return total, terms


def fields(pct: Tensor, batch: Batch, target: Tensor, weights: Weights, run: Run) -> Tensor:
    """NGF with every switch of it."""
    how, head = run.loss, batch.head
    other = target if how.ngf_against == "ct" else batch.mr
    if how.mask_fill == "zero":
        other = other * head
    if how.ngf_control == "shuffled":
        other = torch.stack([stranger(index, other, batch) for index in range(len(other))])
    alpha = torch.full((len(pct), 1, 1, 1), weights.ngf_alpha)
    if how.ngf_unit == "mm":
        alpha = alpha * batch.pixel_mm[:, None, None, None]
    inner = (F.avg_pool2d(F.pad(head, (1, 1, 1, 1), value=1.0), 3, stride=1) > 0.999).float()
    steep = gradient(other, how.ngf_gradient).norm(dim=1, keepdim=True) > alpha
    region = {"image": torch.ones_like(head), "head": inner, "edge": inner * steep}
    u, v = gradient(pct, how.ngf_gradient), gradient(other, how.ngf_gradient)
    dot = (u * v).sum(1, keepdim=True)
    norms = [(g**2).sum(1, keepdim=True) + alpha**2 for g in (u, v)]
    cosine2 = dot**2 / norms[0] / norms[1]
    factor = 0.5 if how.ngf_form == "half" else 1.0
    return 1 - factor * mean_over(cosine2, region[how.ngf_region])


def gradient(image: Tensor, kind: str) -> Tensor:
    kernels = torch.stack([KERNEL_X[kind], KERNEL_X[kind].T])[:, None]
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernels)


def stranger(index: int, images: Tensor, batch: Batch) -> Tensor:
    count = len(images)
    for step in range(1, count):
        at = (index + step) % count
        if batch.patient[at] != batch.patient[index]:
            return images[at]
    return torch.zeros_like(images[index])


def identity(state: TrainState, batch: Batch, run: Run) -> Tensor:
    """|G(CT) - CT|; what batch norm learns from it is thrown away."""
    copies = {name: value.clone() for name, value in state.generator.named_buffers()}
    again = torch.func.functional_call(state.generator, copies, batch.ct)
    by_mask = run.loss.mask_fill != "none" and run.loss.mask_reduction == "mask_mean"
    times = batch.head if run.loss.mask_fill == "zero" else torch.ones_like(batch.head)
    inside = batch.head if by_mask else torch.ones_like(batch.head)
    return mean_over((again - batch.ct).abs() * times, inside)


def mean_over(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum()


def seen(image: Tensor, head: Tensor, run: Run) -> Tensor:
    outside = {"none": image, "air": -torch.ones_like(image), "zero": torch.zeros_like(image)}
    return torch.where(head > 0, image, outside[run.loss.mask_fill])


def wish(logits: list[Tensor], label: float, run: Run, *, of_g: bool = False) -> Tensor:
    each = []
    for scale in logits:
        signed = scale if label else -scale
        if run.loss.gan == "lsgan":
            each.append(((scale - label) ** 2).mean())
        elif run.loss.gan == "bce":
            each.append(-F.logsigmoid(signed).mean())
        else:
            each.append(-signed.mean() if of_g else (1 - signed).clamp(min=0).mean())
    return sum(each) / len(each)
