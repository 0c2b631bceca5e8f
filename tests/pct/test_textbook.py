"""Training steps with every form of every loss term against those of a textbook Pix2Pix."""

import pytest

from pct import losses, ngf, objective
from pct import train as training
from pct.state import start
from pct.train import train_epoch
from tests.pct.reference import reference_step
from tests.pct.steps import difference, largest_difference, steps_of
from tests.tiny import tiny_run

WITHOUT = {
    "l1": [(losses, "l1")],
    "ngf": [(ngf, "ngf"), (ngf, "edges"), (objective, "of_others"), (losses, "erode")],
    "bg": [(losses, "background")],
    "gan": [(losses, "adversarial"), (losses, "fooling")],
    "idt": [(training, "identity_term"), (objective, "frozen_statistics")],
}
"""What a program without a term would not have."""


@pytest.mark.parametrize("gan", ["lsgan", "bce", "hinge"])
@pytest.mark.parametrize(
    ("mask_fill", "mask_reduction"),
    [
        ("none", "image_mean"),
        ("air", "mask_mean"),
        ("zero", "image_mean"),
        ("zero", "mask_mean"),
    ],
)
def test_three_steps_equal_those_of_a_plain_pix2pix(gan, mask_fill, mask_reduction):
    run = tiny_run(
        loss={"gan": gan, "mask_fill": mask_fill, "mask_reduction": mask_reduction},
        schedule={"lambda_bg": 10},
        discriminator={"scales": 2},
    )
    state, terms = steps_of(run, 3)
    expected, expected_terms = steps_of(run, 3, step=reference_step)
    assert largest_difference(state, expected) < 1e-6
    fresh = start(run)
    assert difference(state.generator, fresh.generator) > 1e-3
    assert difference(state.discriminator, fresh.discriminator) > 1e-4
    for found, wanted in zip(terms, expected_terms, strict=True):
        assert found.keys() == wanted.keys()
        for name in wanted:
            assert found[name].item() == pytest.approx(wanted[name].item(), rel=1e-4), name


@pytest.mark.parametrize(
    "loss",
    [
        {"ngf_form": "full", "ngf_region": "image"},
        {"ngf_region": "edge"},
        {"ngf_region": "edge", "ngf_gradient": "diff", "ngf_unit": "mm"},
        {"ngf_against": "ct"},
        {"ngf_control": "shuffled"},
        {"ngf_control": "shuffled", "ngf_against": "ct", "ngf_region": "edge", "mask_fill": "zero"},
    ],
    ids=str,
)
def test_steps_with_every_form_of_ngf_equal_those_of_the_textbook(loss):
    run = tiny_run(loss=loss)
    state, terms = steps_of(run, 2)
    expected, expected_terms = steps_of(run, 2, step=reference_step)
    assert largest_difference(state, expected) < 1e-6
    assert terms[1]["loss/ngf"].item() == pytest.approx(
        expected_terms[1]["loss/ngf"].item(), rel=1e-5
    )
    _, without = steps_of(tiny_run(), 1)
    assert abs(terms[0]["loss/ngf"] - without[0]["loss/ngf"]) > 1e-4


@pytest.mark.parametrize("mask_fill", ["none", "air", "zero"])
@pytest.mark.parametrize("finished", [0, 2])
def test_steps_with_the_identity_loss_equal_those_of_the_textbook(mask_fill, finished):
    run = tiny_run(
        warmup_epochs=2, loss={"mask_fill": mask_fill}, schedule={"lambda_idt": {0: 5, 3: 0}}
    )
    state, terms = steps_of(run, 2, finished=finished)
    expected, expected_terms = steps_of(run, 2, finished=finished, step=reference_step)
    assert largest_difference(state, expected) < 1e-6
    assert terms[1]["loss/idt"].item() == pytest.approx(
        expected_terms[1]["loss/idt"].item(), rel=1e-5
    )
    without, _ = steps_of(run, 2, finished=3)
    assert largest_difference(state, without) > 1e-4


@pytest.mark.parametrize("name", ["l1", "ngf", "bg", "gan", "idt"])
def test_a_term_of_weight_zero_costs_nothing_and_changes_no_weight_and_no_random_number(
    monkeypatch, name, tiny_data
):
    odd = {"ngf_control": "shuffled", "ngf_region": "edge", "ngf_unit": "mm"}
    run = tiny_run(
        loss=odd if name == "ngf" else {}, schedule={"lambda_bg": 10, f"lambda_{name}": 0}
    )
    state, other = start(run), start(run)
    train_epoch(state, run, tiny_data.train)
    fingerprint = state.fingerprint()
    for module, function in WITHOUT[name]:
        monkeypatch.delattr(module, function)
    other = start(tiny_run(schedule=dict(run.schedule)))
    terms = train_epoch(other, tiny_run(schedule=dict(run.schedule)), tiny_data.train)
    assert f"loss/{name}" not in terms
    assert other.fingerprint() == fingerprint


def test_a_tiny_ngf_weight_acts_as_none_and_a_large_one_does_not():
    without, _ = steps_of(tiny_run(schedule={"lambda_ngf": 0}), 3)
    tiny, terms = steps_of(tiny_run(schedule={"lambda_ngf": 1e-6}), 3)
    large, _ = steps_of(tiny_run(schedule={"lambda_ngf": 20}), 3)
    assert 0.5 < terms[0]["loss/ngf"] <= 1
    assert largest_difference(without, tiny) < 1e-5
    assert largest_difference(without, large) > 1e-4
