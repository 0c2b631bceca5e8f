"""A moving average of the generator: what validation, selection and promotion see when it is on."""

import copy
from dataclasses import dataclass

import torch

from pct.networks import Generator


@dataclass
class Ema:
    """The average, in evaluation mode, and how many steps have gone into it."""

    generator: Generator
    updates: int = 0


def begin_average(generator: Generator) -> Ema:
    """An average that starts as a copy of the generator."""
    return Ema(copy.deepcopy(generator).eval().requires_grad_(False))


@torch.no_grad()
def follow(ema: Ema, generator: Generator, *, decay: float) -> None:
    """Move the average towards the generator: average = d average + (1 - d) generator.

    d is min(decay, (1 + n) / (10 + n)) after n updates, so that a short run is not held back by
    its first weights (the ramp of tf.train.ExponentialMovingAverage). Running statistics of batch
    norm are averaged alike, since they belong to the weights of their time; counters are copied.
    """
    kept = min(decay, (1 + ema.updates) / (10 + ema.updates))
    averages, now = [], []
    for average, value in zip(
        ema.generator.state_dict().values(), generator.state_dict().values(), strict=True
    ):
        if average.is_floating_point():
            averages.append(average)
            now.append(value)
        else:
            average.copy_(value)
    torch._foreach_lerp_(averages, now, 1.0 - kept)
    ema.updates += 1
