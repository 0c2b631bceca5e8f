"""The challenges' scores against known values, scikit-image and their own construction."""

import math

import numpy as np
import pytest
from scipy.signal import fftconvolve
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pct.metrics.synthrad import (
    YEAR_2023,
    YEAR_2025,
    mae_and_psnr,
    ms_ssim,
    ssim,
    synthrad_scores,
)
from tests.pct.golden import golden_phantom


def noisy_pair(*shape: int, holes: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    ct = rng.uniform(-1500, 3500, shape)
    mask = np.zeros(shape, bool)
    mask[tuple(slice(size // 5, size - size // 6) for size in shape)] = True
    if holes:
        mask &= rng.random(shape) > 0.2
    return ct + rng.normal(0, 200, shape), ct, mask


def test_the_golden_phantom_scores_its_known_values():
    volumes = golden_phantom()
    assert mae_and_psnr(*volumes, YEAR_2023) == pytest.approx((136.696516, 25.347056), abs=1e-6)
    assert ssim(*volumes, YEAR_2023) == pytest.approx(0.911839, abs=1e-6)
    assert ms_ssim(*volumes, YEAR_2023) == pytest.approx(0.982940, abs=1e-5)
    assert mae_and_psnr(*volumes, YEAR_2025)[1] == pytest.approx(25.498975, abs=1e-6)
    assert ms_ssim(*volumes, YEAR_2025) == pytest.approx(0.983005, abs=1e-5)


def test_the_names_hold_the_scores_of_their_year():
    volumes = golden_phantom()
    assert synthrad_scores(*volumes) == {
        "synthrad23_mae": pytest.approx(136.696516, abs=1e-6),
        "synthrad23_psnr": pytest.approx(25.347056, abs=1e-6),
        "synthrad23_ssim": pytest.approx(0.911839, abs=1e-6),
        "synthrad25_mae": pytest.approx(136.696516, abs=1e-6),
        "synthrad25_psnr": pytest.approx(25.498975, abs=1e-6),
        "synthrad25_ms_ssim": pytest.approx(0.983005, abs=1e-5),
    }


def test_single_precision_and_whole_hounsfield_units_agree_to_a_hundred_thousandth():
    pct, ct, mask = golden_phantom()
    exact = synthrad_scores(pct, ct, mask)
    single = synthrad_scores(pct.astype(np.float32), ct.astype(np.float32), mask)
    assert single == pytest.approx(exact, abs=1e-5)
    rounded = synthrad_scores(np.rint(pct).astype(np.int16), np.rint(ct).astype(np.int16), mask)
    assert rounded["synthrad25_ms_ssim"] == pytest.approx(exact["synthrad25_ms_ssim"], abs=1e-3)


def test_errors_are_those_of_scikit_image_on_clipped_values():
    pct, ct, mask = noisy_pair(40, 20, 24)
    for year in (YEAR_2023, YEAR_2025):
        a, b = (one[mask].clip(year.low_hu, year.high_hu) for one in (pct, ct))
        mae, decibel = mae_and_psnr(pct, ct, mask, year)
        assert mae == pytest.approx(np.abs(a - b).mean(), abs=1e-9)
        expected = peak_signal_noise_ratio(b, a, data_range=year.peak_hu)
        assert decibel == pytest.approx(expected, abs=1e-9)


def test_ssim_is_scikit_images_map_averaged_over_the_mask():
    pct, ct, mask = noisy_pair(40, 20, 24)
    a, b = (np.where(mask, one.clip(-1024, 3000), -1024) + 1024 for one in (pct, ct))
    _, full = structural_similarity(a, b, win_size=7, data_range=4024, full=True)
    inside = np.s_[3:-3, 3:-3, 3:-3]
    expected = full[inside][mask[inside]].mean()
    assert ssim(pct, ct, mask, YEAR_2023) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("inverted", [False, True])
def test_scales_are_halved_as_the_challenges_convolution_does(inverted):
    pct, ct, mask = noisy_pair(101, 98, 97, holes=not inverted)
    if inverted:
        pct = np.where(np.arange(97) < 48, 2000 - pct, pct)
    expected = 1.0
    a, b = (np.where(mask, one.clip(-1024, 3071), -1024) + 1024 for one in (pct, ct))
    kept, inside = mask, np.s_[3:-3, 3:-3, 3:-3]
    for weight in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333):
        _, full = structural_similarity(a, b, win_size=7, data_range=4095, full=True)
        values = full[inside][kept[inside]]
        if kept is mask:
            assert (values < 0).any() == inverted
        # Luminance of what is nowhere negative is positive, so the product is clipped where the
        # other factor is.
        expected *= (values.clip(0) ** weight).mean()
        a, b = (
            fftconvolve(one, np.ones((2, 2, 2)) / 8, mode="same")[::2, ::2, ::2] for one in (a, b)
        )
        last, kept = kept, kept[::2, ::2, ::2]
    assert last.shape == (7, 7, 7)
    assert 0 < expected < 1
    assert ms_ssim(pct, ct, mask, YEAR_2025) == pytest.approx(expected, abs=1e-9)


def test_what_lies_outside_the_mask_does_not_count():
    pct, ct, mask = noisy_pair(30, 20, 24, holes=False)
    fogged = np.where(mask, pct, 500.0)
    assert synthrad_scores(fogged, ct, mask) == synthrad_scores(pct, ct, mask)


def test_identical_images_are_perfect_and_capped_not_infinite():
    _, ct, mask = noisy_pair(30, 20, 24, holes=False)
    assert synthrad_scores(ct, ct, mask) == {
        "synthrad23_mae": 0.0,
        "synthrad23_psnr": 100.0,
        "synthrad23_ssim": pytest.approx(1.0, abs=1e-12),
        "synthrad25_mae": 0.0,
        "synthrad25_psnr": 100.0,
        "synthrad25_ms_ssim": pytest.approx(1.0, abs=1e-12),
    }


def test_a_mask_that_the_coarsest_scale_misses_has_no_ms_ssim():
    pct, ct, mask = noisy_pair(30, 20, 24, holes=False)
    mask[:, :, 12] = False  # of 97 padded columns the last scale keeps the 49th, which is this
    scores = synthrad_scores(pct, ct, mask)
    assert math.isnan(scores["synthrad25_ms_ssim"])
    assert math.isfinite(scores["synthrad23_ssim"])


def test_an_empty_mask_has_no_scores():
    pct, ct, mask = noisy_pair(30, 20, 24)
    assert all(map(math.isnan, synthrad_scores(pct, ct, np.zeros_like(mask)).values()))


def test_thin_volumes_have_no_ssim_but_are_padded_for_ms_ssim():
    scores = synthrad_scores(*noisy_pair(6, 20, 24, holes=False))
    assert math.isnan(scores["synthrad23_ssim"])
    assert 0 < scores["synthrad25_ms_ssim"] < 1
    assert 0 < synthrad_scores(*noisy_pair(10, 20, 24))["synthrad23_ssim"] < 1
