"""A pseudo-CT that carries the MR is told from one that does not."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import normalized_mutual_information

from data_prep.intensity import mr_to_unit, mr_window
from data_prep.phantom import centred_grid, scan_ct, scan_mr
from data_prep.phantom_anatomy import draw_anatomy, label_tissues
from data_prep.phantom_tissues import CT_HU, Tissue
from pct.metrics.leak import LEAK_LIMIT, detail_moments, leak_scores, nmi_mr, soft_inside

SPACING_MM = (3.0, 1.5, 1.5)


def head_with_texture(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """CT with noise, skull and a sinus; MR in [-1, 1] of its own texture; the head. (z, y, x)."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (20, 64, 64)), indexing="ij")
    r = np.sqrt((z / 1.6) ** 2 + y**2 + x**2) / 0.95
    ct = np.where(r < 1, 40.0, -1000.0)
    ct[(r > 0.8) & (r < 0.9)] = 1200
    ct[(y > 0.4) & (np.abs(x) < 0.12) & (r < 0.75)] = -900
    ct += rng.normal(0, 12, ct.shape)
    mr = gaussian_filter(rng.normal(0, 1, ct.shape), (0, 0.7, 0.7))
    mr = np.clip(0.1 + 0.2 * mr, -1, 1)
    mr[(r > 1) | (ct > 250) | (ct < -400)] = -1
    return ct, mr, r < 1


def high_passed(mr: np.ndarray) -> np.ndarray:
    return mr - gaussian_filter(mr, (0, 4 / 1.5, 4 / 1.5))


def test_mr_detail_added_to_a_ct_is_found_with_its_slope_and_flagged():
    ct, mr, head = head_with_texture()
    for k in (150.0, -150.0):
        scores = leak_scores(ct + k * high_passed(mr), ct, mr, head, SPACING_MM)
        # The CT's noise has a slope of its own by chance.
        assert scores["mr_leak_slope"] - scores["mr_leak_slope_ct"] == pytest.approx(k, rel=0.05)
        assert abs(scores["mr_leak_slope_ct"]) < 10
        assert math.copysign(1, scores["mr_leak_corr"]) == math.copysign(1, k)
        assert scores["mr_leak"] > LEAK_LIMIT
        assert abs(scores["mr_leak_corr_ct"]) < 0.05


@pytest.mark.parametrize("seed", [1, 2])
def test_on_an_anatomy_the_true_ct_without_noise_is_no_leak_and_a_copied_mr_is(seed):
    grid = centred_grid((96, 96, 24), (2.5, 2.5, 8.0))
    anatomy = draw_anatomy(seed)
    labels = label_tissues(anatomy, grid)
    noisy = scan_ct(labels, grid, anatomy=anatomy, seed=seed).array.T
    raw, head = scan_mr(labels, grid, seed=seed).array.T, (labels != Tissue.AIR).T
    mr = mr_to_unit(raw, *mr_window(raw, head))
    true = CT_HU[labels].T
    scores = leak_scores(true, noisy, mr, head, (8.0, 2.5, 2.5))
    assert scores["mr_leak"] < LEAK_LIMIT
    for k in (-60, 60):
        assert leak_scores(true + k * mr, noisy, mr, head, (8.0, 2.5, 2.5))["mr_leak"] > LEAK_LIMIT


def test_the_slope_is_linear_in_what_is_added():
    ct, mr, head = head_with_texture()
    scores = leak_scores(ct + 80 * mr, ct, mr, head, SPACING_MM)
    added = scores["mr_leak_slope"] - scores["mr_leak_slope_ct"]
    assert added == pytest.approx(80, rel=1e-9)


def test_a_pct_without_mr_detail_is_not_flagged_however_wrong_it_is():
    ct, mr, head = head_with_texture()
    wrong = (
        gaussian_filter(ct, (0, 1.5, 1.5)) + 60 + np.random.default_rng(9).normal(0, 30, ct.shape)
    )
    scores = leak_scores(wrong, ct, mr, head, SPACING_MM)
    assert abs(scores["mr_leak_slope"]) < 10
    assert scores["mr_leak"] < 0.05


