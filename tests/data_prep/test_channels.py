"""Several MR channels a case: from volumes through shards, cache and batch, in their order."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from data_prep.cache import open_slices
from data_prep.parquet import write_json
from data_prep.schema import MrChannel
from data_prep.shards import (
    ShardError,
    list_cases,
    manifest_digest,
    read_manifest,
    read_slices,
    read_volumes,
)
from data_prep.slices import build_slices
from pct.batches import make_batch
from tests.data_prep.test_shards import CASES, SIZE, build
from tests.tiny import tiny_run


def with_a_second(case):
    """The same patient with another MR, on another grid and in other units."""
    rng = np.random.default_rng(len(case.subject))
    affine = case.mr.affine.copy()
    affine[:3, 3] += 4.0
    raw = rng.normal(9, 2, (30, 36, 11)).astype(np.float32)
    volume = replace(case.mr, array=raw, affine=affine)
    return replace(case, further_mr=(MrChannel(volume, (4.0, 14.0), (3.0, 15.0)),))


@pytest.fixture(scope="module")
def unnamed(tmp_path_factory):
    """Two channels in every shard, one in the manifest."""
    data = tmp_path_factory.mktemp("unnamed") / "data"
    build(data, [with_a_second(case) for case in CASES])
    return data


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    data = tmp_path_factory.mktemp("two") / "data"
    manifest = build(data, [with_a_second(case) for case in CASES])
    names = ("t1", "t2")
    digest = manifest_digest(manifest.grid, manifest.files, names)
    write_json(asdict(replace(manifest, mr_channels=names, digest=digest)), data / "manifest.json")
    return data


def expected(table):
    """Raw values of both channels of every row, cut anew from the cases."""
    rows = []
    for subject, z in zip(table.subject, table.z, strict=True):
        case = with_a_second(next(one for one in CASES if one.subject == subject))
        stacks = [
            build_slices(replace(case, mr=one.volume), size=SIZE, pixel_mm=8.0)
            for one in case.channels
        ]
        rows.append([stack.mr.raw()[z] for stack in stacks])
    return np.array(rows)


def test_channels_come_back_in_their_order_from_shards_and_cache(two):
    for table in (read_slices(two, "train"), open_slices(two, "train")):
        assert table.mr_codes.shape == (len(table), 2, SIZE, SIZE)
        scale = (column[..., None, None] for column in (table.mr_slope, table.mr_intercept))
        slope, intercept = scale
        np.testing.assert_allclose(table.mr_codes * slope + intercept, expected(table), rtol=1e-6)
        assert table.mr_head_window[:, 1].tolist() == [[4.0, 14.0]] * len(table)
        assert table.mr_volume_window[:, 1].tolist() == [[3.0, 15.0]] * len(table)


def test_each_channel_of_a_batch_is_scaled_by_its_own_window(two):
    table = open_slices(two, "train")
    rows = np.array([4, 0, 2])
    batch = make_batch(table, rows, tiny_run(), torch.device("cpu"))
    assert batch.mr.shape == (3, 2, SIZE, SIZE)
    assert batch.ct.shape == batch.head.shape == (3, 1, SIZE, SIZE)
    low, high = np.moveaxis(table.mr_head_window[rows], -1, 0)[..., None, None]
    unit = np.clip((expected(table)[rows] - low) * 2 / (high - low) - 1, -1, 1)
    np.testing.assert_allclose(batch.mr.numpy(), unit, atol=1e-5)


def test_a_patient_in_3d_keeps_every_channel_on_its_own_grid(two):
    subject = list_cases(two, "test")[0]
    found = read_volumes(two, subject)
    case = with_a_second(next(one for one in CASES if one.subject == subject))
    for one, other in zip(found.channels, case.channels, strict=True):
        assert (one.volume.affine == other.volume.affine).all()
        off = np.abs(one.volume.array - other.volume.array).max()
        assert off <= np.ptp(other.volume.array) / 131070 * 1.01 + 3e-5
        assert (one.head_window, one.volume_window) == (other.head_window, other.volume_window)


def test_shards_of_other_channels_than_the_manifest_names_are_refused(unnamed):
    message = r"\.parquet: 2 MR channels a slice, the manifest names 1 \(t1\).*Run `pct prep`"
    with pytest.raises(ShardError, match=message):
        read_slices(unnamed, "train")


def test_what_the_channels_are_is_part_of_the_datas_identity(two, unnamed):
    one, other = read_manifest(two), read_manifest(unnamed)
    assert one.files == other.files
    assert one.digest != other.digest
