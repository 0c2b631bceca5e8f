from dataclasses import replace

import numpy as np
import pytest

from data_prep.flips import flip_margin
from data_prep.masks import head_and_skull
from data_prep.offset import Offset
from data_prep.phantom import make_head
from data_prep.quality import Findings, examine, verdict
from data_prep.shards import read_case_table
from data_prep.volume import Volume, centre_of
from tests.data_prep.moved import mirrored, moved

GOOD = Findings(
    constant=(), head_litres=4.0, head_in_mr=1.0,
    flip_margin=0.2, best_other_flip="left-right", air_hu=-1000.0, head_hu=30.0,
    offset=Offset((0.3, 0.0, 0.0), 0.2), head_dice=0.97, dense_outside=0.01,
)  # fmt: skip


@pytest.fixture(scope="module")
def phantom():
    return make_head(3, size=64, num_slices=34, spacing_mm=(4.0, 4.0, 6.0))


@pytest.fixture(scope="module")
def masks(phantom):
    return head_and_skull(phantom.ct, backend="threshold")


def test_a_sound_pair_is_taken_without_remark(phantom, masks):
    found = examine(phantom.mr, phantom.ct, masks)
    assert found.head_in_mr == 1.0
    assert found.air_hu == pytest.approx(-1000, abs=20)
    assert found.head_hu == pytest.approx(38, abs=15)
    assert found.flip_margin > 0.1
    assert found.offset.mm < 0.3
    assert found.head_dice == pytest.approx(0.98, abs=0.02)
    assert 0 < found.dense_outside < 0.002, "the phantom's pins"
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
    symmetric = make_head(3, size=64, num_slices=34, spacing_mm=(4.0, 4.0, 6.0), asymmetry=0.0)
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


def test_a_flip_margin_does_not_depend_on_where_the_mr_lies(phantom, masks):
    centre = centre_of(masks.head)
    straight = flip_margin(phantom.mr, phantom.ct, masks.head).margin
    for flip, sign in (((1, 1, 1), 1), ((-1, 1, 1), -1)):
        off = moved(
            mirrored(phantom.mr, centre, flip), centre, shift_mm=(9, -13, 5), turn_deg=(2, 0, 4)
        )
        margin = flip_margin(off, phantom.ct, masks.head).margin
        assert sign * np.log1p(margin) == pytest.approx(np.log1p(straight), abs=0.02)


def test_an_mr_that_misses_a_third_of_the_head_is_refused(phantom, masks):
    short = Volume(phantom.mr.array[:, :, 19:], phantom.mr.affine.copy())
    short.affine[2, 3] += 19 * 6.0
    found = examine(short, phantom.ct, masks)
    assert found.head_in_mr < 0.8
    assert "of the head lies in the MR's field of view, expected 80%" in verdict(found).reason


def test_metal_counts_outside_the_head_only(phantom, masks):
    metal = phantom.ct.array.copy()
    metal[30:34, 30:34, 10] = 3000
    metal[:3] = 3000
    found = examine(phantom.mr, phantom.ct.with_array(metal), masks)
    added = 3 * 64 * 34 / (~masks.head.array).sum()
    pins = examine(phantom.mr, phantom.ct, masks).dense_outside
    assert found.dense_outside == pytest.approx(added + pins, abs=1e-4)


def test_a_constant_image_is_refused(phantom, masks):
    flat = phantom.mr.with_array(np.full_like(phantom.mr.array, 7.0))
    assert verdict(examine(flat, phantom.ct, masks)).reason == "MR is constant; export it anew"


def test_a_ct_whose_intercept_was_lost_is_refused(phantom, masks):
    shifted = phantom.ct.with_array(phantom.ct.array + 1024)
    judged = verdict(examine(phantom.mr, shifted, masks))
    assert judged.status == "refused"
    assert "rescale slope and intercept lost?" in judged.reason


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("change", [lambda hu: hu + 1024, lambda hu: (hu + 1024) / 4096])
def test_a_ct_all_of_which_passes_for_head_is_told_that_it_is_not_in_hu(phantom, change):
    stored = phantom.ct.with_array(change(phantom.ct.array.astype(np.float32)))
    masks = head_and_skull(stored, backend="threshold")
    assert masks.head.array.mean() > 0.99, "without its intercept even air passes for tissue"
    judged = verdict(examine(phantom.mr, stored, masks))
    assert judged.status == "refused"
    assert "expected -3100 to -850 HU; rescale slope and intercept lost?" in judged.reason


