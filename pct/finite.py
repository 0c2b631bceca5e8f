"""No training goes on from NaN or infinity: which term it came from, and in which epoch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from data_prep.errors import PctError
from pct.world import sum_over_ranks


class NonFinite(PctError):
    """A loss, a gradient or a validation value became NaN or infinite."""


def require_finite(steps: Sequence[Mapping[str, Tensor]], *, epoch: int) -> None:
    """Raise `NonFinite` naming the epoch, the first step that is not finite, and its first term.

    A step's terms come in the order in which they are computed: what follows is spoilt by it.
    Every worker calls this alike and raises alike, a sum over workers being finite only where all
    are.
    """
    table = sum_over_ranks(torch.stack([torch.stack([*step.values()]) for step in steps]).float())
    bad = ~torch.isfinite(table)
    if not bad.any():
        return
    first = int(bad.any(dim=1).nonzero()[0])
    column = int(bad[first].nonzero()[0])
    name, value = list(steps[first])[column], float(table[first, column])
    raise NonFinite(
        f"epoch {epoch}: {name} is {value} from step {first + 1} of {len(steps)} on. "
        "Lower lr_g or lr_d, or set clip_norm; the last good checkpoint is kept."
    )
