"""Slices to batches: scaling, order, shares of workers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data_prep.intensity import hu_to_unit, mr_to_unit
from data_prep.parquet import pack
from data_prep.schema import PackedMasks
from pct.batches import epoch_order, make_batch, num_steps, rank_rows
from tests.tiny import disc_slices, tiny_run

CPU = torch.device("cpu")


def batch_of(table, **settings):
    return make_batch(table, np.arange(len(table)), tiny_run(**settings), CPU)


def test_images_lie_in_minus_one_to_one_and_air_is_minus_one():
    table = disc_slices(cases=2, per_case=2)
    batch = batch_of(table)
    for image in (batch.mr, batch.ct):
        assert image.shape == (4, 1, 32, 32)
        assert image.dtype == torch.float32
        assert image.abs().max() <= 1
    air = batch.ct[:, 0][torch.from_numpy(~table.head[:])]
    assert torch.equal(air.unique(), torch.tensor([-1.0]))
    rim = batch.ct[:, 0][torch.from_numpy(table.skull[:])]
    torch.testing.assert_close(rim, torch.full_like(rim, (900 + 1000) / 2000 - 1))


def test_mr_is_scaled_by_the_window_that_the_run_asks_for():
    table = disc_slices(cases=1, per_case=2)
    table = replace(table, mr_volume_window=table.mr_volume_window * [1, 2])
    raw = table.mr_codes[:, 0].astype(float)
    for window, high in (("head", 1100), ("volume", 2200)):
        expected = np.clip((raw - 20) * 2 / (high - 20) - 1, -1, 1)
        found = batch_of(table, data={"mr_window": window, "size": 32}).mr[:, 0].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("mr_window", ["head", "volume"])
def test_training_scales_as_prediction_does(mr_window):
    table = disc_slices(cases=2, per_case=2)
    odd = np.array([0.37, 1.91, 0.05, 1.0])[:, None]
    table = replace(
        table,
        mr_slope=odd,
        mr_intercept=odd * 40 - 13,
        mr_head_window=np.stack([odd * 45, odd * 900.3], -1),
        mr_volume_window=np.stack([odd * 10, odd * 700], -1),
    )
    batch = batch_of(table, data={"mr_window": mr_window, "size": 32})
    window = getattr(table, f"mr_{mr_window}_window")
    for row in range(4):
        raw = table.mr_codes[row] * table.mr_slope[row, 0] + table.mr_intercept[row, 0]
        expected = mr_to_unit(raw.astype(np.float32), *window[row, 0])
        np.testing.assert_allclose(batch.mr[row], expected, atol=1e-6)
        expected = hu_to_unit(table.ct_hu[row].astype(np.float32))
        np.testing.assert_allclose(batch.ct[row, 0], expected, atol=1e-6)


def test_values_beyond_the_window_are_clipped_to_exactly_minus_one_and_one():
    table = disc_slices(cases=1, per_case=1)
    ct_hu = table.ct_hu.copy()
    ct_hu[0, 0, :6] = [-32768, -1024, -1000, 3000, 3071, 32767]
    found = batch_of(replace(table, ct_hu=ct_hu)).ct[0, 0, 0, :6]
    assert found.tolist() == [-1, -1, -1, 1, 1, 1]


def test_mr_does_not_depend_on_how_it_was_coded():
    table = disc_slices(cases=1, per_case=2)
    recoded = replace(
        table,
        mr_codes=((table.mr_codes + 50) * 4).astype(np.uint16),
        mr_slope=table.mr_slope / 4,
        mr_intercept=table.mr_intercept - 50,
    )
    torch.testing.assert_close(batch_of(recoded).mr, batch_of(table).mr)


def test_the_head_of_a_batch_is_the_head_with_mr():
    table = disc_slices(cases=1, per_case=2)
    valid = table.valid[:]
    valid[:, :16] = False
    head = batch_of(replace(table, valid=PackedMasks(pack(valid), 32))).head
    assert torch.equal(head[:, 0] > 0, torch.from_numpy(valid))
    assert set(head.unique().tolist()) == {0.0, 1.0}


def test_flipping_mirrors_left_and_right_of_the_named_pairs_in_all_three_images():
    batch = batch_of(disc_slices(cases=1, per_case=3))
    flipped = batch.flipped(torch.tensor([True, False, True]))
    for before, after in (
        (batch.mr, flipped.mr),
        (batch.ct, flipped.ct),
        (batch.head, flipped.head),
    ):
        assert torch.equal(after[0], before[0].flip(-1))
        assert torch.equal(after[1], before[1])
        assert torch.equal(after[2], before[2].flip(-1))
    assert not torch.equal(batch.mr[0], flipped.mr[0])


def test_the_order_is_a_function_of_seed_and_epoch():
    order = epoch_order(50, seed=1, epoch=3)
    assert sorted(order) == list(range(50))
    np.random.default_rng().random()
    np.testing.assert_array_equal(order, epoch_order(50, seed=1, epoch=3))
    for other in (epoch_order(50, seed=2, epoch=3), epoch_order(50, seed=1, epoch=4)):
        assert not np.array_equal(order, other)


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_the_shares_of_the_workers_make_up_each_global_batch(world):
    order = epoch_order(31, seed=0, epoch=0)
    shares = [list(rank_rows(order, batch=6, rank=rank, world=world)) for rank in range(world)]
    for step in range(num_steps(31, 6)):
        parts = [share[step] for share in shares]
        assert {len(part) for part in parts} == {6 // world}
        assert sorted(np.concatenate(parts)) == sorted(order[6 * step : 6 * step + 6])
    assert {len(share) for share in shares} == {5}


def test_what_does_not_fill_a_batch_waits_for_another_epoch():
    assert [num_steps(count, 6) for count in (5, 6, 11, 12)] == [1, 1, 1, 2]
