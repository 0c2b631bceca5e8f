"""The look at validation slices after each epoch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pct import losses
from pct.batches import make_batch
from pct.metrics.case import psnr, psnr_masked
from pct.networks import Generator
from pct.ngf import ngf
from pct.validate import SHOWN, look, spread, validate
from tests.pct.identity import Returns, identity
from tests.tiny import disc_slices, tiny_run

CPU = torch.device("cpu")


def test_slices_are_spread_evenly_over_each_case_and_one_is_its_centre():
    table = disc_slices(cases=2, per_case=9)
    assert spread(table, 1).tolist() == [4, 13]
    assert spread(table, 3).tolist() == [1, 4, 7, 10, 13, 16]
    assert spread(table, 9).tolist() == spread(table, 99).tolist() == list(range(18))


def test_cases_weigh_alike_whatever_their_number_of_slices():
    table = disc_slices(cases=3, per_case=3)
    table = replace(table, subject=np.array(["a"] * 7 + ["b"] * 2))
    run = tiny_run(val={"slices": 9})
    found = validate(Returns(identity), table, run)
    batch = make_batch(table, np.arange(9), run, CPU)
    each = psnr(batch.mr, batch.ct).double()
    expected = (each[:7].mean() + each[7:].mean()) / 2
    assert found["val/psnr"] == pytest.approx(expected.item(), rel=1e-6)
    assert found["val/psnr"] != pytest.approx(each.mean().item(), rel=1e-6)


def test_values_are_the_unweighted_losses_whatever_the_run_trains_with():
    table = disc_slices(cases=1, per_case=2)
    off = {"lambda_l1": 0, "lambda_ngf": 0, "lambda_bg": 0}
    odd = {"ngf_region": "edge", "ngf_control": "shuffled", "ngf_against": "ct"}
    found = validate(Returns(identity), table, tiny_run(schedule=off, loss=odd))
    assert found == validate(Returns(identity), table, tiny_run())
    batch = make_batch(table, np.arange(2), tiny_run(), CPU)
    outside = 1 - batch.head
    assert found["val/l1"] == pytest.approx(losses.l1(batch.mr, batch.ct).item(), rel=1e-6)
    for name, image in (("val/ngf", batch.mr), ("val/ngf_ct", batch.ct)):
        assert found[name] == pytest.approx(ngf(image, batch.mr, alpha=0.08).item(), rel=1e-5)
    each = [
        losses.background(batch.mr[i : i + 1], outside[i : i + 1], over="outside").item()
        for i in range(2)
    ]
    assert found["val/bg"] == pytest.approx(np.mean(each), rel=1e-5)
    masked = psnr_masked(batch.mr, batch.ct, batch.head > 0).mean().item()
    assert found["val/psnr_masked"] == pytest.approx(masked, rel=1e-6)


@pytest.mark.parametrize("form", ["half", "full"])
def test_ngf_is_measured_with_the_runs_form_gradient_and_unit_against_mr_and_against_ct(form):
    table = disc_slices(cases=1, per_case=2)
    how = {"ngf_form": form, "ngf_gradient": "diff", "ngf_unit": "mm"}
    run = tiny_run(loss=how, schedule={"ngf_alpha": {0: 0.1, 3: 0.2}})
    found = validate(Returns(lambda image: image.flip(-1)), table, run)
    batch = make_batch(table, np.arange(2), run, CPU)
    alike = {"alpha": 0.1 * 0.8, "form": form, "gradient": "diff"}
    pct = batch.mr.flip(-1)
    for name, one, other in (
        ("val/ngf", pct, batch.mr),
        ("val/ngf_against_ct", pct, batch.ct),
        ("val/ngf_ct", batch.ct, batch.mr),
    ):
        assert found[name] == pytest.approx(ngf(one, other, **alike).item(), rel=1e-5), name


def test_the_identity_value_is_how_far_a_ct_is_from_what_becomes_of_it():
    table = disc_slices(cases=1, per_case=2)
    assert validate(Returns(identity), table, tiny_run())["val/idt"] == 0.0
    found = validate(Returns(lambda image: 0.5 * image), table, tiny_run())
    ct = make_batch(table, np.arange(2), tiny_run(), CPU).ct
    assert found["val/idt"] == pytest.approx(0.5 * ct.abs().mean().item(), rel=1e-5)


def test_a_perfect_pseudo_ct_scores_the_reference_line_of_ngf():
    table = disc_slices(cases=1, per_case=2)
    ct = make_batch(table, np.arange(2), tiny_run(), CPU).ct
    found = validate(Returns(lambda mr: ct), table, tiny_run())
    assert found["val/psnr"] == 100.0
    assert found["val/l1"] == found["val/bg"] == 0.0
    assert found["val/ngf"] == found["val/ngf_ct"] < 1


def test_a_slice_that_is_all_head_has_no_background():
    table = disc_slices(cases=1, per_case=1)
    table = replace(table, valid=replace(table.valid, bits=np.full_like(table.valid.bits, 255)))
    assert validate(Returns(lambda mr: mr * 0), table, tiny_run())["val/bg"] == 0.0


def test_looking_leaves_the_generator_in_training_mode_and_its_statistics_alone():
    torch.manual_seed(0)
    generator = Generator(tiny_run().generator).train()
    assert any(isinstance(m, nn.BatchNorm2d) for m in generator.modules())
    before = {k: v.clone() for k, v in generator.state_dict().items()}
    state = torch.get_rng_state()
    table = disc_slices(cases=1, per_case=2)
    validate(generator, table, tiny_run())
    look(generator, table, tiny_run())
    assert generator.training
    assert all(torch.equal(v, before[k]) for k, v in generator.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_many_slices_score_as_they_do_in_one_chunk(monkeypatch):
    table, run = disc_slices(cases=2, per_case=9), tiny_run(val={"slices": 9})
    torch.manual_seed(0)
    generator = Generator(run.generator)
    whole = validate(generator, table, run)
    monkeypatch.setattr("pct.validate.CHUNK", 4)
    assert validate(generator, table, run) == pytest.approx(whole, rel=1e-5)


def test_a_look_shows_the_centre_slice_of_each_case_in_hu():
    table = disc_slices(cases=2, per_case=3)
    seen = look(Returns(identity), table, tiny_run())
    assert [one.case for one in seen] == ["case-0", "case-1"]
    for one, row in zip(seen, (1, 4), strict=True):
        np.testing.assert_allclose(one.ct_hu, table.ct_hu[row], atol=1e-3)
        np.testing.assert_array_equal(one.head, table.valid[row])
        np.testing.assert_allclose(one.pct_hu, (one.mr_unit + 1) * 2000 - 1000, atol=1e-3)
        assert np.abs(one.mr_unit).max() <= 1
        assert (one.z, one.pixel_mm) == (table.z[row], table.pixel_mm[row])


def test_of_many_cases_the_first_by_their_ids_are_shown():
    table = disc_slices(cases=SHOWN + 2, per_case=1)
    seen = look(Returns(identity), table, tiny_run())
    assert [one.case for one in seen] == sorted({str(case) for case in table.subject})[:SHOWN]
