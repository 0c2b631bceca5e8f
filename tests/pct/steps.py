"""Single training steps on tiny batches, and how far two states lie apart."""

from pct.objective import weights_at
from pct.state import start
from pct.train import train_step
from tests.tiny import tiny_batch


def gentle(state):
    """Raise Adam's eps: it would blow up rounding where gradients are 0 (biases before a norm)."""
    for adam, eps in ((state.adam_g, 0.1), (state.adam_d, 1e-2)):
        for group in adam.param_groups:
            group["eps"] = eps
    return state


def difference(one, other) -> float:
    """The largest over all weights and running statistics."""
    pairs = zip([*one.state_dict().values()], [*other.state_dict().values()], strict=True)
    return max((a - b).abs().max().item() for a, b in pairs if a.is_floating_point())


def largest_difference(one, other) -> float:
    return max(
        difference(one.generator, other.generator),
        difference(one.discriminator, other.discriminator),
    )


def steps_of(run, count: int, *, finished: int = 0, step=train_step, begin=gentle):
    state = begin(start(run))
    state.generator.train()
    terms = [
        step(state, tiny_batch(seed, run), weights_at(run, finished), run) for seed in range(count)
    ]
    return state, terms
