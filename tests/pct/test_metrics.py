"""All scores of one case: their names, their edges, what each looks at, and their memory."""

import math
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from pct.metrics.case import METRICS, VolumesDiffer, score_volume
from pct.metrics.image import PSNR_CAP_DB
from tests.pct.golden import golden_phantom


def ball(radius_mm: float = 14.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A head of soft tissue with a shell of bone, 2 mm voxels."""
    z, y, x = np.meshgrid(*(2.0 * (np.arange(n) - n // 2) for n in (10, 24, 24)), indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)
    ct = np.where(r < radius_mm, 40, -1000).astype(np.int16)
    skull = (r < radius_mm - 2) & (r > radius_mm - 7)
    ct[skull] = 900
    return ct, r < radius_mm, skull


def texture(head: np.ndarray) -> np.ndarray:
    """An MR in [-1, 1] with something in it."""
    return np.where(head, np.random.default_rng(0).uniform(-0.5, 0.5, head.shape), -1.0)


def test_a_perfect_prediction_scores_perfectly_by_every_name():
    ct, head, skull = ball()
    scores = score_volume(
        ct.astype(np.float32), ct, head, skull, (2.0, 2.0, 2.0), mr_unit=texture(head)
    )
    assert set(scores) == set(METRICS) - {"dice_skull", "hd95_skull"}  # need a segmenter
    judged = {n: v for n, v in scores.items() if METRICS[n].higher_is_better is not None}
    perfect = {
        name: PSNR_CAP_DB
        if METRICS[name].unit == "dB"
        else float(bool(METRICS[name].higher_is_better))
        for name in judged
    }
    # No air inside this head, no soft tissue far from bone, a volume that ends close by.
    known = ("mae_air", "dice_air", "mr_leak", *(n for n in judged if n.startswith("bg_share")))
    for name in known:
        perfect[name] = math.nan
        if name.startswith("bg_share") and not math.isnan(scores[name]):
            perfect[name] = 0.0
    assert judged == pytest.approx(perfect, abs=1e-6, nan_ok=True)


def test_without_an_mr_only_what_needs_one_is_left_out():
    ct, head, skull = ball()
    scores = score_volume(ct, ct, head, skull, (2.0, 2.0, 2.0))
    missing = set(METRICS) - set(scores) - {"dice_skull", "hd95_skull"}
    assert missing == {name for name in METRICS if name.startswith("mr_leak")} | {"nmi_mr"}


def test_a_case_without_a_head_has_no_score_but_those_of_the_whole_volume():
    ct, head, _ = ball()
    nothing = np.zeros_like(head)
    scores = score_volume(ct, ct, nothing, nothing, (2.0, 2.0, 2.0), mr_unit=texture(head))
    known = {name for name, value in scores.items() if not math.isnan(value)}
    assert known == {"psnr", "ssim"}


@pytest.mark.parametrize("depth", [1, 2, 3, 6, 10])
def test_volumes_thinner_than_the_window_are_scored(depth):
    ct, head, skull = (one[:depth] for one in ball(20.0))
    pct = ct + np.where(head, 25, 0).astype(np.int16)
    scores = score_volume(pct, ct, head, skull, (2.0, 2.0, 2.0), mr_unit=texture(head))
    assert scores["mae_head"] == 25
    assert 0 < scores["ssim"] < 1
    assert math.isnan(scores["z_jitter"]) == (depth < 3)
    assert math.isnan(scores["synthrad23_ssim"]) == (depth < 7)


def test_double_precision_goes_in_and_comes_out():
    pct, ct, mask = golden_phantom()
    exact = score_volume(pct, ct, mask, mask, (4.0, 2.0, 2.0))
    single = score_volume(*(v.astype(np.float32) for v in (pct, ct)), mask, mask, (4.0, 2.0, 2.0))
    assert exact["ssim"] == pytest.approx(0.95528497, abs=1e-8)
    assert single["ssim"] != exact["ssim"]
    names = [n for n in exact if not math.isnan(exact[n])]
    assert [single[n] for n in names] == pytest.approx(
        [exact[n] for n in names], rel=1e-4, abs=1e-4
    )


def test_scores_of_int16_equal_those_of_the_same_numbers_as_floats():
    ct, head, skull = ball()
    pct = ct + np.random.default_rng(2).integers(-90, 90, ct.shape).astype(np.int16)
    whole, floats = (
        score_volume(pct.astype(t), ct.astype(t), head, skull, (2.0, 2.0, 2.0))
        for t in (np.int16, np.float32)
    )
    assert whole == pytest.approx(floats, rel=1e-6, nan_ok=True)


def test_how_a_volume_lies_in_memory_does_not_matter():
    ct, head, skull = ball()
    pct = ct + np.random.default_rng(2).integers(-90, 90, ct.shape).astype(np.int16)
    plain = score_volume(pct, ct, head, skull, (2.0, 2.0, 2.0))
    # Big-endian, backwards and read-only, as a NIfTI file may be.
    odd = pct[::-1].astype(">i2")[::-1]
    odd.flags.writeable = False
    others = (np.asfortranarray(one) for one in (ct, head, skull))
    assert score_volume(odd, *others, (2.0, 2.0, 2.0)) == pytest.approx(plain, nan_ok=True)


def test_names_and_units_are_read_without_torch():
    code = "import sys, pct.metrics.names; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_arrays_made_on_the_way_grow_with_the_heads_box_not_with_the_volume():
    ct, head, skull = ball()
    peaks = []
    for depth in (100, 600):
        large = np.full((depth, 100, 100), -1000, np.int16)
        masks = [np.zeros(large.shape, bool) for _ in range(2)]
        at = np.s_[40:50, 20:44, 20:44]
        large[at], masks[0][at], masks[1][at] = ct, head, skull
        tracemalloc.start()
        score_volume(large, large, *masks, (0.5, 0.5, 0.5))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    added = 500 * 100 * 100
    assert peaks[1] - peaks[0] < 4 * added  # bytes: less than one image in single precision


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
