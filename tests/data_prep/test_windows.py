"""Where the network's window lies: both arms, the thesis's readings and the sane ones."""

from dataclasses import replace

import numpy as np
import pytest

from data_prep.options import SIZES
from data_prep.pipeline import prepare
from data_prep.records import PrepConfig
from data_prep.shards import read_case_table, read_manifest, read_slices
from data_prep.slices import build_slices, slice_table
from data_prep.sources import find_cases
from data_prep.splits import BadSplit
from data_prep.windows import CROP_PIXEL_MM, RESIZE_FIELD_MM, pixel_in_mm
from tests.data_prep.test_slices import ball, case_of


def numbered(shape=(96, 96, 6), spacing_mm=(0.5, 0.5, 4.0), centre_mm=(6.2, -4.1, 0.0)):
    """A head whose CT holds a different HU in each column of voxels."""
    case = case_of(ball(shape, spacing_mm, 14.0, centre_mm=centre_mm))
    i, j, _ = np.indices(shape)
    return replace(case, ct=case.ct.with_array((i * 20 + j - 900).astype(np.int16)))


def test_a_centre_crop_in_native_pixels_is_a_plain_cut():
    case = numbered()
    pixel_mm = pixel_in_mm("native", case.ct.grid, 48)
    stack = build_slices(case, size=48, pixel_mm=pixel_mm, at="centre")
    assert pixel_mm == 0.5
    assert np.array_equal(stack.ct_hu, case.ct.array[24:72, 24:72].transpose(2, 1, 0))


def test_a_native_crop_on_the_head_interpolates_nothing_either():
    case = numbered()
    stack = build_slices(case, size=72, pixel_mm=0.5, at="head")
    i, j = np.rint(np.linalg.inv(case.ct.affine) @ stack.grid.affine[:, 3])[:2].astype(int)
    assert np.array_equal(stack.ct_hu, case.ct.array[i : i + 72, j : j + 72].transpose(2, 1, 0))
    assert stack.head_kept == 1.0


def test_the_whole_field_of_view_fills_the_thesis_slice():
    case = numbered()
    pixel_mm = pixel_in_mm("fov", case.ct.grid, 32)
    assert pixel_mm == pytest.approx(96 * 0.5 / 32)
    stack = build_slices(case, size=32, pixel_mm=pixel_mm, at="centre")
    middle = stack.grid.affine @ [15.5, 15.5, 0, 1]
    assert middle[:2] == pytest.approx([0.0, 0.0], abs=1e-9)


def test_random_windows_stay_on_the_head_and_say_where_they_lie():
    case = numbered()
    stack = build_slices(case, size=24, pixel_mm=0.5, at="random", seed=3)
    assert len(np.unique(stack.shifts, axis=0)) > 1
    table = slice_table(case, stack, np.arange(6))
    to_ct = np.linalg.inv(case.ct.affine)
    for k in stack.qualifying():
        affine = np.array(table["affine"][int(k)].as_py()).reshape(4, 4)
        i, j, z = np.rint(to_ct @ affine[:, 3])[:3].astype(int)
        window = case.ct.array[i : i + 24, j : j + 24, k]
        assert z == 0
        assert np.array_equal(stack.ct_hu[k], window.T)
        rows, columns = np.nonzero(case.head.array[:, :, k])
        for found, first in ((rows, i), (columns, j)):
            assert found.min() - 1 <= first <= found.max() + 2 - 24


def test_a_wide_random_window_holds_all_of_the_head_and_is_fixed_by_the_seed():
    case = numbered()
    stacks = [build_slices(case, size=72, pixel_mm=0.5, at="random", seed=s) for s in (0, 0, 1)]
    assert all(one.head.sum() == case.head.array.sum() for one in stacks)
    assert np.array_equal(stacks[0].shifts, stacks[1].shifts)
    assert not np.array_equal(stacks[0].shifts, stacks[2].shifts)


def test_a_head_cut_by_the_crop_is_refused_unless_allowed(collection, tmp_path):
    cases = find_cases("synthrad", collection)
    config = PrepConfig(arm="crop", size=32, pixel_mm="native", masks="threshold", ids="keep")
    cut = config.model_copy(update={"allow_cut": True})
    with pytest.raises(BadSplit, match=r"the slice grid holds \d\d\.\d% of the head, expected 98"):
        prepare(cases, tmp_path / "refused", config)
    prepare(cases, tmp_path / "cut", cut)
    manifest = read_manifest(tmp_path / "cut")
    assert (manifest.grid.arm, manifest.grid.pixel_mm) == ("crop", 4.0)
    rows = read_case_table(tmp_path / "cut").to_pylist()
    assert all(0.5 < row["head_kept"] < 0.98 and row["skull_kept"] < 1.0 for row in rows)
    assert read_slices(tmp_path / "cut", "train").ct_hu.shape[1:] == (32, 32)


def test_each_arm_has_a_size_that_holds_a_head():
    for arm, pixel_mm in (("resize", RESIZE_FIELD_MM / SIZES["resize"]), ("crop", CROP_PIXEL_MM)):
        assert SIZES[arm] * pixel_mm > 220
