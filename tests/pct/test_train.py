"""The Pix2Pix step, the epoch around it, and what ends a run."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pct import train as training
from pct.config import NUMERICS, Stop
from pct.finite import NonFinite
from pct.state import from_bytes, start, to_bytes
from pct.train import fit, stop_reason, train_epoch, train_step, weights_at
from tests.pct.reference import reference_step
from tests.pct.steps import difference, largest_difference, steps_of
from tests.tiny import disc_slices, tiny_batch, tiny_run


@pytest.mark.parametrize("warmup_gan", ["on", "off"])
def test_warm_up_steps_equal_those_with_the_mr_as_target(warmup_gan):
    run = tiny_run(warmup_epochs=2, loss={"warmup_gan": warmup_gan})
    state, terms = steps_of(run, 2, finished=1)
    expected, _ = steps_of(run, 2, finished=1, step=reference_step)
    assert largest_difference(state, expected) < 1e-6
    assert ("loss/gan" in terms[0]) == ("loss/d" in terms[0]) == (warmup_gan == "on")
    after, _ = steps_of(run, 2, finished=2)
    assert largest_difference(state, after) > 1e-4


def test_without_the_adversarial_term_in_warm_up_the_discriminator_is_left_alone():
    run = tiny_run(warmup_epochs=2)
    state, _ = steps_of(run, 2)
    assert difference(state.discriminator, start(run).discriminator) == 0


def test_a_run_with_nothing_but_the_adversarial_term_trains():
    run = tiny_run(schedule={"lambda_l1": 0, "lambda_ngf": 0, "lambda_bg": 0})
    state, terms = steps_of(run, 1)
    assert terms[0].keys() == {"loss/gan", "loss/d", "loss/g"}
    assert largest_difference(state, start(run)) > 1e-5


def test_the_loss_of_g_is_the_weighted_sum_of_its_terms():
    weights = {"l1": 140, "ngf": 20, "gan": 3, "bg": 7, "idt": 2}
    run = tiny_run(schedule={f"lambda_{name}": value for name, value in weights.items()})
    _, (terms,) = steps_of(run, 1)
    weighted = (
        140 * terms["loss/l1"]
        + 20 * terms["loss/ngf"]
        + 3 * terms["loss/gan"]
        + 7 * terms["loss/bg"]
        + 2 * terms["loss/idt"]
    )
    assert terms["loss/g"].item() == pytest.approx(weighted.item(), rel=1e-6)


def test_the_discriminator_sees_air_outside_the_head_where_the_run_says_so():
    for mask_fill, outside in (("air", -1.0), ("zero", 0.0)):
        run = tiny_run(loss={"mask_fill": mask_fill})
        batch = tiny_batch(0, run)
        filled = training.fill(batch.mr, batch.head, run.loss)
        assert filled[batch.head == 0].unique().tolist() == [outside]
        assert torch.equal(filled[batch.head > 0], batch.mr[batch.head > 0])
    assert (
        training.fill(batch.mr, batch.head, tiny_run(loss={"mask_fill": "none"}).loss) is batch.mr
    )


GOLDEN = [
    {
        "loss/l1": 0.3638435,
        "loss/ngf": 0.8601718,
        "loss/bg": 0.8516163,
        "loss/gan": 0.9841545,
        "loss/d": 0.5467123,
        "loss/g": 77.64184,
    },
    {
        "loss/l1": 0.2823642,
        "loss/ngf": 0.8695294,
        "loss/bg": 0.844404,
        "loss/gan": 0.914667,
        "loss/d": 0.5067601,
        "loss/g": 66.28027,
    },
    {
        "loss/l1": 0.2237602,
        "loss/ngf": 0.8706705,
        "loss/bg": 0.8314613,
        "loss/gan": 0.8508824,
        "loss/d": 0.487045,
        "loss/g": 57.90533,
    },
]
"""Terms of three steps on tiny data under numerics 3."""


def test_the_losses_of_three_steps_are_those_of_these_numerics():
    _, terms = steps_of(tiny_run(schedule={"lambda_bg": 10}), 3, begin=lambda state: state)
    for step, (found, expected) in enumerate(zip(terms, GOLDEN, strict=True), 1):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name].item() == pytest.approx(value, rel=1e-4), (
                f"{name} of step {step} is {found[name].item():.7g}. If the change is meant, raise "
                f"pct.config.NUMERICS (now {NUMERICS}) and write the new values here."
            )


def test_an_epoch_that_blows_up_is_named_with_its_term(tiny_data):
    run = tiny_run()
    state = fit(start(run), run, tiny_data, until=2)
    broken = replace(tiny_data.train, mr_slope=tiny_data.train.mr_slope * np.nan)
    with pytest.raises(NonFinite, match=r"epoch 3: loss/l1 is nan from step 1 of 2 on\. Lower"):
        train_epoch(state, run, broken)


def history(*values: float) -> list[dict[str, float]]:
    return [{"epoch": n, "val/psnr": v} for n, v in enumerate(values, 1)]


def test_patience_ends_a_run_that_has_stopped_to_improve():
    run = tiny_run(epochs=9, stop={"patience": 2, "min_delta": 0.5, "after": 3})
    rising = (20, 21, 22, 23, 24)
    assert stop_reason(run, history(*rising)) is None
    assert stop_reason(run, history(20, 20.4)) is None, "not before `after`"
    assert stop_reason(run, history(20, 21, 21.4)) is None, "one epoch is not two"
    assert stop_reason(run, history(20, 21, 21.4, 21.4)) == (
        "val/psnr has not risen by 0.5 for 2 epochs (best 21.000 at 2)"
    )
    assert stop_reason(tiny_run(), history(20, 20, 20, 20, 20)) is None


def test_a_slow_rise_counts_from_the_last_epoch_that_rose_enough():
    run = tiny_run(epochs=9, stop={"patience": 3, "min_delta": 0.5, "after": 3})
    assert stop_reason(run, history(20, 20.3, 20.6, 20.7, 20.8)) is None
    assert "best 20.600 at 3" in stop_reason(run, history(20, 20.3, 20.6, 20.7, 20.8, 20.9))


def test_a_stopped_run_ends_at_the_same_epoch_when_it_was_resumed(tiny_data):
    run = tiny_run(stop=Stop(patience=2, min_delta=50, after=3).model_dump())
    events = []
    straight = fit(start(run), run, tiny_data, until=6, listeners=[lambda e, _: events.append(e)])
    assert straight.epoch == 3
    assert [bool(event.stopped) for event in events] == [False, False, True]
    half = to_bytes(fit(start(run), run, tiny_data, until=2))
    resumed = fit(from_bytes(half, run), run, tiny_data, until=6)
    assert resumed.epoch == 3
    assert resumed.fingerprint() == straight.fingerprint()


def test_the_best_generator_is_that_of_the_best_epoch(tiny_data):
    run, kept = tiny_run(select={"metric": "val/psnr"}), {}

    def keep(event, state):
        kept[event.epoch] = (event, {k: v.clone() for k, v in state.generator.state_dict().items()})

    state = fit(start(run), run, tiny_data, until=6, listeners=[keep])
    values = {epoch: event.metrics["val/psnr"] for epoch, (event, _) in kept.items()}
    best = max(values, key=values.get)
    assert (state.best.epoch, state.best.value) == (best, values[best])
    for name, value in kept[best][1].items():
        assert torch.equal(state.best.weights[name], value)
    so_far = [max(list(values.values())[:n], default=-math.inf) for n in range(6)]
    assert [event.is_best for event, _ in kept.values()] == [
        value > before for value, before in zip(values.values(), so_far, strict=True)
    ]


def test_training_makes_the_pseudo_ct_better(tiny_data):
    run = tiny_run(epochs=20, schedule={"lr_g": 2e-3})
    rows = fit(start(run), run, tiny_data, until=20).history
    assert rows[-1]["loss/l1"] < 0.5 * rows[0]["loss/l1"]


def test_an_event_carries_its_epochs_metrics_without_the_clock_of_the_history(tiny_data):
    events = []
    state = fit(
        start(tiny_run()),
        tiny_run(),
        tiny_data,
        until=2,
        listeners=[lambda event, _: events.append(event)],
    )
    assert [event.epoch for event in events] == [1, 2] == [r["epoch"] for r in state.history]
    for event, row in zip(events, state.history, strict=True):
        assert event.metrics == {k: v for k, v in row.items() if k not in ("epoch", "time")}
        assert {"loss/l1", "loss/ngf", "loss/gan", "loss/d", "loss/g"} <= event.metrics.keys()


def test_an_epochs_terms_are_means_over_its_steps():
    run, table = tiny_run(flip=0), disc_slices(cases=3, per_case=4)
    state = start(run)
    means = train_epoch(state, run, table)
    other, terms = start(run), []
    other.generator.train()
    order = training.epoch_order(12, seed=run.seed, epoch=0)
    for rows in (order[:6], order[6:]):
        batch = training.make_batch(table, rows, run, torch.device("cpu"))
        terms.append(train_step(other, batch, weights_at(run, 0), run))
    assert state.fingerprint() == other.fingerprint()
    for name, value in means.items():
        assert value == pytest.approx(np.mean([t[name].item() for t in terms]), rel=1e-6)
