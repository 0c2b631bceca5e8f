"""The moving average of the generator: its values, its running statistics, who sees it."""

import pytest
import torch

from pct.ema import begin_average, follow
from pct.networks import Generator
from pct.state import start
from pct.train import fit
from pct.validate import validate
from tests.tiny import tiny_run


def constant(value: float) -> Generator:
    generator = Generator(tiny_run().generator)
    with torch.no_grad():
        for tensor in generator.state_dict().values():
            tensor.fill_(value)
    return generator


def values(generator: Generator) -> list[float]:
    return sorted({v for t in generator.state_dict().values() for v in t.unique().tolist()})


def test_the_average_is_that_of_its_formula_ramp_and_all():
    ema, expected = begin_average(constant(0)), 0.0
    for step in range(40):
        value = float(step % 3)
        follow(ema, constant(value), decay=0.8)
        kept = min(0.8, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value
    floats = [t for t in ema.generator.state_dict().values() if t.is_floating_point()]
    for tensor in floats:
        torch.testing.assert_close(tensor, torch.full_like(tensor, expected))
    assert ema.updates == 40


def test_running_statistics_are_averaged_and_counters_copied():
    ema = begin_average(constant(0))
    follow(ema, constant(10), decay=0.5)
    state = ema.generator.state_dict()
    statistics = [t for name, t in state.items() if name.endswith(("running_mean", "running_var"))]
    counters = [t for name, t in state.items() if name.endswith("num_batches_tracked")]
    assert statistics
    assert counters
    assert {t.unique().item() for t in statistics} == {9.0}, "d is 1/10 at first"
    assert {t.item() for t in counters} == {10}


def test_the_average_lies_apart_from_the_generator_and_is_not_trained():
    generator = constant(1)
    ema = begin_average(generator)
    assert not ema.generator.training
    assert not any(p.requires_grad for p in ema.generator.parameters())
    with torch.no_grad():
        next(generator.parameters()).fill_(5)
    assert values(ema.generator) == [1.0]


def test_an_average_of_no_memory_is_the_generator_itself(tiny_data):
    """At a decay next to 0 all that the average decides must be what the weights decide."""
    plain = fit(start(tiny_run()), tiny_run(), tiny_data, until=2)
    run = tiny_run(ema_decay=1e-12)
    averaged = fit(start(run), run, tiny_data, until=2)
    for name, tensor in plain.generator.state_dict().items():
        assert torch.equal(averaged.generator.state_dict()[name], tensor), "training is untouched"
        torch.testing.assert_close(averaged.judged.state_dict()[name], tensor)
    assert averaged.best.value == pytest.approx(plain.best.value, abs=1e-4)


def test_validation_selection_and_the_best_weights_are_those_of_the_average(tiny_data):
    run = tiny_run(ema_decay=0.99, epochs=3)
    seen = []

    def look(event, state):
        seen.append(
            (
                event.metrics["val/psnr_masked"],
                validate(state.ema.generator, tiny_data.val, run)["val/psnr_masked"],
                validate(state.generator, tiny_data.val, run)["val/psnr_masked"],
            )
        )
        if event.is_best:
            for name, tensor in state.ema.generator.state_dict().items():
                assert torch.equal(state.best.weights[name], tensor)

    state = fit(start(run), run, tiny_data, until=3, listeners=[look])
    for told, averaged, live in seen:
        assert told == averaged != live
    assert state.best.value == max(told for told, _, _ in seen)


def test_without_a_decay_there_is_no_average():
    state = start(tiny_run())
    assert state.ema is None
    assert state.judged is state.generator


def test_a_fork_from_weights_alone_begins_its_average_anew(tiny_data):
    run = tiny_run(ema_decay=0.9, schedule={"fork_restore": {0: "full", 2: "weights"}})
    counts = []
    fit(
        start(run), run, tiny_data, until=3,
        listeners=[lambda event, state: counts.append(state.ema.updates)],
    )  # fmt: skip
    assert counts == [2, 4, 2], "two steps an epoch"
