"""SSIM against published numbers, scikit-image and the plain triple loop."""

import numpy as np
import pytest
import torch
from monai.metrics import SSIMMetric
from skimage.metrics import structural_similarity
from torch import Tensor

from data_prep.intensity import hu_to_unit
from pct.metrics.ssim import C1, C2, NotOneVolume, ssim, ssim_slabs
from tests.pct.golden import golden_phantom


def golden_units() -> tuple[Tensor, Tensor, Tensor]:
    """The golden phantom's prediction and CT in [-1, 1], and its mask."""
    predicted, hu, mask = golden_phantom()
    return tuple(map(torch.from_numpy, (hu_to_unit(predicted), hu_to_unit(hu), mask)))


def noisy_pair(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ct = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (ct + 0.2 * noise).clamp(-1, 1), ct


def by_triple_loop(pct: Tensor, ct: Tensor, mask: Tensor, eps: float = 1e-8) -> float:
    """Algorithm 1 with one Gaussian window a voxel, zero beyond the volume."""
    steps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = steps[:, None, None] * steps[:, None] * steps
    window /= window.sum()
    x, y, m = (np.pad(volume.numpy().astype(float), 5) for volume in (pct, ct, mask))
    total = weights = 0.0
    for k, j, i in np.ndindex(*ct.shape):
        around = np.s_[k : k + 11, j : j + 11, i : i + 11]
        a, b, w = x[around], y[around], window * m[around]
        norm = w.sum() + eps
        mean_a, mean_b = (w * a).sum() / norm, (w * b).sum() / norm
        spread = (w * (a**2 + b**2)).sum() / norm - mean_a**2 - mean_b**2
        covariance = (w * a * b).sum() / norm - mean_a * mean_b
        value = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
        value /= (mean_a**2 + mean_b**2 + C1) * (spread + C2)
        total, weights = total + value * w.sum(), weights + w.sum()
    return total / weights


def test_the_golden_phantom_scores_its_published_values():
    pct, ct, mask = golden_units()
    assert float(ssim(pct, ct)) == pytest.approx(0.95528497, abs=1e-8)
    assert float(ssim(pct, ct, mask)) == pytest.approx(0.88065911, abs=1e-8)


def test_float32_agrees_with_float64_to_a_millionth():
    pct, ct, mask = golden_units()
    single = ssim(pct.float(), ct.float(), mask)
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(float(ssim(pct, ct, mask)), abs=1e-6)


@pytest.mark.parametrize(("eps", "tolerance"), [(0.0, 1e-9), (1e-8, 1e-6)])
def test_the_unmasked_map_equals_scikit_image_away_from_the_borders(eps, tolerance):
    pct, ct = noisy_pair(20, 24, 28)
    ours = torch.cat([similarity for similarity, _ in ssim_slabs(pct, ct, eps=eps)])
    _, theirs = structural_similarity(
        pct.numpy(),
        ct.numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=2,
        full=True,
    )
    inside = np.s_[5:-5, 5:-5, 5:-5]
    np.testing.assert_allclose(ours.numpy()[inside], theirs[inside], atol=tolerance, rtol=0)


def test_single_precision_agrees_with_monai_away_from_the_borders():
    pct, ct, _ = (one.float() for one in golden_units())
    ours = torch.cat([similarity for similarity, _ in ssim_slabs(pct, ct, eps=0)])
    theirs = SSIMMetric(spatial_dims=3, data_range=2.0)(pct[None, None], ct[None, None])
    assert float(ours[5:-5, 5:-5, 5:-5].mean()) == pytest.approx(theirs.item(), abs=5e-4)


def test_a_volume_in_hounsfield_units_need_not_be_converted_first():
    predicted, hu, mask = map(torch.from_numpy, golden_phantom())
    pct, ct, _ = golden_units()
    assert float(ssim(predicted, hu, mask, to_unit=hu_to_unit)) == float(ssim(pct, ct, mask))
    whole = ssim(predicted.short(), hu.short(), to_unit=lambda image: hu_to_unit(image.float()))
    assert whole.dtype == torch.float32
    assert float(whole) == pytest.approx(float(ssim(pct, ct)), abs=1e-3)


def test_a_masked_volume_equals_the_triple_loop():
    pct, ct = noisy_pair(12, 12, 12)
    mask = torch.zeros(12, 12, 12, dtype=torch.bool)
    mask[3:8, 2:9, 5:] = True
    mask[0, 0, 0] = True
    assert float(ssim(pct, ct, mask)) == pytest.approx(by_triple_loop(pct, ct, mask), abs=1e-10)


def test_slabs_and_the_mask_box_change_nothing():
    pct, ct = noisy_pair(40, 13, 14)
    mask = torch.zeros(40, 13, 14)
    mask[9:30, 4:9, 3:12] = 1
    assert float(ssim(pct, ct, mask)) == pytest.approx(by_triple_loop(pct, ct, mask), abs=1e-10)


def test_what_lies_outside_the_mask_does_not_count():
    pct, ct = noisy_pair(12, 16, 16)
    mask = torch.zeros(12, 16, 16)
    mask[2:9, 4:12, 4:12] = 1
    fogged = torch.where(mask > 0, pct, torch.ones_like(pct))
    assert float(ssim(fogged, ct, mask)) == pytest.approx(float(ssim(pct, ct, mask)), abs=1e-12)
    assert float(ssim(fogged, ct)) < float(ssim(pct, ct)) - 0.1


def test_identical_volumes_score_one_and_the_order_does_not_matter():
    pct, ct = noisy_pair(9, 17, 13)
    assert float(ssim(ct, ct)) == pytest.approx(1.0, abs=1e-7)
    assert float(ssim(pct, ct)) == pytest.approx(float(ssim(ct, pct)), abs=1e-12)


def test_two_flat_volumes_give_the_luminance_term_alone():
    pct, ct = torch.full((6, 8, 8), 0.5, dtype=torch.float64), torch.zeros(6, 8, 8).double()
    assert float(ssim(pct, ct, eps=0)) == pytest.approx(C1 / (0.25 + C1), rel=1e-12)


def test_a_window_longer_than_an_axis_shrinks_to_the_largest_odd_size():
    pct, ct = noisy_pair(4, 24, 24)
    assert float(ssim(pct, ct)) != pytest.approx(float(ssim(pct, ct, window=3)), abs=1e-4)
    thin, slim = pct[:1, :2, :2], ct[:1, :2, :2]
    expected = ((2 * thin * slim + C1) / (thin**2 + slim**2 + C1)).mean()  # windows of one voxel
    assert float(ssim(thin, slim, eps=0)) == pytest.approx(float(expected), rel=1e-9)


def test_windows_without_mask_weigh_nothing_even_without_eps():
    pct, ct = noisy_pair(24, 24, 24)
    mask = torch.zeros(24, 24, 24)
    mask[2, 2, 2] = mask[21, 21, 21] = 1  # the box between them holds empty windows
    assert 0 < float(ssim(pct, ct, mask, eps=0)) <= 1


def test_an_empty_mask_gives_nan():
    pct, ct = noisy_pair(6, 6, 6)
    assert torch.isnan(ssim(pct, ct, torch.zeros(6, 6, 6)))


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8, 8), (1, 1, 8, 8, 8)])
def test_other_numbers_of_axes_are_refused(shape):
    image = torch.zeros(shape)
    with pytest.raises(NotOneVolume, match=r"expected three equal \(D, H, W\)"):
        ssim(image, image)


def test_a_mask_of_another_grid_is_refused_by_its_shape():
    image = torch.zeros(4, 8, 8)
    with pytest.raises(NotOneVolume, match=r"a mask of \(4, 8, 7\)"):
        ssim(image, image, torch.ones(4, 8, 7))
