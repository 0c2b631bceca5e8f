"""Loss terms against closed forms."""

import math

import pytest
import torch
from torch import Tensor

from pct import losses
from pct.losses import adversarial, background, erode, l1, masked_mean, ngf


def ramp(angle: float, *, slope: float = 0.05, size: int = 12) -> Tensor:
    """A plane that rises by `slope` a pixel towards `angle` (degrees)."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    theta = math.radians(angle)
    return (slope * (math.cos(theta) * x + math.sin(theta) * y)).view(1, 1, size, size)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


INSIDE = torch.zeros(1, 1, 12, 12)
INSIDE[..., 2:-2, 2:-2] = 1
"""Where a ramp's derivative does not touch the image's border."""


@pytest.mark.parametrize(("form", "least"), [("half", 0.5), ("full", 0.0)])
def test_ngf_of_parallel_edges_is_its_least_value(form, least):
    found = ngf(ramp(20), ramp(20), alpha=1e-6, form=form, mask=INSIDE)
    assert found.item() == pytest.approx(least, abs=1e-5)


@pytest.mark.parametrize("angle", [0, 30, 45, 60, 90, 150, 180])
def test_ngf_falls_with_the_squared_cosine_of_the_angle_between_edges(angle):
    cosine = math.cos(math.radians(angle))
    both = {"mask": INSIDE, "alpha": 1e-6}
    assert ngf(ramp(10), ramp(10 + angle), **both).item() == pytest.approx(
        1 - cosine**2 / 2, abs=1e-5
    )
    assert ngf(ramp(10), ramp(10 + angle), form="full", **both).item() == pytest.approx(
        1 - cosine**2, abs=1e-5
    )


def test_alpha_is_an_intensity_a_pixel():
    slope, alpha = 0.05, 0.08
    agreement = (slope**2 / (slope**2 + alpha**2)) ** 2
    found = ngf(ramp(0, slope=slope), ramp(0, slope=slope), alpha=alpha, mask=INSIDE)
    assert found.item() == pytest.approx(1 - agreement / 2, abs=1e-6)


def test_ngf_ignores_contrast_as_alpha_goes_to_zero_but_not_rotation():
    one, other = noise(1, 2, 1, 16, 16), noise(2, 2, 1, 16, 16)
    value = ngf(one, other, alpha=1e-6)
    torch.testing.assert_close(ngf(-7 * one + 3, 0.2 * other - 1, alpha=1e-6), value)
    assert abs(ngf(one, other.rot90(1, (2, 3)), alpha=1e-6) - value) > 1e-3
    assert abs(ngf(7 * one, other, alpha=0.5) - ngf(one, other, alpha=0.5)) > 1e-3


def test_ngf_is_symmetric():
    one, other = noise(1, 2, 1, 16, 16), noise(2, 2, 1, 16, 16)
    torch.testing.assert_close(ngf(one, other, alpha=0.08), ngf(other, one, alpha=0.08))


def test_flat_regions_count_as_disagreement():
    assert ngf(torch.zeros(1, 1, 8, 8), noise(1, 1, 1, 8, 8), alpha=0.08).item() == 1.0
    half = torch.cat([ramp(0), torch.zeros(1, 1, 12, 12)], dim=0)
    both = torch.cat([INSIDE, INSIDE], dim=0)
    assert ngf(half, half, alpha=1e-6, mask=both).item() == pytest.approx(0.75, abs=1e-5)


def test_ngf_stays_in_single_precision_under_autocast():
    one = 1e-3 * noise(1, 1, 1, 8, 8)
    expected = ngf(one, one, alpha=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        found = ngf(one.bfloat16().float(), one, alpha=1e-3)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), abs=0.02)


def test_the_gradient_of_ngf_is_that_of_finite_differences():
    pct = noise(3, 1, 1, 5, 5).requires_grad_()
    mr = noise(4, 1, 1, 5, 5)
    ngf(pct, mr, alpha=0.3).backward()
    step = 1e-2
    for row, column in [(0, 0), (2, 2), (4, 1), (1, 3)]:
        moved = torch.zeros(1, 1, 5, 5)
        moved[..., row, column] = step
        with torch.no_grad():
            up, down = ngf(pct + moved, mr, alpha=0.3), ngf(pct - moved, mr, alpha=0.3)
        assert pct.grad[0, 0, row, column].item() == pytest.approx(
            ((up - down) / (2 * step)).item(), abs=2e-4
        )


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
    ]:
        assert adversarial(logits, real=real, kind=kind).item() == pytest.approx(expected, rel=1e-4)


def test_scales_weigh_alike_whatever_their_number_of_patches():
    logits = [torch.full((1, 1, 9, 9), 1.0), torch.full((1, 1, 2, 2), 0.0)]
    assert adversarial(logits, real=False, kind="lsgan").item() == pytest.approx(0.5)


def test_eroding_takes_one_pixel_off_the_rim_and_nothing_at_the_images_border():
    mask = torch.zeros(1, 1, 7, 7)
    mask[..., :5, 1:6] = 1
    expected = torch.zeros(1, 1, 7, 7)
    expected[..., :4, 2:5] = 1
    assert torch.equal(erode(mask), expected)


def test_no_gradient_of_an_eroded_mask_reaches_over_the_rim():
    pct, mr, mask = noise(1, 1, 1, 9, 9), noise(2, 1, 1, 9, 9), torch.zeros(1, 1, 9, 9)
    mask[..., 2:7, 2:7] = 1
    other = torch.where(mask > 0, pct, noise(3, 1, 1, 9, 9))
    inner = erode(mask)
    assert torch.equal(ngf(pct, mr, alpha=0.08, mask=inner), ngf(other, mr, alpha=0.08, mask=inner))
    assert not torch.equal(
        ngf(pct, mr, alpha=0.08, mask=mask), ngf(other, mr, alpha=0.08, mask=mask)
    )
