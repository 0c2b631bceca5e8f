"""The picture of a prediction: planes where they should be, in true proportions, without a name."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from data_prep.volume import Grid, Volume, from_ras
from pct.prediction import histogram, ink
from pct.prediction.check import Check
from pct.prediction.picture import PIXEL_MM
from pct.prediction.picture import qc_picture as qc_picture_by
from pct.prediction.planes import MARGIN_MM, cut_out, planes_through
from pct.prediction.volume import Prepared, prepare
from tests.pct.identity import identity, model_that
from tests.pct.test_measures import ball

GRID = SliceGrid("resize", 64, 4.0, 8.0)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    phantom = make_head(3, size=64, num_slices=24, spacing_mm=(4.0, 4.0, 8.0))
    return prepare(model_that(identity, grid=GRID), phantom.mr)


@pytest.fixture(scope="module")
def pct(prepared) -> Volume:
    """Air around, 40 HU in the head, bone in the front half."""
    hu = np.where(prepared.head.array, 40, -1000)
    hu[:, hu.shape[1] // 2 :][prepared.head.array[:, hu.shape[1] // 2 :]] = 900
    return prepared.head.with_array(hu.astype(np.int16))


def qc_picture(prepared: Prepared, pct: Volume, checks: list[Check]) -> bytes:
    return qc_picture_by(prepared, pct, checks, model="exp1@6")


def check(
    name: str, *, ok: bool | None, words: str = "the words", value: float | None = 0.5
) -> Check:
    return Check(name, value, "share", 0.1, 0.4, ok, words)


def drawn(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def has(pixels: np.ndarray, colour) -> bool:
    return bool((pixels == colour).all(axis=2).any())


def turned(volume: Volume) -> Volume:
    """The same volume with its axes in another order and one of them reversed."""
    affine = volume.affine[:, [2, 0, 1, 3]].copy()
    affine[:3, 1] *= -1
    affine[:3, 3] += volume.affine[:3, 0] * (volume.array.shape[0] - 1)
    i, j, k = volume.array.shape
    return from_ras(volume, Grid((k, i, j), affine))


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 6.5), (5.0, 1.0, 1.0), (1.0, 1.0, 1.0)])
def test_a_sphere_is_round_in_every_plane_whatever_the_voxels(spacing_mm):
    head = ball(60.0, spacing_mm)
    soft = head.with_array(head.array.astype(np.float32))
    for plane in planes_through(head, pixel_mm=1.0)[1::2]:  # the middle axial, the coronal
        inside = cut_out(soft, plane) > 0.5
        wide, tall = (np.ptp(np.flatnonzero(inside.any(axis=axis))) for axis in (0, 1))
        assert (wide, tall) == pytest.approx((120, 120), abs=max(spacing_mm) + 1)


def test_planes_go_through_the_head_where_they_say(prepared):
    axial = planes_through(prepared.head, pixel_mm=2.0)
    assert [one.cut for one in axial] == ["axial"] * 3 + ["coronal", "sagittal"]
    heights = [one.grid.affine[2, 3] for one in axial[:3]]
    layers = np.flatnonzero(prepared.head.array.any(axis=(0, 1)))
    low, high = (prepared.head.affine @ [0, 0, k, 1] for k in (layers[0], layers[-1]))
    expected = [low[2] + share * (high[2] - low[2]) for share in (0.75, 0.5, 0.25)]
    assert heights == pytest.approx(expected)


def test_a_point_of_the_patient_is_drawn_at_its_place_in_each_direction():
    head = ball(30.0, (1.0, 1.0, 1.0))
    spot = np.zeros(head.array.shape, np.float32)
    middle = np.array(head.array.shape) // 2
    spot[tuple(middle + np.array([0, 12, 0]))] = (
        1.0  # in front of the middle: axial and sagittal see it
    )
    spot[tuple(middle + np.array([9, 0, 20]))] = 1.0  # to the right and above: the coronal sees it
    planes = {plane.cut: plane for plane in planes_through(head, pixel_mm=1.0)[1:]}
    planes["axial"] = planes_through(head, pixel_mm=1.0)[1]
    centre = 30 + int(MARGIN_MM)
    for cut, place in (
        ("axial", (centre + 12, centre)), ("sagittal", (centre, centre + 12)),
        ("coronal", (centre + 20, centre + 9)),
    ):  # fmt: skip
        flat = cut_out(head.with_array(spot), planes[cut])
        assert np.unravel_index(flat.argmax(), flat.shape) == place, cut


def test_letters_stand_where_radiologists_look_for_them(prepared):
    sides = {plane.cut: plane.sides for plane in planes_through(prepared.head, pixel_mm=2.0)}
    assert sides == {
        "axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "S", "I"),
        "sagittal": ("A", "P", "S", "I"),
    }  # fmt: skip


def test_the_picture_is_the_same_whatever_the_order_of_the_pcts_axes(prepared, pct):
    checks = [check("fog", ok=True)]
    assert qc_picture(prepared, turned(pct), checks) == qc_picture(prepared, pct, checks)
    assert not np.array_equal(turned(pct).array.shape, pct.array.shape)


def test_bone_in_front_is_drawn_bright_in_the_upper_half_of_the_axial_planes(prepared, pct):
    planes = planes_through(prepared.head, pixel_mm=PIXEL_MM)
    tall = max(max(plane.grid.shape[1:]) for plane in planes)
    pixels = drawn(qc_picture(prepared, pct, []))
    body = 3 * (tall + ink.LINE + ink.GAP)
    top = pixels.shape[0] - histogram.HEIGHT - body  # of the row of MRs
    second = top + tall + 2 * ink.LINE + ink.GAP
    wide, high, _ = planes[1].grid.shape
    left = 2 * ink.GAP + planes[0].grid.shape[0]
    middle = second + (tall - high) // 2 + high // 2
    tile = pixels[:, left + wide // 4 : left + wide - wide // 4].mean(axis=2)
    assert np.median(tile[middle - 60 : middle - 20]) == pytest.approx(255 * 1500 / 2000, abs=2)
    assert np.median(tile[middle + 20 : middle + 60]) == pytest.approx(255 * 640 / 2000, abs=2)


def test_warnings_are_in_a_colour_of_their_own_and_their_absence_in_green(prepared, pct):
    warned = drawn(qc_picture(prepared, pct, [check("fog", ok=False), check("cut", ok=True)]))
    fine = drawn(qc_picture(prepared, pct, [check("fog", ok=True)]))
    assert has(warned, ink.WARNING)
    assert not has(fine, ink.WARNING)
    assert warned.shape[0] == fine.shape[0] + ink.LINE


def test_a_long_warning_is_broken_into_lines_that_fit(prepared, pct):
    words = "the head is not what it should be, " * 20
    long = drawn(qc_picture(prepared, pct, [check("fog", ok=False, words=words)]))
    short = drawn(qc_picture(prepared, pct, [check("fog", ok=False)]))
    assert long.shape[0] >= short.shape[0] + 3 * ink.LINE
    assert long.shape[1] == short.shape[1]
    assert not has(long[:, -ink.GAP :], ink.WARNING)


def test_the_head_s_outline_is_drawn_on_the_mr_and_darker_on_the_pseudo_ct(prepared, pct):
    pixels = drawn(qc_picture(prepared, pct, [check("fog", ok=False)]))
    bright, dark = (
        np.flatnonzero((pixels == colour).all(axis=2).any(axis=1))
        for colour in (ink.FINE, ink.FAINT_HEAD)
    )
    assert bright.size > 50
    assert bright.max() < pixels.shape[0] / 2
    assert dark.size > 100
    assert dark.min() > bright.max()


def test_the_headline_tells_one_model_from_another(prepared, pct):
    one, other = (
        drawn(qc_picture_by(prepared, pct, [check("fog", ok=True)], model=name))
        for name in ("exp1@6", "exp2@12")
    )
    rows = np.flatnonzero((one != other).any(axis=(1, 2)))
    assert rows.size > 0
    assert rows.max() < ink.GAP + ink.LINE


def test_what_was_not_measured_is_told_in_a_line_without_the_colour_of_a_warning(prepared, pct):
    unknown = drawn(qc_picture(prepared, pct, [check("fog", ok=None, value=None)]))
    fine = drawn(qc_picture(prepared, pct, [check("fog", ok=True)]))
    assert unknown.shape[0] == fine.shape[0] + ink.LINE
    assert has(unknown, ink.FAINT)
    assert not has(unknown, ink.WARNING)


def test_the_file_holds_pixels_and_no_text(prepared, pct):
    png = qc_picture(prepared, pct, [check("fog", ok=True)])
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        assert image.info == {}
        assert image.format == "PNG"


def test_an_mr_of_one_value_in_its_head_is_still_drawn(prepared, pct):
    flat = replace(prepared, mr=prepared.mr.with_array(np.ones_like(prepared.mr.array)))
    assert drawn(qc_picture(flat, pct, [])).any()


def test_a_pct_laid_where_the_head_is_not_is_drawn_as_air(prepared, pct):
    affine = pct.affine.copy()
    affine[0, 3] += 1000.0
    elsewhere = drawn(qc_picture(prepared, Volume(pct.array, affine), []))
    assert elsewhere.shape == drawn(qc_picture(prepared, pct, [])).shape


def test_the_histogram_counts_every_voxel_of_the_head_and_none_else():
    hu = np.array([[-1024, -1000, -981, -980, 39], [40, 1999, 3071, 500, 500]], np.int16)
    head = np.array([[True] * 5, [True, True, True, False, False]])
    counts = histogram.histogram(hu, head)
    assert {int(b): int(counts[b]) for b in np.flatnonzero(counts)} == {
        0: 3,
        1: 1,
        51: 1,
        52: 1,
        149: 2,
    }


@pytest.mark.parametrize(("ok", "colour"), [(True, ink.FINE), (False, ink.WARNING)])
def test_a_tissue_beyond_training_s_range_is_marked_in_the_colour_of_a_warning(pct, ok, colour):
    head = pct.with_array(pct.array > -1000)
    with_shares = np.asarray(histogram.panel(pct, head, [check("share_bone", ok=ok)], width=900))
    without = np.asarray(histogram.panel(pct, head, [check("fog", ok=ok)], width=900))
    assert has(with_shares, colour)
    assert not has(without, ink.FINE)
    assert not has(without, ink.WARNING)
