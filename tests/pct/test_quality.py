"""Checks of a prediction: a held-out head warns of nothing, and each fault of its own thing."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from data_prep.masks import head_from_mr
from data_prep.phantom import make_head
from data_prep.schema import SliceGrid
from data_prep.volume import Grid, Volume, from_ras, resample
from pct.model import Model
from pct.networks import Generator
from pct.prediction.check import held, notes
from pct.prediction.quality import look_over
from pct.prediction.volume import predict_prepared, prepare
from tests.pct.identity import CARD, identity, model_that
from tests.tiny import tiny_run

GRID = SliceGrid("resize", 80, 4.0, 4.0)
SIZE = {"size": 64, "num_slices": 48, "spacing_mm": (4.0, 4.0, 4.0)}
SETTINGS = {"data": {"size": 80}}

TRAINED = {
    "cases": 5,
    "mr_spacing_mm": [[4.0, 4.0, 4.0]] * 3,
    "mr_percentiles": {
        "p1": [4.5, 6.8, 13.3], "p50": [148.5, 224.0, 461.9], "p99.9": [386.0, 613.1, 1237.7],
    },
    "mr_contrast": [0.35, 0.377, 0.409],
    "hu_share": {
        "air": [0.032, 0.034, 0.034], "soft": [0.79, 0.795, 0.801], "bone": [0.165, 0.172, 0.176],
    },
}  # fmt: skip
"""The fingerprint of five phantoms of `SIZE`, as data preparation makes it."""


@pytest.fixture(scope="module")
def model():
    """A generator whose output no test here looks at, but for those that say so."""
    made = model_that(identity, grid=GRID, **SETTINGS)
    return replace(made, card={**CARD, "fingerprint": TRAINED})


@pytest.fixture(scope="module")
def phantom():
    """A head that training has not seen."""
    return make_head(20, **SIZE)


@pytest.fixture(scope="module")
def prepared(model, phantom):
    return prepare(model, phantom.mr)


@pytest.fixture(scope="module")
def pct(phantom):
    return perfect(phantom, phantom.mr)


def perfect(phantom, mr: Volume) -> Volume:
    """The phantom's CT in its head as an MR outlines it, and air around: a faultless pCT."""
    head = head_from_mr(mr)
    ct = resample(phantom.ct, mr.grid, fill=-1000.0).array
    return mr.with_array(np.rint(np.where(head.array, ct, -1000)).astype(np.int16))


def warned(checks) -> set[str]:
    return {check.name for check in checks if check.ok is False}


def part(volume: Volume, where) -> Volume:
    affine = volume.affine.copy()
    affine[:3, 3] += volume.affine[:3, :3] @ [one.start or 0 for one in where]
    return Volume(np.ascontiguousarray(volume.array[where]), affine)


def scaled(volume: Volume, *factors: float) -> Volume:
    return Volume(volume.array, np.diag([*factors, 1.0]) @ volume.affine)


def looked_over(model, mr: Volume, pct: Volume):
    return look_over(model, prepare(model, mr), pct)


def test_a_held_out_head_raises_no_warning(model, prepared, pct):
    checks = look_over(model, prepared, pct)
    assert warned(checks) == set()
    assert len({check.name for check in checks}) == len(checks) == 25
    assert all(check.value is not None for check in checks)


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_other_held_out_heads_raise_none_either(model, seed):
    other = make_head(seed, **SIZE)
    assert warned(looked_over(model, other.mr, perfect(other, other.mr))) == set()


@pytest.mark.parametrize("gain", [5.0, 0.1])
def test_another_scale_of_raw_values_is_told_and_nothing_else(model, phantom, pct, gain):
    mr = phantom.mr.with_array(phantom.mr.array * np.float32(gain))
    found = warned(looked_over(model, mr, pct))
    assert {"mr_p50", "mr_p99.9"} <= found <= {"mr_p1", "mr_p50", "mr_p99.9"}


def test_an_inverted_contrast_is_told_by_its_median(model, phantom, pct):
    raw, inside = phantom.mr.array, head_from_mr(phantom.mr).array
    top = np.percentile(raw[inside], 99.9)
    mr = phantom.mr.with_array(np.where(inside, top - np.minimum(raw, top), raw))
    checks = looked_over(model, mr, pct)
    assert "mr_contrast" in warned(checks)
    words = next(check.words for check in checks if check.name == "mr_contrast")
    assert "in training 0.3" in words
    assert "another sequence" in words


