"""What a head and its pseudo-CT measure: closed forms on spheres and boxes, and brute force."""

import numpy as np
import pytest

from data_prep.volume import Grid, Volume
from pct.prediction import measures


def ball(radius_mm: float, spacing_mm: tuple[float, float, float], *, margin_mm=10.0) -> Volume:
    """A sphere around the middle of a grid that holds it."""
    counts = [2 * int(np.ceil((radius_mm + margin_mm) / step)) + 1 for step in spacing_mm]
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = [
        -step * (count - 1) / 2 for step, count in zip(spacing_mm, counts, strict=True)
    ]
    places = (
        np.indices(counts) * np.reshape(spacing_mm, (3, 1, 1, 1)) + affine[:3, 3, None, None, None]
    )
    return Volume((places**2).sum(axis=0) <= radius_mm**2, affine)


def test_a_sphere_has_its_volume_in_litres_and_its_diameter_along_each_axis():
    head = ball(80.0, (2.0, 1.0, 4.0))
    assert measures.litres(head) == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=0.01)
    assert measures.extent_mm(head) == pytest.approx((160.0, 160.0, 160.0), abs=5.0)


def test_an_empty_head_has_no_extent_and_no_cut_face():
    nothing = Volume(np.zeros((4, 5, 6), bool), np.eye(4))
    assert measures.extent_mm(nothing) == (0.0, 0.0, 0.0)
    assert set(measures.cut_faces(nothing.array).values()) == {0.0}


@pytest.mark.parametrize("missing", [0.1, 0.3, 1.0])
def test_a_sphere_cut_at_the_top_ends_in_the_area_of_that_plane(missing):
    head = ball(50.0, (1.0, 1.0, 1.0)).array
    kept = head.shape[2] - 10 - round(50 * missing)
    faces = measures.cut_faces(head[:, :, :kept])
    assert faces["top"] == pytest.approx(1 - (1 - missing) ** 2, abs=0.03)
    assert max(faces[name] for name in faces if name != "top") < 0.02


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("left", np.s_[41:]), ("right", np.s_[:41]), ("back", np.s_[:, 41:]),
        ("front", np.s_[:, :41]), ("bottom", np.s_[:, :, 41:]), ("top", np.s_[:, :, :41]),
    ],
)  # fmt: skip
def test_a_cut_is_told_by_its_side_also_where_the_image_goes_on_and_was_blanked(name, part):
    head = ball(30.0, (1.0, 1.0, 1.0)).array
    blanked = np.zeros_like(head)
    blanked[part] = head[part]
    for mask in (head[part], blanked):
        faces = measures.cut_faces(mask)
        assert faces[name] == pytest.approx(1.0, abs=0.01)
        assert sum(share > 0.1 for share in faces.values()) == 1


def test_the_share_outside_a_grid_is_that_of_the_voxels_it_does_not_reach():
    head = Volume(np.ones((10, 6, 5), bool), np.diag([2.0, 2.0, 3.0, 1.0]))
    shifted = head.affine.copy()
    shifted[0, 3] = 6.0  # its first voxel is the head's fourth
    assert measures.share_outside(head, head.grid) == 0.0
    assert measures.share_outside(head, Grid((10, 6, 5), shifted)) == pytest.approx(0.3)
    assert measures.share_outside(head, Grid((5, 6, 5), head.affine)) == pytest.approx(0.5)


def test_a_corner_beyond_a_grid_that_is_tilted_counts_and_nothing_of_no_head_does():
    head = ball(20.0, (1.0, 1.0, 1.0))
    angle = np.deg2rad(45.0)
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turned[:3, 3] = turned[:3, :3] @ [-21.0, -21.0, -21.0]
    assert measures.share_outside(head, Grid((43, 43, 43), turned)) == 0.0
    whole = head.with_array(np.ones_like(head.array))
    outside = measures.share_outside(whole, Grid((43, 43, 43), turned))
    places = np.indices(whole.array.shape).reshape(3, -1) + whole.affine[:3, 3:]
    at = turned[:3, :3].T @ places
    assert outside == pytest.approx(1 - (np.abs(at) <= 21.5).all(axis=0).mean())
    assert measures.share_outside(head.with_array(~whole.array), Grid((2, 2, 2), turned)) == 0.0