def test_a_pair_that_does_not_meet_is_not_called_mirrored(phantom, masks):
    affine = phantom.mr.affine.copy()
    affine[2, 3] += 900.0
    found = examine(Volume(phantom.mr.array, affine), phantom.ct, masks)
    assert np.isnan(found.flip_margin)
    assert "only 0% of the head lies in the MR's field of view" in verdict(found).reason
    assert "mirrored" not in verdict(found).reason


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


def test_an_mr_that_lies_off_the_ct_is_flagged_with_the_way_it_lies(phantom, masks):
    off = moved(phantom.mr, centre_of(masks.head), shift_mm=(0.0, -2.5, 0.0))
    judged = verdict(examine(off, phantom.ct, masks))
    assert judged.status == "flagged"
    assert judged.reason.startswith("MR lies 2.")
    assert "the CT, expected at most 1.5 mm and 2 degrees; register it anew" in judged.reason
    assert "limit" not in judged.reason


@pytest.mark.parametrize(
    ("shift_mm", "turn_deg"),
    [((0, 0, 8), (0, 0, 0)), ((30, 0, 0), (0, 0, 0)), ((0, 0, 0), (9, 0, 0))],
)
def test_an_offset_beyond_the_search_is_refused(phantom, masks, shift_mm, turn_deg):
    centre = centre_of(masks.head)
    off = moved(phantom.mr, centre, shift_mm=shift_mm, turn_deg=turn_deg)
    judged = verdict(examine(off, phantom.ct, masks))
    assert judged.status == "refused"
    assert "the search ends at 4 mm and 4 degrees, so it may be more; register" in judged.reason


@pytest.mark.parametrize(
    ("changed", "status", "reason"),
    [
        ({"offset": Offset((0.0, 1.6, 0.0), 0.0)}, "flagged", "MR lies 1.6 mm (+0.0, +1.6, +0.0"),
        ({"offset": Offset((1.0, 1.0, 0.0), 1.9)}, "taken", ""),
        ({"offset": Offset((0.0, 0.0, 0.0), 2.4)}, "flagged", "and 2.4 degrees off the CT"),
        ({"offset": Offset((3, 2.6, 0), 3.9)}, "flagged", "MR lies 4.0 mm (+3.0, +2.6, +0.0"),
        ({"offset": Offset((3, 3, 0), 0.0)}, "refused", "MR lies 4.2 mm (+3.0, +3.0, +0.0"),
        ({"offset": Offset((0, 0, 0), 4.1)}, "refused", "and 4.1 degrees off the CT; the"),
        ({"offset": Offset()}, "taken", ""),
        ({"head_dice": 0.89}, "flagged", "a Dice of 0.89, expected 0.90; look at the"),
        ({"head_dice": 0.69}, "refused", "a Dice of 0.69, expected 0.90; wrong pair, not"),
        ({"dense_outside": 0.2}, "flagged", "20% of the CT outside the head lie above 2500 HU"),
        ({"dense_outside": 0.04}, "taken", ""),
        ({"head_hu": 95.0}, "flagged", "median in the head is 95, expected 0 to 80 HU of soft"),
        ({"head_hu": -160.0}, "refused", "median in the head is -160, expected -150 to 200 HU"),
    ],
)  # fmt: skip
def test_each_doubt_has_its_number(changed, status, reason):
    judged = verdict(replace(GOOD, **changed))
    assert judged.status == status
    assert reason in judged.reason
    assert bool(judged.reason) == (status != "taken")


def test_refusals_come_before_doubts_and_a_mirrored_mr_is_not_called_misplaced():
    both = replace(GOOD, head_in_mr=0.5, dense_outside=0.2, offset=Offset((2.0, 0.0, 0.0), 0.0))
    parts = verdict(both).reason.split("; ")
    assert parts[0].startswith("only 50%")
    assert any(part.startswith("MR lies 2.0 mm") for part in parts)
    assert parts[-2].startswith("20% of the CT outside")
    assert verdict(both).status == "refused"
    for shift_mm in (2.0, 5.0):
        far = replace(both, flip_margin=-0.1, offset=Offset((shift_mm, 0.0, 0.0), 0.0))
        assert "MR lies" not in verdict(far).reason


def test_what_the_gate_measured_stands_in_the_case_table(made):
    for row in read_case_table(made).to_pylist():
        assert row["status"] == "taken"
        assert 0 < row["offset_mm"] < 0.5
        assert 0 < row["offset_deg"] < 0.5
        assert 0.95 < row["head_dice"] <= 1
        assert 0 <= row["dense_outside"] < 0.01