def test_slices_far_apart_are_told_with_training_s_distance(model, phantom):
    affine = phantom.mr.affine.copy()
    affine[:3, 2] *= 6.5 / 4.0
    grid = Grid((*phantom.mr.array.shape[:2], 29), affine)
    mr = resample(phantom.mr, grid, fill=float(phantom.mr.array.min()))
    checks = looked_over(model, mr, perfect(phantom, mr))
    assert warned(checks) == {"spacing_S"}
    words = next(check.words for check in checks if check.name == "spacing_S")
    assert words == (
        "the MR's voxels are 6.5 mm apart from bottom to top, training's 4 (expected up to 6)"
    )


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (np.s_[32:, :, :], "cut"), (np.s_[:32, :, :], "cut"), (np.s_[:, 32:, :], "cut"),
        (np.s_[:, :32, :], "cut"), (np.s_[:, :, :24], "cut"), (np.s_[:, :, 25:], "head_height"),
    ],
)  # fmt: skip
def test_half_a_head_is_told_whichever_half_is_gone(model, phantom, pct, where, told):
    mr = part(phantom.mr, where)
    assert told in warned(looked_over(model, mr, part(pct, where)))


def test_a_head_twice_too_large_is_told_by_its_size_and_by_what_the_model_does_not_see(
    model, phantom, pct
):
    mr = scaled(phantom.mr, 2.0, 2.0, 2.0)
    found = warned(looked_over(model, mr, scaled(pct, 2.0, 2.0, 2.0)))
    assert {"head_litres", "head_breadth", "head_length", "head_height"} <= found
    assert "outside_grid" in found


def test_a_slab_of_air_across_the_head_is_told_whichever_way_the_slices_lie(model, prepared, pct):
    for where in (np.s_[:, :, 24:27], np.s_[:, 30:33], np.s_[30:33]):
        blank = pct.array.copy()
        blank[where] = -1000
        assert "slab" in warned(look_over(model, prepared, pct.with_array(blank))), where


def test_a_void_in_the_brain_is_told_by_its_width(model, prepared, pct):
    middle = np.argwhere(prepared.head.array).mean(axis=0) + np.array([0, 0, 4])
    off_mm = 4.0 * np.linalg.norm(np.moveaxis(np.indices(pct.array.shape), 0, -1) - middle, axis=-1)
    checks = look_over(model, prepared, pct.with_array(np.where(off_mm < 22, -1000, pct.array)))
    assert "pocket" in warned(checks)
    [told] = [check for check in checks if check.name == "pocket"]
    assert told.value == pytest.approx(44, abs=4)
    assert "the widest pocket of air in the head but for its face is 4" in told.words


@pytest.mark.parametrize(("axis", "told"), [(1, "air_front"), (2, "air_below")])
def test_a_head_with_its_face_where_none_is_is_told_by_its_air(model, phantom, pct, axis, told):
    mr = phantom.mr.with_array(np.ascontiguousarray(np.flip(phantom.mr.array, axis)))
    turned = pct.with_array(np.ascontiguousarray(np.flip(pct.array, axis)))
    assert told in warned(looked_over(model, mr, turned))


def test_a_head_without_air_has_no_place_of_it_and_says_so(model, prepared, pct):
    full = np.where(prepared.head.array, np.maximum(pct.array, 0), pct.array)
    checks = look_over(model, prepared, pct.with_array(full.astype(np.int16)))
    assert {check.name for check in checks if check.ok is None} == {"air_front", "air_below"}
    assert sum("holds no air deeper than 10 mm" in words for words in notes(checks)) == 2


def test_a_head_stretched_from_back_to_front_is_told_by_its_shape(model, phantom, pct):
    factors = (1.0, 1.45, 1.0)
    found = warned(looked_over(model, scaled(phantom.mr, *factors), scaled(pct, *factors)))
    assert "head_proportion" in found


def test_a_ct_given_as_an_mr_is_told_by_its_air(model, phantom, pct):
    ct = phantom.ct.with_array(phantom.ct.array.astype(np.float32))
    assert "mr_p1" in warned(looked_over(model, ct, pct))


def test_an_untrained_generator_is_told_by_its_tissues_and_its_fog(model, phantom):
    torch.manual_seed(0)
    run = tiny_run(**SETTINGS)
    untrained = Model(Generator(run.generator).eval(), run, GRID, model.card)
    prepared = prepare(untrained, phantom.mr)
    pct = predict_prepared(untrained, prepared, phantom.mr.grid)
    assert {"share_soft", "share_bone", "fog"} <= warned(look_over(untrained, prepared, pct))