def test_a_grid_of_larger_voxels_holds_what_lies_within_their_faces():
    head = Volume(np.ones((8, 8, 8), bool), np.eye(4))
    coarse = np.diag([2.0, 2.0, 2.0, 1.0])
    coarse[:3, 3] = 0.5
    assert measures.share_outside(head, Grid((4, 4, 4), coarse)) == 0.0


def test_tissue_shares_are_those_of_the_head_by_the_limits_of_training():
    hu = np.full((4, 10, 10), 2000, np.int16)
    head = np.zeros(hu.shape, bool)
    head[0] = True
    hu[0] = np.repeat([-401, -400, 250, 251], [10, 20, 30, 40]).reshape(10, 10)
    assert measures.tissue_shares(hu, head) == {"air": 0.1, "soft": 0.5, "bone": 0.4}


def test_contrast_ignores_a_gain_and_an_offset_but_not_an_inversion():
    p1, p50, p999 = 20.0, 300.0, 820.0
    assert measures.contrast(p1, p50, p999) == pytest.approx(0.35)
    assert measures.contrast(*(5 * p + 70 for p in (p1, p50, p999))) == pytest.approx(0.35)
    assert measures.contrast(*(900 - p for p in (p999, p50, p1))) == pytest.approx(0.65)


def noise(shape: tuple[int, ...], sd_hu: float, seed: int = 0):
    return np.rint(np.random.default_rng(seed).normal(0, sd_hu, shape)).astype(np.int16)


