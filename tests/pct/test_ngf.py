"""Normalised gradient fields against closed forms, and against kornia."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from data_prep.intensity import hu_to_unit, mr_to_unit, mr_window
from data_prep.phantom import make_head
from pct.losses import erode
from pct.ngf import edges, library_slopes, ngf, slopes, squared_cosine

KINDS = pytest.mark.parametrize("kind", ["sobel", "diff"])


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


def test_no_gradient_of_an_eroded_mask_reaches_over_the_rim():
    pct, mr, mask = noise(1, 1, 1, 9, 9), noise(2, 1, 1, 9, 9), torch.zeros(1, 1, 9, 9)
    mask[..., 2:7, 2:7] = 1
    other = torch.where(mask > 0, pct, noise(3, 1, 1, 9, 9))
    inner = erode(mask)
    assert torch.equal(ngf(pct, mr, alpha=0.08, mask=inner), ngf(other, mr, alpha=0.08, mask=inner))
    assert not torch.equal(
        ngf(pct, mr, alpha=0.08, mask=mask), ngf(other, mr, alpha=0.08, mask=mask)
    )


@KINDS
@pytest.mark.parametrize("shape", [(2, 1, 9, 14), (1, 1, 3, 3), (3, 1, 2, 7)])
def test_slopes_are_those_of_kornia_borders_and_gradients_included(kind, shape):
    image = noise(1, *shape).requires_grad_()
    for found, expected in zip(slopes(image, kind), library_slopes(image, kind), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
        towards = noise(2, *shape)
        (ours,) = torch.autograd.grad(found, image, towards, retain_graph=True)
        (theirs,) = torch.autograd.grad(expected, image, towards, retain_graph=True)
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@KINDS
def test_the_slope_of_a_plane_is_its_slope(kind):
    x, y = slopes(ramp(30, slope=0.05), kind)
    inside = INSIDE > 0
    torch.testing.assert_close(x[inside], torch.full_like(x[inside], 0.05 * math.cos(math.pi / 6)))
    torch.testing.assert_close(y[inside], torch.full_like(y[inside], 0.05 * math.sin(math.pi / 6)))


def test_plain_differences_look_at_neighbours_in_line_only():
    spot = torch.zeros(1, 1, 5, 5)
    spot[..., 2, 2] = 8.0
    x, y = slopes(spot, "diff")
    assert x[0, 0, 2].tolist() == y[0, 0, :, 2].tolist() == [0, 4, 0, -4, 0]
    assert x.count_nonzero() == y.count_nonzero() == 2
    assert slopes(spot, "sobel")[0][0, 0, :, 1].tolist() == [0, 1, 2, 1, 0]


@KINDS
@pytest.mark.parametrize("form", ["half", "full"])
def test_the_gradient_of_ngf_is_that_of_finite_differences_in_double_precision(kind, form):
    pct, mr = noise(3, 2, 1, 5, 4).double().requires_grad_(), noise(4, 2, 1, 5, 4).double()
    mask = (noise(5, 2, 1, 5, 4) > 0).double()
    alpha = torch.tensor([0.1, 0.4]).view(2, 1, 1, 1)
    for how in ({"alpha": 0.3}, {"alpha": alpha, "mask": mask}):
        assert torch.autograd.gradcheck(
            lambda image, how=how: ngf(image, mr, form=form, gradient=kind, **how), pct
        )


def test_ngf_lies_between_its_least_value_and_1():
    for seed in range(20):
        one, other = noise(seed, 2, 1, 6, 6), noise(99 - seed, 2, 1, 6, 6)
        for alpha in (1e-3, 0.1, 10.0):
            half = ngf(one, other, alpha=alpha).item()
            assert 0.5 <= ngf(one, one, alpha=alpha).item() <= half <= 1.0
            full = ngf(one, other, alpha=alpha, form="full").item()
            assert full == pytest.approx(2 * half - 1, abs=1e-6)


def test_a_perfect_pseudo_ct_of_a_phantom_scores_about_0_975_not_0_5():
    for seed in (0, 2):
        head = make_head(seed, num_slices=12, spacing_mm=(1.0, 1.0, 12.0))
        window = mr_window(head.mr.array, head.head.array)
        ct, mr = (
            torch.from_numpy(np.ascontiguousarray(image.transpose(2, 1, 0), np.float32))[:, None]
            for image in (hu_to_unit(head.ct.array), mr_to_unit(head.mr.array, *window))
        )
        assert ngf(ct, mr, alpha=0.08).item() == pytest.approx(0.975, abs=0.004)


def test_alpha_by_mm_is_one_value_on_two_grids():
    coarse, fine, alpha_by_mm = ramp(25, slope=0.05), ramp(25, slope=0.02), 0.08
    pixel_mm = torch.tensor([1.0, 0.4]).view(2, 1, 1, 1)
    image = torch.cat([coarse, fine])
    field = squared_cosine(slopes(image, "sobel"), slopes(image, "sobel"), alpha_by_mm * pixel_mm)
    inner = field[..., 2:-2, 2:-2]
    expected = (0.05**2 / (0.05**2 + 0.08**2)) ** 2
    torch.testing.assert_close(inner, torch.full_like(inner, expected))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_under_autocast_ngf_computes_in_single_precision(dtype):
    alpha = 0.01  # alpha^4 is 0 in half precision
    one, other = ((0.02 * noise(seed, 1, 1, 8, 8)).to(dtype) for seed in (1, 2))
    expected = ngf(one.float(), other.float(), alpha=alpha)
    assert 0.5 < expected.item() < 0.99
    with torch.autocast("cpu", torch.bfloat16):
        found = ngf(one, other, alpha=alpha)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_a_pixel_is_an_edge_where_it_is_steeper_than_alpha():
    image = torch.cat([torch.zeros(1, 1, 6, 4), ramp(0, slope=0.1, size=6)], dim=3)
    assert edges(image, alpha=0.09)[0, 0, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]
    assert not edges(image, alpha=0.11).any()