def test_fog_is_told_unless_the_model_makes_air_around_the_head(model, phantom, prepared, pct):
    foggy = pct.with_array(np.where(pct.array == -1000, -500, pct.array).astype(np.int16))
    assert warned(look_over(model, prepared, foggy)) == {"fog"}
    run = model.run.model_copy(update={"background": "air"})
    [fog] = [
        check for check in looked_over(replace(model, run=run), phantom.mr, foggy)
        if check.name == "fog"
    ]  # fmt: skip
    assert (fog.value, fog.ok) == (None, True)
    assert "no fog can be there" in fog.words


def test_offsets_from_slice_to_slice_are_told_as_jitter(model, prepared, pct):
    offsets = np.rint(np.random.default_rng(0).normal(0, 150, pct.array.shape[2]))
    jumping = np.where(pct.array > -900, pct.array + offsets, pct.array).clip(-1024, 3071)
    found = warned(look_over(model, prepared, pct.with_array(jumping.astype(np.int16))))
    assert "jitter" in found


def test_a_pct_without_dense_bone_is_told(model, prepared, pct):
    weak = pct.with_array(np.minimum(pct.array, 800).astype(np.int16))
    assert warned(look_over(model, prepared, weak)) == {"dense_hu"}


def test_tiles_at_the_image_s_scale_are_told_where_it_is_not_training_s(model, phantom, pct):
    run = model.run.model_copy(update={"geometry": "native_tiles"})
    tiles = replace(model, run=run)
    assert warned(looked_over(tiles, phantom.mr, pct)) == set()
    trained_finer = replace(tiles, grid=replace(GRID, pixel_mm=2.0))
    assert warned(looked_over(trained_finer, phantom.mr, pct)) == {"pixel"}


def test_a_model_of_an_earlier_version_is_no_warning_but_says_what_is_not_compared(
    model, phantom, pct
):
    earlier = replace(model, card=dict(CARD))
    checks = looked_over(earlier, phantom.mr, pct)
    assert warned(checks) == set()
    assert (checks[-1].name, checks[-1].ok) == ("fingerprint", None)
    assert "does not say what it was trained on" in checks[-1].words
    assert not {"share_bone", "spacing_S", "mr_contrast"} & {check.name for check in checks}


def test_a_head_of_one_value_has_no_contrast_to_compare(model, prepared, pct):
    flat = np.where(prepared.head.array, np.float32(300), prepared.mr.array)
    checks = look_over(model, replace(prepared, mr=prepared.mr.with_array(flat)), pct)
    [contrast] = [check for check in checks if check.name == "mr_contrast"]
    assert (contrast.value, contrast.ok) == (None, None)
    assert "one value" in contrast.words


def test_the_order_and_direction_of_the_pcts_axes_change_nothing(model, prepared, pct):
    affine = pct.affine[:, [2, 0, 1, 3]].copy()
    affine[:3, 1] *= -1
    affine[:3, 3] += pct.affine[:3, 0] * (pct.array.shape[0] - 1)
    grid = Grid((48, 64, 64), affine)
    turned = from_ras(pct, grid)
    assert turned.array.shape == (48, 64, 64)
    assert look_over(model, prepared, turned) == look_over(model, prepared, pct)


def test_a_grid_that_holds_a_part_of_the_head_is_told_with_the_share_that_is_lost(
    model, prepared, pct
):
    layers = np.flatnonzero(prepared.head.array.any(axis=(0, 1)))
    kept = np.s_[:, :, : layers[-1] - 9]
    lost = prepared.head.array[:, :, layers[-1] - 9 :].sum() / prepared.head.array.sum()
    checks = look_over(model, prepared, part(pct, kept))
    assert "unwritten" in warned(checks)
    [told] = [check for check in checks if check.name == "unwritten"]
    assert told.value == pytest.approx(lost)
    assert told.words.startswith(f"{lost:.1%} of the MR's head lies beyond the written grid")


def test_checks_are_plain_values_for_a_json_file(model, prepared, pct):
    checks = look_over(model, prepared, pct)
    told = json.loads(json.dumps([asdict(check) for check in checks], allow_nan=False))
    assert [one["name"] for one in told] == [check.name for check in checks]
    assert {type(one["ok"]) for one in told} == {bool}
    unknown = json.loads(json.dumps(asdict(held("x", float("nan"), ""))))
    assert (unknown["ok"], unknown["value"]) == (None, None)
