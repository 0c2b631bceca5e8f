import itertools

import numpy as np
import pytest

from data_prep.phantom import centred_grid, make_head
from data_prep.phantom_anatomy import draw_anatomy, label_tissues
from data_prep.phantom_tissues import CT_HU, MR_SIGNAL, Tissue
from data_prep.volume import Grid, centre_of

SMALL = {"size": 64, "num_slices": 16, "spacing_mm": (4.0, 4.0, 12.0)}


@pytest.fixture(scope="module")
def head():
    return make_head(3, **SMALL)


def nmi(first, second, *, bins=24):
    pair = (first.ravel(), second.ravel())
    ranks = [np.argsort(np.argsort(image)) * bins // image.size for image in pair]
    joint = np.bincount(ranks[0] * bins + ranks[1], minlength=bins**2).reshape(bins, bins)
    joint = joint / joint.sum()
    entropies = [-(p[p > 0] * np.log(p[p > 0])).sum() for p in (joint.sum(0), joint.sum(1), joint)]
    return (entropies[0] + entropies[1]) / entropies[2]


def flipped_about(volume, centre_mm, flips):
    """The array mirrored about a point, by whole voxels; edges are repeated."""
    centre = (np.asarray(centre_mm) - volume.affine[:3, 3]) / np.diag(volume.affine)[:3]
    index = [
        np.clip(np.rint(2 * c - np.arange(n)), 0, n - 1).astype(int) if flip else np.arange(n)
        for c, n, flip in zip(centre, volume.array.shape, flips, strict=True)
    ]
    return volume.array[np.ix_(*index)]


def test_a_seed_names_one_subject(head):
    again, other = make_head(3, **SMALL), make_head(4, **SMALL)
    for image in ("mr", "ct", "head", "skull"):
        assert np.array_equal(getattr(head, image).array, getattr(again, image).array)
    assert (head.head.array ^ other.head.array).sum() > 0.01 * head.head.array.sum()


def test_images_and_masks_have_the_promised_types_and_one_grid(head):
    assert head.mr.array.dtype == np.float32
    assert head.ct.array.dtype == np.int16
    assert head.head.array.dtype == head.skull.array.dtype == np.bool_
    for volume in (head.mr, head.ct, head.head, head.skull):
        assert volume.array.shape == (64, 64, 16)
        assert np.array_equal(volume.affine, head.ct.affine)
    assert head.ct.spacing_mm == (4.0, 4.0, 12.0)
    assert not (head.skull.array & ~head.head.array).any()


def test_bone_and_air_are_both_dark_in_mr_but_far_apart_in_ct(head):
    inside = head.head.array
    bone = head.ct.array > 900
    air = (head.ct.array < -800) & ~inside
    bright = np.percentile(head.mr.array[inside], 95)
    assert np.median(head.mr.array[bone & inside]) < 0.25 * bright
    assert np.median(head.mr.array[air]) < 0.1 * bright
    assert abs(MR_SIGNAL[Tissue.CORTICAL] - MR_SIGNAL[Tissue.CAVITY]) < 0.05
    assert CT_HU[Tissue.CORTICAL] - CT_HU[Tissue.CAVITY] > 2000


def test_couch_and_frame_show_in_ct_alone_and_outside_the_head(head):
    outside = ~head.head.array
    metal = outside & (head.ct.array > 1000)
    assert metal.sum() > 50
    assert head.mr.array[metal].mean() < 1.5 * head.mr.array[outside & ~metal].mean()
    behind = head.ct.array[:, :8][outside[:, :8]]
    assert ((behind > -970) & (behind < -880)).sum() > 50


def test_a_square_of_256_mm_about_the_head_keeps_all_of_it():
    for seed in range(12):
        head = make_head(seed, **SMALL).head
        centre = centre_of(head)
        index = np.argwhere(head.array)
        edges = [index.min(axis=0), index.max(axis=0)]
        corners = [edge * (4.0, 4.0, 12.0) + head.affine[:3, 3] for edge in edges]
        assert np.all(np.abs(corners - centre)[:, :2] + 2.0 < 118.0)
        assert index[:, :2].min() >= 1
        assert index[:, :2].max() <= 62


@pytest.mark.parametrize("seed", range(6))
def test_no_flip_of_the_ct_matches_the_mr_as_well_as_the_truth(seed):
    pair = make_head(seed, size=64, num_slices=32, spacing_mm=(4.0, 4.0, 6.0))
    centre = centre_of(pair.head)
    gain = {
        flips: nmi(pair.mr.array, flipped_about(pair.ct, centre, flips)) - 1
        for flips in itertools.product((False, True), repeat=3)
    }
    truth = gain.pop((False, False, False))
    assert truth > 1.02 * max(gain.values())


def test_without_asymmetry_the_head_is_its_own_mirror_image():
    head = make_head(5, asymmetry=0.0, **SMALL).head.array
    assert np.array_equal(head, head[::-1])
    tilted = make_head(5, **SMALL).head.array
    assert not np.array_equal(tilted, tilted[::-1])


def test_the_anatomy_stays_in_place_when_the_grid_turns():
    anatomy = draw_anatomy(2)
    straight = centred_grid((48, 48, 24), (5.0, 5.0, 7.0))
    swapped = Grid((24, 48, 48), straight.affine[:, [2, 1, 0, 3]])
    assert np.array_equal(
        label_tissues(anatomy, straight), label_tissues(anatomy, swapped).transpose(2, 1, 0)
    )


def test_a_finer_grid_sees_the_same_head():
    coarse, fine = (
        make_head(7, size=size, num_slices=16, spacing_mm=(256 / size, 256 / size, 12.0))
        for size in (64, 128)
    )
    volume_ml = [v.head.array.sum() * np.prod(v.head.spacing_mm) / 1000 for v in (coarse, fine)]
    assert volume_ml[0] == pytest.approx(volume_ml[1], rel=0.02)
    assert 2500 < volume_ml[1] < 5000
