"""The length of a network's gradient: measured, and limited."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean length of all gradients together; NaN or infinite as soon as one of them is."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> None:
    """Shorten the gradient to at most `limit`, its direction kept; 0 leaves it alone.

    Called after workers have averaged, so that all shorten alike (Pascanu et al., ICML 2013).
    """
    if limit:
        torch.nn.utils.clip_grad_norm_(list(parameters), limit)
