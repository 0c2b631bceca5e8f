from dataclasses import replace

import numpy as np
import pytest

from data_prep.flips import flip_margin, nmi, thinned
from data_prep.masks import head_and_skull
from data_prep.phantom import make_head
from data_prep.quality import Findings, examine, verdict
from data_prep.volume import Volume

GOOD = Findings(
    constant=(), head_litres=4.0, head_in_mr=1.0,
    flip_margin=0.2, best_other_flip="left-right", air_hu=-1000.0, head_hu=30.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def phantom():
    return make_head(3, size=128, num_slices=40, spacing_mm=(2.0, 2.0, 5.0))


@pytest.fixture(scope="module")
def masks(phantom):
    return head_and_skull(phantom.ct, backend="threshold")


def test_a_sound_pair_is_taken_without_remark(phantom, masks):
    found = examine(phantom.mr, phantom.ct, masks)
    assert found.head_in_mr == 1.0
    assert found.air_hu == pytest.approx(-1000, abs=20)
    assert found.head_hu == pytest.approx(38, abs=15)
    assert found.flip_margin > 0.1
    assert verdict(found).status == "taken"
    assert verdict(found).reason == ""


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_mr_is_refused_and_the_axis_named(phantom, masks, axis):
    mirrored = phantom.mr.with_array(np.flip(phantom.mr.array, axis))
    judged = verdict(examine(mirrored, phantom.ct, masks))
    name = ("left-right", "front-back", "head-feet")[axis]
    assert judged.status == "refused"
    assert f"mirrored: flipped {name} they fit better (margin -" in judged.reason


def test_a_mirrored_head_that_lies_off_centre_is_still_refused(phantom, masks):
    affine = phantom.mr.affine.copy()
    affine[0, 3] += 16.0
    mirrored = Volume(phantom.mr.array[::-1], affine)
    assert "mirrored" in verdict(examine(mirrored, phantom.ct, masks)).reason


def test_a_symmetric_head_is_flagged_and_not_refused():
    symmetric = make_head(3, size=128, num_slices=40, spacing_mm=(2.0, 2.0, 5.0), asymmetry=0.0)
    found = examine(symmetric.mr, symmetric.ct, head_and_skull(symmetric.ct))
    judged = verdict(found)
    assert abs(found.flip_margin) < 0.02
    assert judged.status == "flagged"
    assert "look at the contact sheet" in judged.reason


def test_a_flip_margin_changes_sign_with_the_mr(phantom, masks):
    straight = flip_margin(phantom.mr, phantom.ct, masks.head)
    turned = phantom.mr.with_array(phantom.mr.array[::-1])
    back = flip_margin(turned, phantom.ct, masks.head)
    assert straight.best_other == back.best_other == "left-right"
    assert (1 + straight.margin) * (1 + back.margin) == pytest.approx(1.0, abs=0.12)


def test_an_mr_that_misses_a_third_of_the_head_is_refused(phantom, masks):
    short = Volume(phantom.mr.array[:, :, 22:], phantom.mr.affine.copy())
    short.affine[2, 3] += 22 * 5.0
    found = examine(short, phantom.ct, masks)
    assert found.head_in_mr < 0.8
    assert "of the head lies in the MR's field of view, expected 80%" in verdict(found).reason


def test_a_constant_image_is_refused(phantom, masks):
    flat = phantom.mr.with_array(np.full_like(phantom.mr.array, 7.0))
    assert verdict(examine(flat, phantom.ct, masks)).reason == "MR is constant; export it anew"


def test_a_ct_whose_intercept_was_lost_is_refused(phantom, masks):
    shifted = phantom.ct.with_array(phantom.ct.array + 1024)
    judged = verdict(examine(phantom.mr, shifted, masks))
    assert judged.status == "refused"
    assert "rescale slope and intercept lost?" in judged.reason


def test_a_ct_without_a_head_is_refused(phantom):
    air = phantom.ct.with_array(np.full_like(phantom.ct.array, -1000))
    air.array[0, 0, 0] = -990
    judged = verdict(examine(phantom.mr, air, head_and_skull(air)))
    assert judged.status == "refused"
    assert "no head in the CT: 0.00 litres" in judged.reason


def test_every_reason_is_given_at_once():
    reason = verdict(replace(GOOD, head_in_mr=0.5, flip_margin=-0.1, head_hu=1060.0)).reason
    assert reason.count(";") >= 2
    for part in ("only 50% of the head", "margin -10.0%", "median in the head is 1060"):
        assert part in reason


@pytest.mark.parametrize(
    ("margin", "status"),
    [(0.021, "taken"), (0.019, "flagged"), (-0.019, "flagged"), (-0.021, "refused")],
)
def test_flips_are_undecided_within_two_per_cent(margin, status):
    assert verdict(replace(GOOD, flip_margin=margin)).status == status


def test_mutual_information_is_two_of_equals_and_one_of_strangers():
    levels = np.repeat(np.arange(32), 32)
    assert nmi(levels, (levels * 7) % 32) == pytest.approx(2.0)
    assert nmi(levels, np.tile(np.arange(32), 32)) == pytest.approx(1.0)
    assert nmi(levels * 0, levels * 0) == 1.0


def test_thinning_averages_whole_blocks_in_place():
    volume = Volume(np.arange(64, dtype=np.float32).reshape(4, 4, 4), np.eye(4))
    coarse = thinned(volume, 2.0)
    assert coarse.array[0, 0, 0] == volume.array[:2, :2, :2].mean()
    assert coarse.affine[:3, 3].tolist() == [0.5, 0.5, 0.5]
    assert coarse.spacing_mm == (2.0, 2.0, 2.0)