def test_contrast_that_the_ct_shares_with_the_mr_is_no_leak():
    ct, mr, head = head_with_texture()
    true_ct = ct + 150 * high_passed(mr)
    scores = leak_scores(true_ct, true_ct, mr, head, SPACING_MM)
    assert scores["mr_leak_corr"] == scores["mr_leak_corr_ct"] > 0.5
    assert scores["mr_leak"] == 0


def test_the_correlation_is_that_of_numpy_on_the_detail():
    ct, mr, head = head_with_texture()
    where = soft_inside(ct, head)

    def blurred(image):
        return gaussian_filter(image, (0, 4 / 1.5, 4 / 1.5), mode="constant", truncate=3)[where]

    detail = [
        one[where] - blurred(one * where) / blurred(where.astype(float))
        for one in (mr, ct + 50 * mr)
    ]
    scores = leak_scores(ct + 50 * mr, ct, mr, head, SPACING_MM)
    expected = float(
        (detail[0] * detail[1]).sum() / np.sqrt((detail[0] ** 2).sum() * (detail[1] ** 2).sum())
    )
    assert scores["mr_leak_corr"] == pytest.approx(expected, abs=1e-9)


def test_soft_tissue_is_kept_from_the_third_voxel_beside_bone_air_and_skin():
    ct = np.full((7, 7, 30), 40)
    ct[..., 10] = 251
    ct[..., 20] = -401
    head = np.ones(ct.shape, bool)
    head[..., 28:] = False
    columns = np.flatnonzero(soft_inside(ct, head)[3, 3])
    np.testing.assert_array_equal(columns, [*range(8), *range(13, 18), *range(23, 26)])


def test_no_edge_of_bone_gets_into_the_detail():
    ct, _, head = head_with_texture()
    flat = np.where(soft_inside(ct, head), 40.0, ct * 10)
    assert detail_moments([flat], soft_inside(ct, head), SPACING_MM)[0, 0] < 1e-12


def test_flat_images_and_heads_without_soft_tissue_have_no_correlation():
    ct, mr, head = head_with_texture()
    smooth = np.where((ct > -400) & (ct < 250), 40.0, ct)
    scores = leak_scores(smooth, smooth, mr, head, SPACING_MM)
    assert scores["mr_leak_slope"] == pytest.approx(0, abs=1e-9)
    assert math.isnan(scores["mr_leak"])
    nothing = leak_scores(ct, ct, mr, np.zeros_like(head), SPACING_MM)
    assert all(map(math.isnan, nothing.values()))
    constant = leak_scores(ct, ct, np.zeros_like(mr), head, SPACING_MM)
    assert all(map(math.isnan, constant.values()))


def test_mutual_information_equals_scikit_image():
    rng = np.random.default_rng(3)
    mr = rng.uniform(-1, 1, (40, 8, 9))
    pct = 500 + 1000 * mr + rng.normal(0, 100, mr.shape)
    head = rng.random(mr.shape) > 0.3
    # The corners make its bins, which span the data, equal to ours.
    head[0, 0, :2] = True
    mr[0, 0, :2], pct[0, 0, :2] = (-1, 1), (-1000, 2000)
    expected = normalized_mutual_information(pct[head], mr[head], bins=(100, 64))
    assert nmi_mr(pct, mr, head) == pytest.approx(expected, abs=1e-9)


def test_mutual_information_runs_from_one_to_two():
    rng = np.random.default_rng(4)
    mr = rng.choice([-0.9, 0.1, 0.7], (30, 30, 30))
    head = np.ones(mr.shape, bool)
    assert nmi_mr(mr * 1000, mr, head) == pytest.approx(2.0)
    assert nmi_mr(rng.permutation(mr.ravel()).reshape(mr.shape) * 1000, mr, head) < 1.001
    assert math.isnan(nmi_mr(mr * 1000, mr, ~head))
    assert math.isnan(nmi_mr(0 * mr, 0 * mr, head))
