"""The limit of a gradient's length."""

import math

import pytest
import torch

from pct import train as training
from pct.clip import clip_gradients, gradient_norm
from pct.state import start
from pct.train import fit
from tests.tiny import tiny_batch, tiny_run


def parameters(*gradients: list[float] | None) -> list[torch.nn.Parameter]:
    made = []
    for gradient in gradients:
        parameter = torch.nn.Parameter(torch.zeros(len(gradient or [0])))
        parameter.grad = None if gradient is None else torch.tensor(gradient)
        made.append(parameter)
    return made


def test_the_norm_is_that_of_all_gradients_together():
    assert gradient_norm(parameters([3.0], None, [0.0, 4.0])).item() == 5
    assert math.isnan(gradient_norm(parameters([3.0], [math.nan])).item())
    assert gradient_norm(parameters([math.inf], [1.0])).item() == math.inf


def test_a_long_gradient_is_shortened_in_its_direction_and_a_short_one_left_alone():
    long, short, free = (parameters([3.0], None, [0.0, 4.0]) for _ in range(3))
    clip_gradients(long, 1.0)
    clip_gradients(short, 5.5)
    clip_gradients(free, 0)
    assert torch.allclose(long[0].grad, torch.tensor([0.6]), atol=1e-6)
    assert torch.allclose(long[2].grad, torch.tensor([0.0, 0.8]), atol=1e-6)
    for untouched in (short, free):
        assert untouched[0].grad.tolist() == [3]
        assert untouched[2].grad.tolist() == [0, 4]


def test_what_is_not_a_number_is_not_hidden_by_the_limit():
    for bad in (math.nan, math.inf):
        broken = parameters([3.0], [bad])
        clip_gradients(broken, 1.0)
        assert not math.isfinite(gradient_norm(broken).item())


@pytest.mark.parametrize("limit", [1e-3, 1e6])
def test_both_networks_step_with_gradients_within_the_limit(limit):
    run = tiny_run(clip_norm=limit)
    state = start(run)
    state.generator.train()
    terms = training.train_step(state, tiny_batch(0, run), training.weights_at(run, 0), run)
    norms = training.gradient_norms(state, terms)
    assert set(norms) == {"the gradient of G", "the gradient of D"}
    for norm in norms.values():
        assert 1e-4 < norm.item() <= limit * 1.0001


def test_the_limit_changes_training_only_where_it_is_reached(tiny_data):
    plain, wide, narrow = (
        fit(start(run), run, tiny_data, until=1).generator.state_dict()
        for run in (tiny_run(), tiny_run(clip_norm=1e9), tiny_run(clip_norm=1e-4))
    )
    assert all(torch.equal(plain[name], wide[name]) for name in plain)
    assert not all(torch.equal(plain[name], narrow[name]) for name in plain)