def brute_jitter(hu, head, steps) -> float:
    """Every voxel by itself."""
    medians = []
    for axis, step in enumerate(steps):
        move = np.eye(3, dtype=int)[axis] * step
        bends = []
        for at in np.argwhere(head):
            low, high = tuple(at - move), tuple(at + move)
            if min(low) < 0 or any(n >= m for n, m in zip(high, head.shape, strict=True)):
                continue
            if head[low] and head[high]:
                bends.append(abs(int(hu[low]) - 2 * int(hu[tuple(at)]) + int(hu[high])))
        medians.append(float(sorted(bends)[(len(bends) - 1) // 2]))
    return medians[2] / np.sqrt(medians[0] * medians[1])


@pytest.mark.parametrize(
    ("spacing_mm", "steps"), [((2.0, 2.0, 2.0), (1, 1, 1)), ((1.0, 2.0, 4.0), (4, 2, 1))]
)
def test_jitter_equals_the_medians_over_every_voxel_at_equal_distances(spacing_mm, steps):
    rng = np.random.default_rng(3)
    head = rng.random((12, 11, 10)) < 0.9
    hu = noise(head.shape, 200.0) + noise(head.shape[2:], 300.0, 1)
    hu[0, 0, 0], hu[5, 5, 5] = -1024, 3071
    assert measures.jitter(hu, head, spacing_mm) == pytest.approx(brute_jitter(hu, head, steps))


def test_jitter_is_1_where_the_axes_are_alike_and_rises_with_offsets_between_slices():
    head = np.ones((40, 40, 40), bool)
    hu = noise(head.shape, 20.0)
    assert measures.jitter(hu, head, (2.0, 2.0, 2.0)) == pytest.approx(1.0, abs=0.05)
    # Variances add: sqrt(20^2 + 60^2) / 20.
    jumping = hu + noise(head.shape[2:], 60.0, seed=1)
    assert measures.jitter(jumping, head, (2.0, 2.0, 2.0)) == pytest.approx(3.16, abs=0.6)
    assert measures.jitter(jumping.transpose(2, 1, 0), head, (2.0, 2.0, 2.0)) < 1


def test_of_fine_voxels_every_nth_is_looked_at():
    hu = noise((24, 24, 12), 30.0)
    head = np.ones(hu.shape, bool)
    fine = measures.jitter(hu, head, (0.5, 0.4, 1.0))
    assert fine == measures.jitter(hu[::2, ::2], head[::2, ::2], (1.0, 0.8, 1.0))


@pytest.mark.parametrize("shape", [(9, 9, 2), (9, 9, 9)])
def test_jitter_is_unknown_of_a_thin_head_of_a_constant_pct_and_of_no_head(shape):
    constant = np.full(shape, 40, np.int16)
    head = np.ones(shape, bool)
    assert np.isnan(measures.jitter(constant, head, (1.0, 1.0, 4.0)))
    assert np.isnan(measures.jitter(constant, ~head, (1.0, 1.0, 4.0)))


def test_a_head_that_lies_on_the_grid_is_not_resampled_and_another_is():
    head = ball(20.0, (2.0, 2.0, 2.0))
    assert measures.head_on(head, head.grid) is head
    finer = Grid(tuple(2 * n for n in head.array.shape), np.diag([1.0, 1.0, 1.0, 1.0]) + 0.0)
    finer.affine[:3, 3] = head.affine[:3, 3]
    assert measures.litres(measures.head_on(head, finer)) == pytest.approx(
        measures.litres(head), rel=0.02
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_layer_of_air_is_a_change_of_one_and_half_a_layer_of_a_half(axis):
    hu, head = np.zeros((12, 12, 12), np.int16), np.ones((12, 12, 12), bool)
    assert measures.slab(hu, head) == 0.0
    layers = np.moveaxis(hu, axis, 0)
    layers[5, :6] = -1000
    assert measures.slab(hu, head) == pytest.approx(0.5)
    layers[5] = -1000
    assert measures.slab(hu, head) == pytest.approx(1.0)


def test_air_in_the_small_layers_at_a_head_s_ends_is_no_slab():
    head = np.zeros((20, 20, 20), bool)
    head[:, :, 5:15] = True
    head[9:11, 9:11] = True
    hu = np.where(head.sum(axis=(0, 1)) < 100, -1000, 0) * np.ones(head.shape)
    assert measures.slab(hu.astype(np.int16), head) < 0.1


@pytest.mark.parametrize("radius_mm", [10.0, 22.0])
def test_the_widest_pocket_is_the_diameter_of_its_ball_but_none_in_the_face(radius_mm):
    head = ball(80.0, (2.0, 2.0, 2.0))
    places = np.moveaxis(np.indices(head.array.shape), 0, -1)
    middle = np.array(head.array.shape) // 2
    for shift, expected in (([0, -10, 8], 2 * radius_mm), ([0, 15, -15], 0.0)):
        off_mm = 2.0 * np.linalg.norm(places - middle - shift, axis=-1)
        hu = head.with_array(np.where(off_mm <= radius_mm, -1000, 40).astype(np.int16))
        assert measures.pocket_mm(hu, head) == pytest.approx(expected, abs=3.0)


def test_the_place_of_air_is_told_in_lengths_and_heights_of_the_head():
    head = ball(80.0, (2.0, 2.0, 4.0))
    i, j, k = (n // 2 for n in head.array.shape)
    hu = np.full(head.array.shape, 40, np.int16)
    hu[i - 2 : i + 3, j + 18 : j + 23, k - 11 : k - 8] = -1000  # 40 mm in front, 40 mm below
    found = measures.air_place(head.with_array(hu), head)
    assert found == pytest.approx((40 / 162, -40 / 164), abs=0.01)
    skin = np.where(head.array & (np.indices(hu.shape)[1] < j - 36), -1000, 40).astype(np.int16)
    assert np.isnan(measures.air_place(head.with_array(skin), head)).all()
