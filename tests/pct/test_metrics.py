"""Scores against closed forms, scikit-image and MONAI."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric
from skimage.metrics import peak_signal_noise_ratio

from pct.metrics import (
    METRICS,
    VolumesDiffer,
    dice,
    dice_hu250,
    edge_bone,
    mae_by_tissue,
    mae_hu,
    psnr,
    psnr_masked,
    psnr_masked_fill,
    score_volume,
)


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


def test_dice_equals_monai_exactly():
    generator = np.random.default_rng(2)
    a, b = (generator.random((6, 7, 8)) > 0.6 for _ in range(2))
    theirs = DiceMetric()(torch.from_numpy(a)[None, None], torch.from_numpy(b)[None, None])
    assert np.float32(dice(a, b)) == np.float32(theirs.item())


def test_dice_of_equal_disjoint_and_empty_masks():
    a = np.zeros((2, 4, 4), bool)
    a[0] = True
    assert dice(a, a) == 1
    assert dice(a, ~a) == 0
    assert dice(a, np.zeros_like(a)) == 0
    assert math.isnan(dice(np.zeros_like(a), np.zeros_like(a)))


def test_dice_hu250_is_above_250_and_inside_the_head():
    head = np.ones((1, 1, 5), bool)
    head[..., 4] = False
    ct = np.array([[[251, 251, 250, 0, 3000]]])
    pct = np.array([[[300, 0, 251, 0, 0]]])
    assert dice_hu250(pct, ct, head) == 0.5


def test_mae_holds_beyond_the_range_of_int16():
    ct = np.full((1, 2, 2), -30000, np.int16)
    pct = np.full((1, 2, 2), 30000, np.int16)
    assert mae_hu(pct, ct, np.ones((1, 2, 2), bool)) == 60000


def test_mae_of_an_empty_mask_is_nan():
    image = np.zeros((1, 2, 2))
    assert math.isnan(mae_hu(image, image, np.zeros((1, 2, 2), bool)))


def test_tissue_classes_come_from_the_ct_with_their_limits_in_soft_tissue():
    ct = np.array([[[-401, -400, 0, 250, 251, 251]]], np.int16)
    head = np.array([[[True, True, True, True, True, False]]])
    pct = ct + np.array([[[1, 2, 4, 6, 10, 999]]])
    scores = mae_by_tissue(pct, ct, head)
    assert scores == {"mae_air": 1.0, "mae_soft": 4.0, "mae_bone": 10.0}


SPACING_MM = (3.0, 1.0, 0.5)


def bone_half(shape=(3, 12, 40)) -> tuple[np.ndarray, np.ndarray]:
    """Soft tissue left, bone right of x = 20, all of it head."""
    ct = np.zeros(shape)
    ct[..., 20:] = 1000
    return ct, np.ones(shape, bool)


def test_a_missing_edge_is_counted_over_the_band_of_two_millimetres():
    ct, head = bone_half()
    # The gradient is 1000 HU / (2 * 0.5 mm) in the two voxels at the edge, 0 in the other six of
    # the eight columns whose centres lie 0.25, 0.75, 1.25 or 1.75 mm from it.
    assert edge_bone(np.zeros_like(ct), ct, SPACING_MM, head) == pytest.approx(1000 * 2 / 8)


def test_edge_error_sees_slope_not_level():
    ct, head = bone_half()
    assert edge_bone(ct, ct, SPACING_MM, head) == 0
    assert edge_bone(ct + 70, ct, SPACING_MM, head) == 0
    assert edge_bone(1.1 * ct, ct, SPACING_MM, head) == pytest.approx(100 * 2 / 8)


def test_edge_error_ignores_what_is_far_from_bone_or_outside_the_head():
    ct, head = bone_half()
    head[:, :, :19] = False
    pct = ct.copy()
    pct[..., :12] = 400  # its slope ends 8 voxels, 4 mm, from the bone
    pct[..., 35:] = 0
    assert edge_bone(pct, ct, SPACING_MM, head) == 0


def test_the_edge_error_is_the_same_whichever_way_the_axes_run():
    ct, head = bone_half()
    pct = np.zeros_like(ct)
    turned = edge_bone(
        pct.transpose(2, 0, 1), ct.transpose(2, 0, 1), (0.5, 3.0, 1.0), head.transpose(2, 0, 1)
    )
    assert turned == pytest.approx(edge_bone(pct, ct, SPACING_MM, head))


def test_without_bone_there_is_no_edge_error():
    ct, head = bone_half()
    assert math.isnan(edge_bone(ct, np.zeros_like(ct), SPACING_MM, head))
    assert math.isnan(edge_bone(ct, np.full_like(ct, 900), SPACING_MM, head))


def ball(radius_mm: float = 14.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A head of soft tissue with a shell of bone, 2 mm voxels."""
    z, y, x = np.meshgrid(*(2.0 * (np.arange(n) - n // 2) for n in (10, 24, 24)), indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)
    ct = np.where(r < radius_mm, 40, -1000).astype(np.int16)
    skull = (r < radius_mm - 2) & (r > radius_mm - 7)
    ct[skull] = 900
    return ct, r < radius_mm, skull


def test_a_perfect_prediction_scores_perfectly_by_every_name_but_psnr():
    ct, head, skull = ball()
    scores = score_volume(ct.astype(np.float32), ct, head, skull, (2.0, 2.0, 2.0))
    assert set(scores) == {name for name in METRICS if not name.startswith("psnr")}
    perfect = {name: float(METRICS[name].higher_is_better) for name in scores}
    perfect["mae_air"] = math.nan  # no air inside this head
    assert scores == pytest.approx(perfect, abs=1e-6, nan_ok=True)


def test_ten_hounsfield_too_bright_in_the_head_is_an_mae_of_ten():
    ct, head, skull = ball()
    scores = score_volume(ct + 10 * head, ct, head, skull, (2.0, 2.0, 2.0))
    assert [scores[name] for name in ("mae_head", "mae_soft", "mae_bone", "mae_skull")] == [10] * 4
    assert scores["dice_hu250"] == 1


def test_fog_outside_the_head_moves_ssim_but_not_the_scores_inside():
    ct, head, skull = ball()
    fog = ct.copy()
    fog[:, :3] = -300
    clear, fogged = (score_volume(pct, ct, head, skull, (2.0, 2.0, 2.0)) for pct in (ct, fog))
    assert fogged["ssim"] < clear["ssim"] - 0.01
    assert fogged["ssim_masked"] == pytest.approx(clear["ssim_masked"], abs=1e-6)
    assert fogged["mae_head"] == 0


def test_the_masked_ssim_looks_two_pixels_beyond_the_head_in_plane():
    ct, head, skull = ball()
    wide = np.zeros_like(head)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            wide |= np.roll(head, (dy, dx), (1, 2))
    spoilt, untouched = ct.copy(), ct.copy()
    spoilt[wide & ~head] = 0
    untouched[~wide] = 0
    scores = [score_volume(pct, ct, head, skull, (2.0,) * 3) for pct in (spoilt, untouched)]
    assert scores[0]["ssim_masked"] < 0.99
    assert scores[1]["ssim_masked"] == pytest.approx(1.0, abs=1e-6)


def test_volumes_on_two_grids_are_refused_with_their_shapes():
    ct, head, skull = ball()
    with pytest.raises(VolumesDiffer, match=r"\(9, 24, 24\), \(10, 24, 24\).*CT's grid first"):
        score_volume(ct[1:], ct, head, skull, (2.0, 2.0, 2.0))
