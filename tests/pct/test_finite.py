"""What is not finite ends the run, with its own name and not that of what it spoilt."""

import math
import sys

import pytest
import torch

from pct import losses, ngf
from pct import train as training
from pct.finite import NonFinite, require_finite
from pct.state import start, to_bytes
from pct.train import fit, train_epoch
from tests.tiny import disc_slices, tiny_run

TERMS = ("loss/l1", "loss/ngf", "loss/bg", "loss/gan", "loss/d", "loss/g")
GRADIENTS = ("the gradient of G", "the gradient of D")


def steps(count: int = 3) -> list[dict[str, torch.Tensor]]:
    return [dict.fromkeys((*TERMS, *GRADIENTS), torch.tensor(0.5)) for _ in range(count)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [*TERMS, *GRADIENTS])
def test_every_term_is_watched_for_nan_and_for_infinity(name, value):
    seen = steps()
    require_finite(seen, epoch=4)
    seen[1][name] = torch.tensor(value)
    with pytest.raises(NonFinite, match=rf"^epoch 4: {name} is {value} from step 2 of 3 on\."):
        require_finite(seen, epoch=4)


def test_the_first_step_is_to_blame_though_later_ones_break_in_earlier_terms():
    seen = steps()
    seen[1]["loss/ngf"] = torch.tensor(math.inf)
    seen[2] = dict.fromkeys(seen[2], torch.tensor(math.nan))
    with pytest.raises(NonFinite, match="loss/ngf is inf from step 2"):
        require_finite(seen, epoch=1)


@pytest.mark.parametrize(
    ("function", "term"),
    [
        (losses.l1, "loss/l1"),
        (ngf.ngf, "loss/ngf"),
        (losses.background, "loss/bg"),
        (losses.fooling, "loss/gan"),
    ],
)
def test_an_epoch_names_the_term_that_broke_and_not_those_it_spoilt(monkeypatch, function, term):
    calls = []

    def breaks(*args, **kwargs):
        calls.append(1)
        return function(*args, **kwargs) * (math.nan if len(calls) == 4 else 1.0)

    monkeypatch.setattr(sys.modules[function.__module__], function.__name__, breaks)
    run = tiny_run(schedule={"lambda_bg": 10})
    with pytest.raises(NonFinite, match=f"epoch 1: {term} is nan from step 4 of 10 on"):
        train_epoch(start(run), run, disc_slices(cases=3, per_case=20))


def test_an_adversarial_term_that_broke_is_named_too(monkeypatch):
    good, calls = training.losses.adversarial, []

    def breaks(*args, **kwargs):
        calls.append(1)  # on the fake for G, on the fake and on the real pair for D: three a step
        return good(*args, **kwargs) * (math.inf if len(calls) == 4 else 1.0)

    monkeypatch.setattr(training.losses, "adversarial", breaks)
    with pytest.raises(NonFinite, match="epoch 1: loss/gan is inf from step 2 of 10 on"):
        train_epoch(start(tiny_run()), tiny_run(), disc_slices(cases=3, per_case=20))


@pytest.mark.parametrize("net", ["generator", "discriminator"])
def test_a_gradient_that_breaks_in_the_last_step_is_seen_before_it_is_saved(
    monkeypatch, tiny_data, net
):
    """The losses of that step are finite, and no later one shows the weights it has spoilt."""
    run = tiny_run()
    state = start(run)
    parameter = next(getattr(state, net).parameters())
    calls = []

    def breaks(gradient):
        calls.append(1)
        return gradient * math.inf if len(calls) == breaks_at else gradient

    breaks_at = 2 if net == "generator" else 4  # D's parameters have two gradients a step
    parameter.register_hook(breaks)
    letter = {"generator": "G", "discriminator": "D"}[net]
    with pytest.raises(
        NonFinite, match=f"epoch 1: the gradient of {letter} is .* from step 2 of 2"
    ):
        fit(state, run, tiny_data, until=1)
    assert state.epoch == 0
    assert state.history == []


def test_a_selection_metric_that_is_not_a_number_ends_the_run(monkeypatch, tiny_data):
    monkeypatch.setattr(training, "validate", lambda *_: {"val/psnr_masked": math.nan})
    run = tiny_run()
    with pytest.raises(NonFinite, match="epoch 1: val/psnr_masked is nan, no generator can be"):
        fit(start(run), run, tiny_data, until=1)


def test_what_was_saved_before_stays_good(monkeypatch, tiny_data):
    run, saved = tiny_run(), []
    state = start(run)

    def keep(event, now):
        saved.append(to_bytes(now))
        broken = next(now.generator.parameters())
        with torch.no_grad():
            broken.fill_(math.nan)

    with pytest.raises(NonFinite, match="epoch 2"):
        fit(state, run, tiny_data, until=3, listeners=[keep])
    assert len(saved) == 1
