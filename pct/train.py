"""One step, one epoch, `fit`: the Pix2Pix objective of thesis eq. 2.1, in the order it is told."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from data_prep.schema import Slices as SliceTable
from pct import losses
from pct.augment import augment
from pct.batches import Batch, Images, epoch_order, make_batch, rank_rows
from pct.clip import clip_gradients, gradient_norm
from pct.config import Run
from pct.ema import follow
from pct.finite import NonFinite, require_finite
from pct.objective import (
    Weights,
    fill,
    identity_term,
    paired_terms,
    target_of,
    weighted_sum,
    weights_at,
)
from pct.schedule import number_at, value_at
from pct.state import Best, TrainState, restart_optimisers
from pct.validate import validate
from pct.world import (
    average_buffers,
    average_gradients,
    from_first,
    rank,
    sum_over_ranks,
    world_size,
)


@dataclass(frozen=True)
class TrainingData:
    """Slices to learn from and slices to look at."""

    train: SliceTable
    val: SliceTable


@dataclass(frozen=True)
class EpochEnd:
    """An epoch has finished; `metrics` are its row of the history, without `epoch` and `time`."""

    epoch: int
    metrics: dict[str, float]
    is_best: bool
    stopped: str | None
    """Why training ends here before its last epoch, or None."""


Listener = Callable[[EpochEnd, TrainState], None]
OnStep = Callable[[int, int], None]
"""Told after each step: finished epochs, and steps done since."""


def fit(
    state: TrainState,
    run: Run,
    data: TrainingData,
    *,
    until: int,
    listeners: Iterable[Listener] = (),
    on_step: OnStep = lambda epoch, done: None,
) -> TrainState:
    """Train until `until` finished epochs, or until the run's patience ends; tell listeners.

    Every worker calls it alike. A non-finite loss raises `NonFinite` naming epoch and term; the
    state is then not to be saved.
    """
    while state.epoch < until and not stop_reason(run, state.history):
        began = time.perf_counter()
        if _restarts(run, state.epoch):
            restart_optimisers(state, run)
        terms = train_epoch(state, run, data.train, on_step=on_step)
        seen = from_first(validate(state.judged, data.val, run) if rank() == 0 else {})
        state.epoch += 1
        metrics = {**terms, **seen, "time/epoch_s": time.perf_counter() - began}
        state.history.append({"epoch": state.epoch, "time": time.time(), **metrics})
        event = EpochEnd(
            state.epoch, metrics, _keep_best(state, run), stop_reason(run, state.history)
        )
        for listener in listeners:
            listener(event, state)
    return state


def train_epoch(
    state: TrainState, run: Run, table: SliceTable, *, on_step: OnStep = lambda epoch, done: None
) -> dict[str, float]:
    """One pass over the slices; mean of each loss term over steps and workers."""
    weights = weights_at(run, state.epoch)
    _set_rates(state, run)
    device = next(state.generator.parameters()).device
    order = epoch_order(len(table), seed=run.seed, epoch=state.epoch)
    state.generator.train()
    state.discriminator.train()
    totals: dict[str, Tensor] = {}
    seen: list[dict[str, Tensor]] = []
    for rows in rank_rows(order, batch=run.batch, rank=rank(), world=world_size()):
        batch = augment(make_batch(table, rows, run, device), flip=run.flip, how=run.augment)
        terms = train_step(state, batch, weights, run)
        del batch  # lest the next one be made beside it, in memory that no cache holds
        if state.ema:
            follow(state.ema, state.generator, decay=run.ema_decay)
        for name, term in terms.items():
            totals[name] = totals.get(name, torch.zeros((), device=device)) + term
        seen.append(terms | gradient_norms(state, terms))
        on_step(state.epoch, len(seen))
    require_finite(seen, epoch=state.epoch + 1)
    average_buffers(state.generator)
    if state.ema:
        average_buffers(state.ema.generator)
    scale = len(seen) * world_size()
    return {name: float(sum_over_ranks(total)) / scale for name, total in totals.items()}


def gradient_norms(state: TrainState, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Length of the gradients that made the step with these `terms`; D's only where D moved."""
    norms = {"the gradient of G": gradient_norm(state.generator.parameters())}
    if "loss/d" in terms:
        norms["the gradient of D"] = gradient_norm(state.discriminator.parameters())
    return norms


