"""The numbers in a shard are those that PREP stands for."""

import numpy as np
import pyarrow.compute as pc
import pytest

from data_prep.one_case import prepare_case
from data_prep.parquet import from_fixed_binary, read_table, unpack
from data_prep.records import Job, PrepConfig, slices_at
from data_prep.schema import PREP
from data_prep.sources import Case
from data_prep.volume import Volume, save_nifti

SIZE = 32
CONFIG = PrepConfig(size=SIZE, pixel_mm=8.0, masks="threshold", ids="keep")

GOLDEN = {
    "PREP": 3,
    "slices": 20,
    "first z": 3,
    "mr_slope": 0.0168291514,
    "mr_intercept": 3.80139065,
    "head window": [32.0061672, 1098.03433],
    "volume window": [3.94171587, 1080.51845],
    "mean raw MR": 164.506632,
    "mean HU": -692.656445,
    "mean HU in the head": 134.254643,
    "mean |HU| by slice": 8212.00698,
    "spread of HU": 522.879418,
    "head pixels": 5384,
    "skull pixels": 736,
    "valid pixels": 5384,
}
PLACES = 5e-4
"""Relative: platforms differ in the last bits of a float, and may round one voxel otherwise."""


def ellipsoid(grid_mm, centre, radii):
    """Squared distance from the centre in radii; below 1 is inside."""
    return sum(((x - c) / r) ** 2 for x, c, r in zip(grid_mm, centre, radii, strict=True))


def scene(shape, spacing_mm, first_mm):
    """A head of formulas alone, lest a change of the phantoms be taken for one of preparation."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = first_mm
    axes = [np.arange(n) * s + f for n, s, f in zip(shape, spacing_mm, first_mm, strict=True)]
    grid_mm = np.meshgrid(*axes, indexing="ij")
    skin = ellipsoid(grid_mm, (0, 0, 0), (76, 98, 90))
    brain = ellipsoid(grid_mm, (0, 2, 0), (64, 84, 78))
    sinus = ellipsoid(grid_mm, (14, 62, -20), (16, 12, 20)) < 1
    wave = np.sin(grid_mm[0] / 17.0) + np.cos(grid_mm[1] / 23.0) + np.sin(grid_mm[2] / 19.0)
    ct = np.select([skin > 1.0, sinus, brain > 1.06, brain > 0.92], [-1000, -990, 20, 1100], 35)
    mr = np.select([skin > 1.0, sinus, brain > 1.06, brain > 0.92], [5, 8, 900, 40], 600)
    ct = ct + np.where(skin > 1.0, 0, 6 * wave)
    return Volume(np.rint(ct).astype(np.int16), affine), Volume(
        (mr * (1 + 0.08 * wave)).astype(np.float32), affine
    )


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    (folder / "work").mkdir()
    ct, _ = scene((64, 64, 26), (4.0, 4.0, 8.0), (-126.0, -126.0, -100.0))
    _, mr = scene((56, 60, 30), (4.2, 4.1, 7.0), (-115.0, -121.0, -101.0))
    save_nifti(ct, folder / "ct.nii.gz")
    save_nifti(mr, folder / "mr.nii.gz")
    case = Case("one", "nifti", mr=folder / "mr.nii.gz", ct=folder / "ct.nii.gz")
    record = prepare_case(Job(case, "one", "key", [], folder / "data", folder / "work", CONFIG))
    assert record.status != "refused", record.reason
    return read_table(slices_at(folder / "work", "one"))


def numbers(table):
    assert set(pc.list_value_length(table["mr_codes"]).to_pylist()) == {1}
    raw = from_fixed_binary(pc.list_flatten(table["mr_codes"]), "<u2").astype(np.float64)
    (slope,), (intercept,) = table["mr_slope"][0].as_py(), table["mr_intercept"][0].as_py()
    ct = from_fixed_binary(table["ct_hu"], "<i2").astype(np.float64)
    masks = {}
    for name in ("head", "skull", "valid"):
        packed = np.frombuffer(b"".join(table[name].to_pylist()), np.uint8)
        masks[name] = unpack(packed.reshape(table.num_rows, -1), (SIZE, SIZE))
    head = masks["head"].reshape(table.num_rows, -1)
    rows = np.arange(table.num_rows)[:, None] + 1.0
    return {
        "slices": table.num_rows,
        "first z": table["z"][0].as_py(),
        "mr_slope": slope,
        "mr_intercept": intercept,
        "head window": table["mr_head_window"][0].as_py()[0],
        "volume window": table["mr_volume_window"][0].as_py()[0],
        "mean raw MR": float((raw * slope + intercept).mean()),
        "mean HU": float(ct.mean()),
        "mean HU in the head": float(ct[head].mean()),
        "mean |HU| by slice": float((np.abs(ct) * rows).mean()),
        "spread of HU": float(ct.std()),
        **{f"{name} pixels": int(mask.sum()) for name, mask in masks.items()},
    }


def test_the_numbers_in_a_shard_change_only_with_prep(shard):
    found = numbers(shard)
    changed = {
        name: (value, GOLDEN[name])
        for name, value in found.items()
        if value != pytest.approx(GOLDEN[name], rel=PLACES)
    }
    assert not changed, (
        f"PREP {PREP} stands for other numbers in a shard, (found, expected): {changed}. If they "
        "change on purpose, raise PREP in data_prep/schema.py and write the new ones here."
    )
    assert set(found) == set(GOLDEN) - {"PREP"}
    assert GOLDEN["PREP"] == PREP, "PREP was raised: write the new numbers here, with its value."
