"""Which pixels a term is a mean over, what is compared with what, and the controls."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pct import losses
from pct.batches import Batch
from pct.config import BadConfig, build_run, load_preset
from pct.ngf import edges, ngf
from pct.objective import (
    frozen_statistics,
    identity_term,
    of_others,
    paired_terms,
    target_of,
    weights_at,
)
from pct.state import from_bytes, start, to_bytes
from pct.train import fit, train_epoch
from tests.tiny import disc_slices, tiny_batch, tiny_run


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).clamp(-1, 1)


def terms_of(pct: Tensor, batch: Batch, *, finished: int = 0, **settings) -> dict[str, Tensor]:
    run = tiny_run(**settings)
    return paired_terms(pct, batch, weights=weights_at(run, finished), how=run.loss)


def ngf_of(pct: Tensor, batch: Batch, **loss) -> float:
    return terms_of(pct, batch, loss=loss)["loss/ngf"].item()


def test_in_the_head_ngf_sees_no_pixel_of_its_rim_or_beyond():
    batch, pct = tiny_batch(0, tiny_run()), noise(1, 4, 1, 32, 32)
    elsewhere = torch.where(batch.head > 0, pct, noise(2, 4, 1, 32, 32))
    for region in ("head", "edge"):
        assert ngf_of(pct, batch, ngf_region=region) == ngf_of(elsewhere, batch, ngf_region=region)
    assert ngf_of(pct, batch, ngf_region="image") != ngf_of(elsewhere, batch, ngf_region="image")
    inner = losses.erode(batch.head)
    assert ngf_of(pct, batch, ngf_region="head") == pytest.approx(
        ngf(pct, batch.mr, alpha=0.08, mask=inner).item(), rel=1e-6
    )
    assert ngf_of(pct, batch, ngf_region="edge") == pytest.approx(
        ngf(pct, batch.mr, alpha=0.08, mask=inner * edges(batch.mr, alpha=0.08)).item(), rel=1e-6
    )


def test_over_edges_a_perfect_pair_is_no_longer_swamped_by_flat_pixels():
    batch = tiny_batch(0, tiny_run())
    edge, head, image = (
        ngf_of(batch.mr, batch, ngf_region=region) for region in ("edge", "head", "image")
    )
    assert 0.5 < edge < 0.875, "where both are steeper than alpha, c^2 is above 1/4"
    assert edge < head < image


def test_without_an_edge_in_the_head_ngf_is_1_and_teaches_nothing():
    batch = tiny_batch(0, tiny_run())
    flat = replace(batch, mr=torch.zeros_like(batch.mr))
    pct = noise(1, 4, 1, 32, 32).requires_grad_()
    value = terms_of(pct, flat, loss={"ngf_region": "edge"})["loss/ngf"]
    assert value.item() == 1.0
    assert not torch.autograd.grad(value, pct)[0].any()


def test_against_the_ct_means_the_target_which_is_the_mr_in_warm_up():
    batch, pct = tiny_batch(0, tiny_run()), noise(1, 4, 1, 32, 32)
    how = {"ngf_against": "ct", "ngf_region": "image"}
    values = [
        terms_of(pct, batch, finished=n, warmup_epochs=1, loss=how)["loss/ngf"] for n in (0, 1)
    ]
    torch.testing.assert_close(values[0], ngf(pct, batch.mr, alpha=0.08))
    torch.testing.assert_close(values[1], ngf(pct, batch.ct, alpha=0.08))
    run = tiny_run(warmup_epochs=1)
    assert target_of(batch, weights_at(run, 0)) is batch.mr
    assert target_of(batch, weights_at(run, 1)) is batch.ct


def test_a_placebo_never_meets_its_own_patient_and_draws_no_random_number():
    rng = np.random.default_rng(0)
    state = torch.get_rng_state()
    alone = 0
    for _ in range(300):
        patient = torch.from_numpy(rng.integers(0, rng.integers(1, 5), rng.integers(1, 9)))
        marked = (patient + 1.0).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
        met = of_others(marked, patient)[:, 0, 0, 0]
        assert not (met == patient + 1).any()
        if len(patient.unique()) == 1:
            assert not met.any(), "with nobody else in the batch the image is flat"
            alone += 1
        else:
            assert set(met.tolist()) <= set((patient + 1.0).tolist())
    assert alone
    assert torch.equal(torch.get_rng_state(), state)


def test_a_placebos_other_slices_are_spread_over_the_batch():
    patient = torch.tensor([0, 0, 1, 2])
    assert of_others(torch.arange(4.0).view(4, 1, 1, 1), patient).flatten().tolist() == [2, 2, 3, 0]


def test_the_placebo_compares_with_the_edges_of_another_patient():
    batch = tiny_batch(0, tiny_run())
    first, second = batch.mr[:2], batch.mr[2:]
    both = torch.cat([second[:1], second[:1], first[:1], first[:1]])
    assert ngf_of(both, batch, ngf_control="shuffled", ngf_region="image") == pytest.approx(
        ngf(both, both, alpha=0.08).item(), rel=1e-6
    )
    assert ngf_of(both, batch, ngf_region="image") > ngf(both, both, alpha=0.08).item() + 1e-3


def test_the_placebo_and_alpha_by_mm_reach_the_training_of_whole_epochs():
    table = disc_slices(cases=3, per_case=4)
    seen = {}
    for name, loss in {
        "ngf": {}, "shuffled": {"ngf_control": "shuffled"}, "mm": {"ngf_unit": "mm"}
    }.items():  # fmt: skip
        run = tiny_run(loss=loss, schedule={"lambda_gan": 0})
        state = start(run)
        seen[name] = train_epoch(state, run, table)["loss/ngf"]
        assert state.fingerprint() != start(run).fingerprint()
    assert seen["shuffled"] > seen["ngf"]
    assert seen["mm"] < seen["ngf"], "0.8 to 1 mm a pixel: alpha is less a pixel than a mm"


def test_alpha_by_mm_is_alpha_times_each_slices_pixel():
    batch, pct = tiny_batch(0, tiny_run()), noise(1, 4, 1, 32, 32)
    by_mm = terms_of(pct, batch, loss={"ngf_unit": "mm", "ngf_region": "image"})["loss/ngf"]
    halves = [
        ngf(pct[part], batch.mr[part], alpha=0.08 * pixel_mm)
        for part, pixel_mm in ((slice(0, 2), 0.8), (slice(2, 4), 0.9))
    ]
    torch.testing.assert_close(by_mm, torch.stack(halves).mean())


def test_the_literal_mask_of_experiment_4_makes_an_edge_at_the_rim_and_the_sane_one_does_not():
    batch = tiny_batch(0, tiny_run())
    flat_mr, flat_pct = (torch.full_like(batch.mr, level) for level in (0.3, 0.8))
    flat = replace(batch, mr=flat_mr)
    literal = build_run(load_preset("thesis_exp4")).loss.model_dump()
    sane = build_run(load_preset("resize")).loss.model_dump()
    assert ngf_of(flat_pct, flat, **sane) == 1.0
    rim = 1 - ngf_of(flat_pct, flat, **literal)
    assert rim > 0.02, "both images have an edge there that is not anatomy"
    one, other = flat_pct * batch.head, flat_mr * batch.head
    assert rim == pytest.approx(1 - ngf(one, other, alpha=0.08).item(), rel=1e-5)


def test_the_literal_mean_is_over_the_image_and_the_sane_one_over_the_heads_of_the_batch():
    batch = tiny_batch(0, tiny_run())
    off = batch.ct + 0.25 * batch.head + 0.7 * (1 - batch.head)
    share = batch.head.mean().item()
    literal = terms_of(off, batch, loss=build_run(load_preset("thesis_exp4")).loss.model_dump())
    sane = terms_of(off, batch, loss=build_run(load_preset("resize")).loss.model_dump())
    assert sane["loss/l1"].item() == pytest.approx(0.25, rel=1e-5)
    assert literal["loss/l1"].item() == pytest.approx(0.25 * share, rel=1e-5)
    assert literal["loss/bg"].item() == pytest.approx(
        sane["loss/bg"].item() * (1 - share), rel=1e-5
    )


def test_the_identity_term_is_the_distance_of_the_ct_from_what_becomes_of_it():
    batch = tiny_batch(0, tiny_run())

    class Brighter(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image + 0.2 * batch.head + 0.5 * (1 - batch.head)

    share = batch.head.mean().item()
    for mask_fill, expected in (
        ("none", 0.2 * share + 0.5 * (1 - share)),
        ("air", 0.2),
        ("zero", 0.2),
    ):
        how = tiny_run(loss={"mask_fill": mask_fill}).loss
        assert identity_term(Brighter(), batch, how).item() == pytest.approx(expected, rel=1e-4)


def test_a_ct_teaches_batch_norm_no_statistics():
    norm = nn.Sequential(nn.BatchNorm2d(1), nn.BatchNorm2d(1, track_running_stats=False)).train()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    image = noise(1, 4, 1, 8, 8)
    with frozen_statistics(norm):
        found = norm(image)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    assert torch.equal(found, norm(image))
    assert not torch.equal(norm[0].running_mean, before["0.running_mean"])


def test_a_fork_with_placebo_and_identity_loss_equals_the_run_that_never_stopped(tiny_data):
    run = tiny_run(
        loss={"ngf_control": "shuffled", "ngf_region": "edge", "ngf_unit": "mm", "gan": "hinge"},
        schedule={"lambda_idt": {0: 5, 3: 0}},
    )
    straight = fit(start(run), run, tiny_data, until=4).fingerprint()
    half = to_bytes(fit(start(run), run, tiny_data, until=2))
    torch.manual_seed(99)
    assert fit(from_bytes(half, run), run, tiny_data, until=4).fingerprint() == straight


def test_an_alpha_of_0_is_refused_for_it_divides_0_by_0_where_images_are_flat():
    with pytest.raises(BadConfig, match=r"ngf_alpha: is 0 from 3; .* above 0"):
        build_run({"schedule": {"ngf_alpha": {0: 0.1, 3: 0}}})
