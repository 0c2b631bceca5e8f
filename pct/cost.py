"""What a run's networks cost, before they are built: parameters, multiplications, memory."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pct.config import BadConfig, Run
from pct.networks import Discriminator, Generator, count_parameters

BYTES_A_PARAMETER = 16
"""In training, float32: weight, gradient and Adam's two moments."""

WORKING_SHARE = 0.4
"""Of what is saved for the backward pass, on top of it: gradients on their way, the losses' images
and blocks that the allocator keeps. Measured: 0.1 of live tensors, 0.35 to 0.8 of resident memory.
"""


@dataclass(frozen=True)
class Cost:
    """Of one run. Multiply-accumulates (MACs) are a slice's forward pass, convolutions alone."""

    generator_parameters: int
    discriminator_parameters: int
    generator_macs: int
    discriminator_macs: int
    state_bytes: int
    """Weights, gradients and optimisers of both."""
    activation_bytes: int
    """What a step on one worker's share of a batch saves for the backward pass."""

    @property
    def training_bytes(self) -> int:
        """Estimate of a step's peak, on each worker."""
        return self.state_bytes + round((1 + WORKING_SHARE) * self.activation_bytes)


def cost_of(run: Run) -> Cost:
    """Count on the meta device: nothing is allocated or computed.

    A step holds the generator's and one of the discriminator's graphs at a time. `precision: auto`
    counts as float32.
    """
    generator, discriminator = _on_meta(lambda: Generator(run.generator)), _discriminator(run)
    parameters = count_parameters(generator), count_parameters(discriminator)
    side = run.data.size
    one = torch.empty(1, 1, side, side, device="meta")
    macs = _macs(lambda: generator(one)), _macs(lambda: discriminator(one, one))
    if run.precision == "bfloat16":
        generator, discriminator = generator.bfloat16(), discriminator.bfloat16()
        one = one.bfloat16()
    many = one.expand(run.batch // run.workers, 1, side, side)
    saved = _saved_bytes(generator, many) + _saved_bytes(discriminator, many, many)
    return Cost(*parameters, *macs, sum(parameters) * BYTES_A_PARAMETER, saved)


def refuse_above_budget(run: Run) -> None:
    """Raise `BadConfig` where both networks together have more than `max_parameters`."""
    generator = count_parameters(_on_meta(lambda: Generator(run.generator)))
    discriminator = count_parameters(_discriminator(run))
    total = generator + discriminator
    if total > run.max_parameters:
        raise BadConfig(
            f"the networks have {total:,} parameters (generator {generator:,}, discriminator "
            f"{discriminator:,}), above max_parameters {run.max_parameters:,}. Make "
            "generator.channels or discriminator.layers smaller, or, with "
            f"{total * BYTES_A_PARAMETER / 1e9:,.1f} GB to train them in, set "
            f"max_parameters={total}."
        )


def _discriminator(run: Run) -> nn.Module:
    return _on_meta(lambda: Discriminator(run.discriminator))


def _on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


def _macs(forward: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        forward()
    return int(counter.get_total_flops()) // 2


def _saved_bytes(model: nn.Module, *inputs: Tensor) -> int:
    """Size of what autograd keeps of a forward pass, weights left out, shared storage once."""
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    storages = {}  # held, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            storages[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(*inputs)
    del output
    return sum(storage.nbytes() for storage in storages.values())
