import numpy as np
import pytest

from data_prep.schema import CaseVolumes
from data_prep.slices import build_slices, field_of_view, pick_slices, share_inside, slice_table
from data_prep.volume import Grid, Volume
from data_prep.volume_shards import encode_mr


def ball(shape, spacing_mm, radius_mm, centre_mm=(0.0, 0.0, 0.0)):
    """A centred volume that holds a ball of ones."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -np.array(spacing_mm) * (np.array(shape) - 1) / 2
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    distance = np.linalg.norm(index * spacing_mm + affine[:3, 3] - centre_mm, axis=-1)
    return Volume(distance <= radius_mm, affine)


def case_of(head, mr=None):
    ct = head.with_array(np.where(head.array, 40, -1000).astype(np.int16))
    mr = mr or head.with_array(head.array.astype(np.float32) * 500 + 20)
    return CaseVolumes(
        subject="s", split="train", mr=mr, mr_head_window=(0.0, 520.0),
        mr_volume_window=(20.0, 520.0), ct=ct, head=head,
        skull=head.with_array(np.zeros_like(head.array)), mask_backend="threshold-1",
    )  # fmt: skip


def test_slices_are_centred_on_the_head_and_keep_the_cts_z():
    head = ball((96, 96, 20), (1.0, 1.0, 4.0), 25.0, centre_mm=(12.0, -8.0, 0.0))
    stack = build_slices(case_of(head), size=64, pixel_mm=1.0)
    rows, columns = np.nonzero(stack.head.any(axis=0))
    assert abs(rows.mean() - 31.5) <= 0.5
    assert abs(columns.mean() - 31.5) <= 0.5
    assert stack.head.shape == (20, 64, 64)
    assert stack.head.sum() == head.array.sum()


def test_slices_lie_y_by_x_in_ras_order():
    head = ball((64, 64, 12), (2.0, 2.0, 5.0), 45.0)
    mr = head.with_array(np.zeros(head.array.shape, np.float32))
    mr.array[40:, :, :] = 100.0  # right half
    mr.array[:, 40:, :] += 300.0  # front half
    stack = build_slices(case_of(head, mr), size=32, pixel_mm=4.0)
    raw = stack.mr.raw()[6]
    back_left, back_right, front_left = raw[4, 4], raw[4, 28], raw[28, 4]
    assert (back_left, back_right, front_left) == pytest.approx((0.0, 100.0, 300.0), abs=0.1)


def test_a_coarser_slice_keeps_the_mean_hu():
    head = ball((128, 128, 8), (1.0, 1.0, 5.0), 40.0)
    stack = build_slices(case_of(head), size=32, pixel_mm=4.0)
    fine = case_of(head).ct.array.mean(axis=(0, 1))
    assert stack.ct_hu.mean(axis=(1, 2)) == pytest.approx(fine, abs=3.0)


def test_outside_its_field_of_view_the_ct_is_air_and_the_mr_its_darkest():
    head = ball((32, 32, 8), (2.0, 2.0, 5.0), 20.0)
    stack = build_slices(case_of(head), size=64, pixel_mm=2.0)
    assert (stack.ct_hu[:, :10] == -1000).all()
    assert stack.mr.raw()[:, :10] == pytest.approx(20.0)


def test_valid_is_head_with_mr_and_a_slice_needs_five_per_cent_of_it():
    head = ball((64, 64, 20), (2.0, 2.0, 5.0), 40.0)
    noise = np.random.default_rng(0).random((64, 64, 8)).astype(np.float32)
    mr = Volume(noise, head.affine)
    stack = build_slices(case_of(head, mr), size=64, pixel_mm=2.0)
    assert (stack.valid == (stack.head & (np.arange(20) < 8)[:, None, None])).all()
    found = stack.qualifying()
    assert found.max() == 7
    assert (stack.valid[found].mean(axis=(1, 2)) >= 0.05).all()


def test_padding_is_not_field_of_view_but_dark_bone_is():
    mr = Volume(np.full((80, 80, 40), 50.0, np.float32), np.diag([2.0, 2.0, 2.0, 1.0]))
    mr.array[:, :, :16] = 0.0  # 32 mm of padding
    mr.array[20:60, 30:33, 25:30] = 0.0  # 6 mm of bone
    seen = field_of_view(mr).array
    assert not seen[:, :, :14].any()
    assert seen[:, :, 16:].all()


def test_a_volume_without_padding_is_all_field_of_view():
    rng = np.random.default_rng(0)
    mr = Volume(rng.random((40, 40, 20)).astype(np.float32), np.diag([3.0, 3.0, 3.0, 1.0]))
    assert field_of_view(mr).array.all()


def test_a_cut_head_is_measured():
    head = Volume(np.ones((40, 20, 10), bool), np.eye(4))
    half = Grid((20, 20, 10), np.eye(4))
    assert share_inside(head, half) == 0.5
    assert share_inside(head, head.grid) == 1.0
    assert share_inside(head.with_array(np.zeros((40, 20, 10), bool)), half) == 0.0


def test_a_pick_is_random_ascending_and_fixed_by_seed_and_subject():
    found = np.arange(10, 110)
    pick = pick_slices(found, subject="p1", max_slices=30, seed=0)
    assert len(pick) == 30
    assert (np.diff(pick) > 0).all()
    assert set(pick) <= set(found)
    assert (pick == pick_slices(found, subject="p1", max_slices=30, seed=0)).all()
    assert (pick != pick_slices(found, subject="p2", max_slices=30, seed=0)).any()
    assert (pick != pick_slices(found, subject="p1", max_slices=30, seed=1)).any()


def test_a_pick_from_few_slices_takes_them_all():
    found = np.array([4, 9])
    assert (pick_slices(found, subject="p", max_slices=30, seed=0) == found).all()


def test_slice_codes_share_the_volumes_scale():
    head = ball((32, 32, 8), (4.0, 4.0, 5.0), 40.0)
    case = case_of(head)
    stack = build_slices(case, size=32, pixel_mm=4.0)
    whole = encode_mr(case.mr.array)
    assert (stack.mr.slope, stack.mr.intercept) == (whole.slope, whole.intercept)
    table = slice_table(case, stack, np.array([2, 5]))
    assert table["z"].to_pylist() == [2, 5]
    assert table["affine"][0].as_py() == stack.grid.affine.ravel().tolist()
