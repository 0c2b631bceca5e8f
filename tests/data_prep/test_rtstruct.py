"""The head of a structure set becomes the head mask, voxel for voxel or not at all."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from skimage.draw import polygon2mask
from skimage.measure import find_contours

from data_prep.one_case import prepare_case
from data_prep.phantom import centred_grid, make_head
from data_prep.phantom_dicom import write_cohort
from data_prep.records import Job, PrepConfig
from data_prep.rtstruct import BadOutline, draw_head, find_head
from data_prep.sources import find_pairs
from tests.data_prep.downloads import (
    add_object,
    frame_of,
    rows_of,
    save,
    structures,
    write_rows,
)

FRAME = "1.2.3"


@pytest.fixture(scope="module")
def phantom():
    return make_head(0, size=48, num_slices=20, spacing_mm=(256 / 48, 256 / 48, 9.6))


@pytest.fixture(scope="module")
def outline(phantom):
    return contours_of(phantom.head)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tcia") / "cohort"
    return write_cohort(folder, num_cases=1, size=48, num_slices=20).parent


@pytest.fixture
def cohort(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "cohort"))


def contours_of(mask):
    """The outline of each slice in LPS mm."""
    found = []
    for k in range(mask.array.shape[2]):
        for points in find_contours(np.pad(mask.array[..., k], 1).astype(float), 0.5):
            voxels = np.c_[points - 1, np.full(len(points), k), np.ones(len(points))]
            found.append((voxels @ mask.affine.T)[:, :3] * (-1, -1, 1))
    return found


def drawn(tmp_path, contours, grid, **how):
    save(structures(FRAME, contours, **how), tmp_path / "rs.dcm")
    return draw_head(tmp_path / "rs.dcm", grid).array


def raised(contours, by_mm):
    return [points + np.array([0, 0, by_mm]) for points in contours]


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_a_head_written_as_contours_reads_back(tmp_path, phantom, outline):
    mask = drawn(tmp_path, outline, phantom.ct.grid)
    assert mask.dtype == np.bool_
    assert dice(mask, phantom.head.array) > 0.98


@pytest.mark.parametrize("seed", range(5))
def test_any_closed_curve_is_filled_as_scikit_image_does(tmp_path, seed):
    corners = np.random.default_rng(seed).uniform(-30, 30, (12, 2))  # it crosses itself
    points = np.c_[corners, np.zeros(12)]
    grid = centred_grid((40, 50, 3), (1.0, 1.0, 1.0))
    to_voxel = corners * -1 - grid.affine[:2, 3]
    assert np.array_equal(
        drawn(tmp_path, [points], grid)[..., 1], polygon2mask((40, 50), np.round(to_voxel, 3))
    )


def test_a_contour_inside_another_is_a_hole(tmp_path, phantom):
    z = phantom.ct.affine[2, 3] + 9.6 * 8
    outer, middle = (
        np.array([[-a, -a, z], [a, -a, z], [a, a, z], [-a, a, z]], float) for a in (60, 30)
    )
    whole = drawn(tmp_path, [outer], phantom.ct.grid)
    ring = drawn(tmp_path, [outer, middle], phantom.ct.grid)
    inner = drawn(tmp_path, [middle], phantom.ct.grid)
    assert np.array_equal(ring, whole & ~inner)
    assert np.flatnonzero(ring.any(axis=(0, 1))).tolist() == [8]


def test_contours_within_half_a_gap_belong_to_the_slice(tmp_path, phantom, outline):
    straight = drawn(tmp_path, outline, phantom.ct.grid)
    near = raised(outline, 4.7)
    assert np.array_equal(drawn(tmp_path, near, phantom.ct.grid), straight)


def test_contours_off_the_slices_are_counted(tmp_path, phantom, outline):
    tipped = [points @ [[1, 0, 0], [0, 1, 0.2], [0, 0, 1]] for points in outline]
    far = raised(outline, 500.0)
    for contours in (tipped, far):
        with pytest.raises(BadOutline, match=rf"\d+ of {len(outline)} contours .* lie off the CT"):
            drawn(tmp_path, contours, phantom.ct.grid)


def test_a_slice_left_out_between_two_others_is_not_made_up(tmp_path, phantom, outline):
    heights = sorted({round(points[0, 2], 3) for points in outline})
    kept = [points for points in outline if round(points[0, 2], 3) not in heights[5:7]]
    with pytest.raises(BadOutline, match=r"drawn on \d+ slices of the CT, 2 between them left out"):
        drawn(tmp_path, kept, phantom.ct.grid)


@pytest.mark.parametrize("kind", ["OPEN_PLANAR", "POINT"])
def test_open_contours_draw_nothing(tmp_path, phantom, outline, kind):
    with pytest.raises(BadOutline, match=r"(\d+) of \1 contours of the head are no closed curves"):
        drawn(tmp_path, outline, phantom.ct.grid, kind=kind)


@pytest.mark.parametrize(
    ("name", "interpreted", "found"),
    [
        ("HEAD", "", True),
        ("Skin_1", "", True),
        ("External ", "", True),
        ("ROI 7", "EXTERNAL", True),
        ("Forehead", "", False),
        ("Skull", "ORGAN", False),
        ("Overhead rod", "", False),
    ],
)
def test_the_head_is_told_by_its_name_or_type(tmp_path, name, interpreted, found):
    save(structures(FRAME, [], name=name, interpreted=interpreted), tmp_path / "rs.dcm")
    assert (find_head(tmp_path / "rs.dcm") is not None) is found


def test_a_download_s_head_on_the_ct_s_frame_is_the_mask(cohort, phantom, outline, tmp_path):
    rows = rows_of(cohort)
    frame = frame_of(cohort, rows[0])
    ours = add_object(cohort, rows[0], "1.5", "RTSTRUCT", structures(frame, outline))
    later = add_object(cohort, rows[0], "1.6", "RTSTRUCT", structures(frame, outline))
    other = add_object(cohort, rows[0], "1.4", "RTSTRUCT", structures("1.2.9", outline))
    write_rows(cohort, [*rows, later, ours, other])
    pairing = find_pairs(cohort)
    told = {one.series_uid: (one.taken, one.reason) for one in pairing.candidates}
    assert told["1.4"] == (False, "outlines no head on the CT's frame of reference")
    assert told["1.5"] == (True, "outlines the head on the CT")
    assert told["1.6"] == (False, "another structure set's head was taken")

    config = PrepConfig(size=32, pixel_mm=8.0, max_slices=5, masks="threshold", ids="keep")
    record = prepare_case(
        Job(pairing.cases[0], "a", "key", [], tmp_path / "d", tmp_path / "w", config)
    )
    assert record.status != "refused"
    assert record.mask_backend == "rtstruct-1+threshold-2"


def test_an_outline_that_cannot_be_drawn_refuses_the_case(cohort, outline, tmp_path):
    rows = rows_of(cohort)
    far = raised(outline, 500.0)
    plan = structures(frame_of(cohort, rows[0]), far)
    write_rows(cohort, [*rows, add_object(cohort, rows[0], "1.5", "RTSTRUCT", plan)])
    config = PrepConfig(size=32, pixel_mm=8.0, max_slices=5, masks="threshold", ids="keep")
    case = find_pairs(cohort).cases[0]
    record = prepare_case(Job(case, "a", "key", [], tmp_path / "d", tmp_path / "w", config))
    assert record.status == "refused"
    assert record.reason.startswith("head mask: 21 of 21 contours of the head lie off the CT's")
