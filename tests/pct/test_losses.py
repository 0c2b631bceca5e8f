"""Loss terms against closed forms."""

import math

import pytest
import torch
from torch import Tensor

from pct import losses
from pct.losses import adversarial, background, erode, fooling, l1, masked_mean


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_gradients_of_the_other_terms_are_those_of_finite_differences_in_double_precision():
    image = noise(3, 1, 1, 4, 4).double().requires_grad_()
    other, mask = noise(4, 1, 1, 4, 4).double(), (noise(5, 1, 1, 4, 4) > 0).double()
    assert torch.autograd.gradcheck(lambda pct: l1(pct, other, mask), image)
    assert torch.autograd.gradcheck(lambda pct: background(pct, mask, over="outside"), image)


def test_a_masked_mean_is_over_the_pixels_of_the_whole_batch_not_slice_by_slice():
    values = torch.zeros(2, 1, 2, 2)
    values[0], values[1] = 1.0, 5.0
    mask = torch.ones(2, 1, 2, 2)
    mask[1, :, :, 1] = mask[1, :, 0] = 0
    assert masked_mean(values, mask).item() == pytest.approx((4 * 1 + 1 * 5) / 5)
    assert masked_mean(values, None).item() == 3.0


def test_the_mean_of_the_workers_shares_is_the_mean_over_the_global_batch(monkeypatch):
    values, mask = noise(1, 6, 1, 4, 4), (noise(2, 6, 1, 4, 4) > 0.5).float()
    mask[:2] = 0  # the first worker has no pixel at all
    whole = masked_mean(values, mask)
    pixels = mask.sum()
    monkeypatch.setattr(losses, "world_size", lambda: 3)
    monkeypatch.setattr(losses, "sum_over_ranks", lambda local: pixels)
    shares = [masked_mean(v, m) for v, m in zip(values.split(2), mask.split(2), strict=True)]
    assert shares[0] == 0
    torch.testing.assert_close(torch.stack(shares).mean(), whole)


def test_an_empty_mask_gives_zero_and_no_gradient():
    pct = noise(1, 1, 1, 4, 4).requires_grad_()
    empty = torch.zeros(1, 1, 4, 4)
    for term in (l1(pct, -pct.detach(), empty), background(pct, empty, over="outside")):
        assert term.item() == 0.0
        (gradient,) = torch.autograd.grad(term, pct)
        assert not gradient.any()


def test_l1_counts_the_masks_pixels_only():
    pct, ct, mask = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, 1, 2, 2)
    mask[..., 0, 0] = 1
    ct[..., 0, 0] = -0.2
    assert l1(pct, ct, mask).item() == pytest.approx(0.2)
    assert l1(pct, ct).item() == pytest.approx((3 * 0.5 + 0.2) / 4)


def test_background_is_the_distance_from_air_outside_the_head():
    pct, outside = torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, 1, 2, 2)
    outside[..., 0, :] = 1
    pct[..., 0, 0] = -1.0
    assert background(pct, outside, over="outside").item() == pytest.approx((0 + 1.5) / 2)
    assert background(pct, outside, over="image").item() == pytest.approx((0 + 1.5) / 4)


@pytest.mark.parametrize("level", [-2.0, 0.0, 0.3, 4.0])
def test_adversarial_losses_have_their_closed_forms(level):
    logits = [torch.full((2, 1, 3, 3), level)]
    sigmoid = 1 / (1 + math.exp(-level))
    for real, kind, expected in [
        (True, "bce", -math.log(sigmoid)),
        (False, "bce", -math.log(1 - sigmoid)),
        (True, "lsgan", (level - 1) ** 2),
        (False, "lsgan", level**2),
        (True, "hinge", max(0.0, 1 - level)),
        (False, "hinge", max(0.0, 1 + level)),
    ]:
        assert adversarial(logits, real=real, kind=kind).item() == pytest.approx(expected, rel=1e-4)
    for kind, expected in [
        ("bce", -math.log(sigmoid)),
        ("lsgan", (level - 1) ** 2),
        ("hinge", -level),
    ]:
        assert fooling(logits, kind=kind).item() == pytest.approx(expected, rel=1e-4)


def test_beyond_its_margin_the_hinge_teaches_the_discriminator_nothing_but_the_generator_still():
    logits = torch.tensor([[-3.0, -0.5, 0.5, 3.0]], requires_grad=True)

    def gradient(loss: Tensor) -> list[float]:
        return (4 * torch.autograd.grad(loss, logits)[0]).flatten().tolist()

    assert gradient(adversarial([logits], real=True, kind="hinge")) == [-1, -1, -1, 0]
    assert gradient(adversarial([logits], real=False, kind="hinge")) == [0, 1, 1, 1]
    assert gradient(fooling([logits], kind="hinge")) == [-1, -1, -1, -1]


def test_scales_weigh_alike_whatever_their_number_of_patches():
    logits = [torch.full((1, 1, 9, 9), 1.0), torch.full((1, 1, 2, 2), 0.0)]
    assert adversarial(logits, real=False, kind="lsgan").item() == pytest.approx(0.5)
    assert adversarial(logits, real=True, kind="hinge").item() == pytest.approx(0.5)
    assert fooling(logits, kind="hinge").item() == pytest.approx(-0.5)


def test_eroding_takes_one_pixel_off_the_rim_and_nothing_at_the_images_border():
    mask = torch.zeros(1, 1, 7, 7)
    mask[..., :5, 1:6] = 1
    expected = torch.zeros(1, 1, 7, 7)
    expected[..., :4, 2:5] = 1
    assert torch.equal(erode(mask), expected)