def train_step(state: TrainState, batch: Batch, weights: Weights, run: Run) -> dict[str, Tensor]:
    """Update G, then D, on one batch; the unweighted terms in use, detached.

    D sees the fake once: G's update does not touch D, so one graph serves both. Its gradient on
    the fake is handed to G's backward pass, then D's own loss goes through the same graph.
    """
    target = target_of(batch, weights)
    adversarial = weights.lambda_gan > 0 and not (weights.warmup and run.loss.warmup_gan == "off")
    bf16 = run.precision == "bfloat16"
    state.adam_g.zero_grad()
    with torch.autocast(batch.mr.device.type, torch.bfloat16, enabled=bf16):
        pct = state.generator(batch.mr).float()
        terms = paired_terms(pct, batch, weights=weights, how=run.loss)
        if weights.lambda_idt:
            terms["loss/idt"] = identity_term(state.generator, batch, run.loss)
        total = weighted_sum(terms, weights) if terms else 0.0 * pct.sum()
        if adversarial:
            mr_seen = fill(batch.mr, batch.head, run.loss)
            leaf = pct.detach().requires_grad_()
            logits = state.discriminator(mr_seen, fill(leaf, batch.head, run.loss))
            terms["loss/gan"] = losses.fooling(logits, kind=run.loss.gan)
    if adversarial:
        wish = weights.lambda_gan * terms["loss/gan"]
        (from_d,) = torch.autograd.grad(wish, leaf, retain_graph=True)
        torch.autograd.backward([total, pct], [None, from_d])
        total = total.detach() + wish.detach()
    else:
        torch.autograd.backward([total])
    average_gradients(state.generator.parameters())
    clip_gradients(state.generator.parameters(), run.clip_norm)
    state.adam_g.step()
    if adversarial:
        real = fill(target, batch.head, run.loss)
        terms["loss/d"] = _update_discriminator(state, logits, mr_seen, real, run)
    terms["loss/g"] = total
    return {name: term.detach() for name, term in terms.items()}


def _update_discriminator(
    state: TrainState, logits: list[Tensor], mr: Images, real: Images, run: Run
) -> Tensor:
    """D's step: half the loss on the fake (whose logits exist already), half on the real pair."""
    state.adam_d.zero_grad()
    parameters = list(state.discriminator.parameters())
    on_fake = 0.5 * losses.adversarial(logits, real=False, kind=run.loss.gan)
    torch.autograd.backward([on_fake], inputs=parameters)
    with torch.autocast(mr.device.type, torch.bfloat16, enabled=run.precision == "bfloat16"):
        logits_real = state.discriminator(mr, real)
    on_real = 0.5 * losses.adversarial(logits_real, real=True, kind=run.loss.gan)
    torch.autograd.backward([on_real])
    average_gradients(parameters)
    clip_gradients(parameters, run.clip_norm)
    state.adam_d.step()
    return (on_fake + on_real).detach()


def stop_reason(run: Run, history: list[dict[str, float]]) -> str | None:
    """Why a run with patience ends here, or None; from the history, so a resumed run agrees."""
    stop = run.stop
    if stop is None or len(history) < stop.after:
        return None
    best, best_epoch = -math.inf, 0
    for row in history:
        if row[stop.metric] > best + stop.min_delta:
            best, best_epoch = row[stop.metric], int(row["epoch"])
    waited = int(history[-1]["epoch"]) - best_epoch
    if waited < stop.patience:
        return None
    return (
        f"{stop.metric} has not risen by {stop.min_delta} for {waited} epochs "
        f"(best {best:.3f} at {best_epoch})"
    )


def _restarts(run: Run, finished: int) -> bool:
    steps = run.schedule.fork_restore
    return finished > 0 and value_at(steps, finished) == "weights" != value_at(steps, finished - 1)


def _set_rates(state: TrainState, run: Run) -> None:
    rates = ((state.adam_g, run.schedule.lr_g), (state.adam_d, run.schedule.lr_d))
    for adam, steps in rates:
        for group in adam.param_groups:
            group["lr"] = number_at(steps, state.epoch)


def _keep_best(state: TrainState, run: Run) -> bool:
    value = state.history[-1][run.select.metric]
    if not math.isfinite(value):
        raise NonFinite(
            f"epoch {state.epoch}: {run.select.metric} is {value}, no generator can be selected "
            "by it. Choose another select.metric; the last good checkpoint is kept."
        )
    if state.best is not None and not value > state.best.value:
        return False
    weights = {k: v.detach().clone() for k, v in state.judged.state_dict().items()}
    state.best = Best(state.epoch, value, weights)
    return True
