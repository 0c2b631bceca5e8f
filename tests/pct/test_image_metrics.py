"""PSNR against closed forms and scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from pct.metrics.image import psnr, psnr_masked, psnr_masked_fill, psnr_of_slices


@pytest.fixture
def slices() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    ct = torch.rand(3, 1, 16, 20, generator=generator, dtype=torch.float64) * 2 - 1
    pct = (ct + 0.1 * torch.randn(ct.shape, generator=generator).double()).clamp(-1, 1)
    mask = torch.zeros_like(ct, dtype=torch.bool)
    mask[:, :, 4:12, 5:15] = True
    return pct, ct, mask


def test_psnr_equals_scikit_image_slice_by_slice(slices):
    pct, ct, _ = slices
    expected = [
        peak_signal_noise_ratio(b, a, data_range=2)
        for a, b in zip(pct.numpy(), ct.numpy(), strict=True)
    ]
    np.testing.assert_allclose(psnr(pct, ct).numpy(), expected, rtol=0, atol=1e-9)


def test_an_error_of_a_tenth_everywhere_is_26_decibel():
    ct = torch.zeros(2, 1, 4, 4)
    assert psnr(ct + 0.1, ct).tolist() == pytest.approx([10 * math.log10(4 / 0.01)] * 2, abs=1e-4)


def test_identical_slices_are_capped_not_infinite(slices):
    _, ct, mask = slices
    assert psnr(ct, ct).tolist() == [100.0] * 3
    assert psnr_masked(ct, ct, mask).tolist() == [100.0] * 3
    assert psnr_masked_fill(ct, ct, mask).tolist() == [100.0] * 3


def test_masked_psnr_sees_mask_pixels_only(slices):
    pct, ct, mask = slices
    inside = [
        peak_signal_noise_ratio(b, a, data_range=2)
        for a, b in zip(pct[..., 4:12, 5:15].numpy(), ct[..., 4:12, 5:15].numpy(), strict=True)
    ]
    np.testing.assert_allclose(psnr_masked(pct, ct, mask).numpy(), inside, rtol=0, atol=1e-9)
    fogged = torch.where(mask, pct, torch.ones_like(pct))
    assert torch.equal(psnr_masked(fogged, ct, mask), psnr_masked(pct, ct, mask))


def test_filling_with_air_adds_the_share_of_the_mask_in_decibel(slices):
    pct, ct, mask = slices
    gain = psnr_masked_fill(pct, ct, mask) - psnr_masked(pct, ct, mask)
    assert gain.tolist() == pytest.approx([10 * math.log10(16 * 20 / 80)] * 3, abs=1e-12)


def test_a_slice_without_mask_has_no_masked_psnr(slices):
    pct, ct, mask = slices
    mask[1] = False
    for score in (psnr_masked, psnr_masked_fill):
        assert torch.isnan(score(pct, ct, mask)).tolist() == [False, True, False]


def test_a_volumes_psnr_is_the_mean_over_its_slices_where_there_is_mask(slices):
    pct, ct, mask = slices
    mask[1] = False
    several = [torch.cat([one] * 7) for one in (pct, ct, mask)]  # more than a slab
    scores = psnr_of_slices(*(one[:, 0].numpy() for one in several), to_unit=lambda image: image)
    assert scores == {
        "psnr": pytest.approx(float(psnr(pct, ct).mean()), abs=1e-12),
        "psnr_masked": pytest.approx(float(psnr_masked(pct, ct, mask)[[0, 2]].mean()), abs=1e-12),
        "psnr_masked_fill": pytest.approx(
            float(psnr_masked_fill(pct, ct, mask)[[0, 2]].mean()), abs=1e-12
        ),
    }


def test_a_volume_without_mask_has_no_masked_psnr(slices):
    pct, ct, _ = (one[:, 0].numpy() for one in slices)
    scores = psnr_of_slices(pct, ct, np.zeros(ct.shape, bool), to_unit=lambda image: image)
    assert math.isfinite(scores["psnr"])
    assert math.isnan(scores["psnr_masked"])
    assert math.isnan(scores["psnr_masked_fill"])
