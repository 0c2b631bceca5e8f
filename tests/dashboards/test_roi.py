import inspect
from dataclasses import replace

import numpy as np
import pytest
from looks_folder import draw_head, write_looks

from dashboards.load import load_sweep
from dashboards.pictures.choose import shown_runs
from dashboards.pictures.looks import Look, read_cases
from dashboards.pictures.plates import evolution_plate
from dashboards.pictures.roi import (
    BadRoi,
    Box,
    Roi,
    box_of,
    densest_bone_edges,
    parse_roi,
    refuse_unknown,
    rois_of,
)


def look_of(ct_hu, *, head=None, pixel_mm=1.0):
    head = np.ones(ct_hu.shape, bool) if head is None else head
    return Look("p01", np.zeros(ct_hu.shape), ct_hu, head, pixel_mm, 0)


def plate_with_a_dense_corner(shape=(120, 100)):
    """Soft tissue with bars of bone, 2 mm on and 2 mm off, in rows 70-99 and columns 10-39."""
    ct_hu = np.full(shape, 40)
    for x in range(10, 40, 4):
        ct_hu[70:100, x : x + 2] = 1000
    return ct_hu


def test_the_default_region_holds_the_one_dense_corner():
    ct_hu = plate_with_a_dense_corner()
    first, *others = densest_bone_edges(ct_hu, np.ones(ct_hu.shape, bool), pixel_mm=1.0)
    box = box_of(first, look_of(ct_hu))
    assert box.size == 40
    assert box.y <= 68 < 100 < box.y + 40 + 1  # all bars with the gradient beside them
    assert box.x <= 9 < 38 + 1 < box.x + 40
    assert others == []  # nothing outside that square has an edge


def test_the_sum_over_squares_equals_a_loop_over_them():
    _, ct_hu, head = draw_head(3, shape=(40, 36), pixel_mm=6.0)
    (first, second) = densest_bone_edges(ct_hu, head, pixel_mm=6.0, size_mm=60.0)
    bone = (ct_hu > 250) & head
    padded = np.pad(bone, 1)
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    surface = bone & ~np.logical_and.reduce(neighbours)  # 2 mm are less than a pixel here
    slope = np.hypot(*np.gradient(ct_hu.astype(float), 6.0)) * surface
    sums = {(y, x): slope[y : y + 10, x : x + 10].sum() for y in range(31) for x in range(27)}
    best = max(sums, key=sums.get)
    found = box_of(first, look_of(ct_hu, head=head, pixel_mm=6.0))
    assert (found.y, found.x, found.size) == (*best, 10)
    apart = {at: s for at, s in sums.items() if max(abs(at[0] - best[0]), abs(at[1] - best[1])) > 9}
    next_best = box_of(second, look_of(ct_hu, head=head, pixel_mm=6.0))
    assert (next_best.y, next_best.x) == max(apart, key=apart.get)


def test_metal_outside_the_head_draws_no_region():
    ct_hu = plate_with_a_dense_corner()
    head = np.zeros(ct_hu.shape, bool)
    head[:, 50:] = True
    assert densest_bone_edges(ct_hu, head, pixel_mm=1.0) == ()


def test_a_slice_smaller_than_a_region_has_none():
    assert densest_bone_edges(np.full((30, 90), 999), np.ones((30, 90), bool), pixel_mm=1.0) == ()


def test_the_region_is_the_same_whatever_the_pseudo_ct_is(sweep_dir):
    write_looks(sweep_dir)
    sweep, look = load_sweep(sweep_dir), read_cases(sweep_dir)["p01"]
    before = rois_of(look, ())
    for path in (sweep_dir / "looks").glob("*/*.npz"):
        noise = np.random.default_rng(1).integers(-1000, 3000, look.ct_hu.shape, np.int16)
        np.savez(path, p01=noise)
    plate = evolution_plate(sweep, shown_runs(sweep), look, rois_of(look, ()))
    assert plate.rois == before
    assert set(inspect.signature(densest_bone_edges).parameters) == {
        "ct_hu", "head", "pixel_mm", "size_mm",
    }  # fmt: skip


def test_a_region_is_given_in_mm_from_the_middle_to_the_patients_right_and_front():
    look = look_of(np.zeros((101, 81)), pixel_mm=2.0)
    assert box_of(Roi(0.0, 0.0, 10.0), look) == Box(y=48, x=38, size=5)
    assert box_of(Roi(20.0, -30.0, 10.0), look) == Box(y=33, x=48, size=5)


def test_a_region_over_the_border_is_moved_inside():
    look = look_of(np.zeros((101, 81)), pixel_mm=2.0)
    assert box_of(Roi(80.0, -100.0, 10.0), look) == Box(y=0, x=76, size=5)


@pytest.mark.parametrize("roi", [Roi(90.0, 0.0), Roi(0.0, 103.0), Roi(0.0, 0.0, 170.0)])
def test_a_region_outside_the_slice_is_refused_with_its_reach(roi):
    look = look_of(np.zeros((101, 81)), pixel_mm=2.0)
    with pytest.raises(BadRoi, match=r"x = \+-81 mm and y = \+-101 mm"):
        box_of(roi, look)


def test_regions_are_read_from_the_command_line():
    assert parse_roi("p07:-35,42") == ("p07", Roi(-35.0, 42.0, 40.0))
    assert parse_roi("site:p07:1.5,2,25") == ("site:p07", Roi(1.5, 2.0, 25.0))


@pytest.mark.parametrize(
    "text", ["p07", "p07:", "p07:1", "p07:1,2,3,4", "p07:a,b", ":1,2", "p07:1,2,0", "p07:nan,2"]
)
def test_a_region_that_cannot_be_read_is_refused_with_an_example(text):
    with pytest.raises(BadRoi, match=r"expected CASE:x_mm,y_mm.*as in p07:-35,42,40"):
        parse_roi(text)


def test_a_region_by_hand_replaces_the_default_of_its_case_alone():
    _, ct_hu, head = draw_head(0)
    look, roi = look_of(ct_hu, head=head, pixel_mm=4.0), Roi(1.0, 2.0)
    assert rois_of(look, [("p01", roi), ("p02", Roi(3.0, 4.0))]) == (roi,)
    default = rois_of(replace(look, case="p03"), [("p01", roi)])
    assert default == densest_bone_edges(ct_hu, head, pixel_mm=4.0)
    assert len(default) == 2


def test_a_region_for_a_case_that_is_not_shown_is_refused_with_those_that_are():
    looks = {"p01": look_of(np.zeros((64, 64)))}
    with pytest.raises(BadRoi, match=r"--roi p09: no slice of it was kept, but of p01\."):
        refuse_unknown(looks, [("p09", Roi(0.0, 0.0))])
    with pytest.raises(BadRoi, match="but of no case at all"):
        refuse_unknown({}, [("p01", Roi(0.0, 0.0))])
