"""Several workers on one batch: sums and gradient means, in a fixed order.

Gradients are averaged by hand, parameter by parameter: PyTorch's DDP rebuilds its buckets after
the first step, so a resumed run would add in another order than one that never stopped.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, distributed, nn


def world_size() -> int:
    """Number of workers; 1 outside a process group."""
    return distributed.get_world_size() if _together() else 1


def rank() -> int:
    """This worker's number, from 0."""
    return distributed.get_rank() if _together() else 0


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of `value` over all workers."""
    if world_size() > 1:
        value = value.clone()
        distributed.all_reduce(value)
    return value


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the workers, in parameter order."""
    size = world_size()
    if size == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= size


def average_buffers(model: nn.Module) -> None:
    """Replace running statistics by their mean over the workers, so all hold the same model."""
    size = world_size()
    if size == 1:
        return
    for buffer in model.buffers():
        if buffer.is_floating_point():
            distributed.all_reduce(buffer)
            buffer /= size


def gather(value: Any) -> list[Any]:
    """Every worker's `value`, in rank order, on every worker."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    distributed.all_gather_object(values, value)
    return values


def from_first(value: Any) -> Any:
    """Rank 0's `value` on every worker."""
    if world_size() == 1:
        return value
    shared = [value]
    distributed.broadcast_object_list(shared, src=0)
    return shared[0]
