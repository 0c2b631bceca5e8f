"""How far an MR lies off its CT: known offsets come back, and pairs without one stay in peace."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.masks import head_and_skull
from data_prep.offset import offset_of
from data_prep.phantom import make_head
from data_prep.quality import MAX_OFFSET_MM, MAX_TURN_DEG
from data_prep.volume import Volume, centre_of, load_nifti, resample, to_ras
from tests.data_prep.moved import expected_shift, moved, random_move

PAIRS = Path(__file__).parents[3] / "shared" / "data" / "pairs"
SMALL = {"size": 64, "num_slices": 30, "spacing_mm": (4.0, 4.0, 6.0)}


@pytest.fixture(scope="module")
def phantom():
    return make_head(3, **SMALL)


@pytest.mark.parametrize(
    ("shift_mm", "turn_deg"),
    [
        ((0.5, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((0.0, -2.0, 0.0), (0.0, 0.0, 0.0)),
        ((0.0, 0.0, 4.0), (0.0, 0.0, 0.0)),
        ((-2.3, 2.3, -2.3), (1.0, 0.0, 0.0)),
        ((1.0, 1.0, 0.0), (0.0, -1.2, 1.6)),
    ],
)
def test_an_injected_offset_is_found_within_half_a_millimetre(phantom, shift_mm, turn_deg):
    mr = moved(phantom.mr, centre_of(phantom.head), shift_mm=shift_mm, turn_deg=turn_deg)
    found = offset_of(mr, phantom.ct, phantom.head)
    assert np.linalg.norm(np.subtract(found.shift_mm, shift_mm)) < 0.5
    assert found.mm == pytest.approx(np.linalg.norm(shift_mm), abs=0.5)
    assert found.turn_deg == pytest.approx(np.linalg.norm(turn_deg), abs=0.3)


@pytest.mark.parametrize("seed", range(4))
def test_a_pair_without_offset_is_not_flagged(seed):
    phantom = make_head(seed, **SMALL)
    found = offset_of(phantom.mr, phantom.ct, phantom.head)
    assert found.mm < 0.4
    assert found.turn_deg < 0.4


def test_an_mr_resampled_onto_the_grid_of_the_ct_keeps_its_offset(phantom):
    off = moved(phantom.mr, centre_of(phantom.head), shift_mm=(1.0, -1.0, 2.0))
    found = offset_of(resample(off, phantom.ct.grid), phantom.ct, phantom.head)
    assert found.shift_mm == pytest.approx((1.0, -1.0, 2.0), abs=0.4)


def test_the_edge_of_padding_inside_the_head_does_not_hold_the_mr_back(phantom):
    padded = phantom.mr.array.copy()
    padded[:, :, :20] = 0.0
    mr = moved(phantom.mr.with_array(padded), centre_of(phantom.head), shift_mm=(0.0, 0.0, 3.0))
    assert offset_of(mr, phantom.ct, phantom.head).mm > MAX_OFFSET_MM


def test_a_frame_before_the_face_does_not_hold_the_mr_back(phantom):
    ct = phantom.ct.array.copy()
    ct[~phantom.head.array & (np.arange(64)[None, :, None] > 34)] = 1500
    mr = moved(phantom.mr, centre_of(phantom.head), shift_mm=(0.0, 3.0, 0.0))
    found = offset_of(mr, phantom.ct.with_array(ct), phantom.head)
    assert found.shift_mm == pytest.approx((0.0, 3.0, 0.0), abs=0.5)


def test_an_offset_beyond_the_search_comes_out_as_one_of_4_mm_or_more(phantom):
    mr = moved(phantom.mr, centre_of(phantom.head), shift_mm=(0.0, 15.0, 0.0))
    assert offset_of(mr, phantom.ct, phantom.head).mm >= 4.0


def test_what_holds_nothing_to_measure_gives_nan(phantom):
    empty = phantom.head.with_array(np.zeros_like(phantom.head.array))
    constant = phantom.mr.with_array(np.full_like(phantom.mr.array, 3.0))
    thin = Volume(phantom.mr.array[:, :, 14:15], phantom.mr.affine)
    away = moved(phantom.mr, np.zeros(3), shift_mm=(500.0, 0.0, 0.0))
    for mr, head in (
        (phantom.mr, empty),
        *((mr, phantom.head) for mr in (constant, thin, away)),
    ):
        found = offset_of(mr, phantom.ct, head)
        assert np.isnan([*found.shift_mm, found.mm, found.turn_deg]).all()


@pytest.mark.slow
@pytest.mark.skipif(not PAIRS.exists(), reason="real anatomy is not at hand")
@pytest.mark.parametrize("name", ["colin27", "chris", "mni2mm"])
def test_offsets_of_real_anatomy_are_found_relative_to_their_own(name):
    ct = to_ras(load_nifti(PAIRS / f"{name}_ct.nii.gz"))
    mr = to_ras(load_nifti(PAIRS / f"{name}_mr.nii.gz"))
    head = head_and_skull(ct, backend="threshold").head
    own = offset_of(mr, ct, head)
    assert own.mm < MAX_OFFSET_MM
    assert own.turn_deg < MAX_TURN_DEG
    rng = np.random.default_rng(1)
    for _ in range(10):
        move = random_move(rng, shift_mm=(0.5, 4.0), turn_deg=(0.0, 2.0))
        found = offset_of(moved(mr, centre_of(head), **move), ct, head)
        assert np.linalg.norm(found.shift_mm - expected_shift(own, **move)) < 0.5
