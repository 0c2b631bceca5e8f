"""Augmentation: known moves give known images, pairs stay pairs, and what is off draws nothing."""

import math

import pytest
import torch

from pct.augment import COARSE, augment, moved, random_affine, shaded
from pct.batches import Batch
from pct.config import build_run, load_preset, preset_names
from pct.learning import Augmentation
from pct.objective import weights_at
from pct.state import start
from pct.train import train_step
from tests.tiny import tiny_batch, tiny_run

OFF = Augmentation()
ALL = Augmentation(rotate_deg=10, scale=0.1, shift=0.05, gamma=0.2, bias=0.2)


def batch() -> Batch:
    return tiny_batch(0, tiny_run())


def affine(*rows: list[float], count: int = 4) -> torch.Tensor:
    return torch.tensor(rows).expand(count, 2, 3)


def images(of: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return of.mr, of.ct, of.head


def test_the_identity_changes_nothing():
    same = moved(batch(), affine([1.0, 0, 0], [0, 1, 0]))
    for before, after in zip(images(batch()), images(same), strict=True):
        torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_a_quarter_turn_equals_that_of_rot90():
    turned = moved(batch(), affine([0.0, -1, 0], [1, 0, 0]))
    for before, after in zip(images(batch()), images(turned), strict=True):
        torch.testing.assert_close(after, torch.rot90(before, 1, (2, 3)), atol=1e-5, rtol=0)


def test_a_shift_by_whole_pixels_moves_them_and_fills_with_air_the_darkest_and_no_head():
    pair = batch()
    filled = Batch(pair.mr * 0 + 0.5, pair.ct * 0 + 0.25, pair.head * 0 + 1)
    shift = moved(filled, affine([1.0, 0, 2 * 6 / 32], [0, 1, 0]))  # looks 6 pixels to the right
    for image, value, fill in zip(images(shift), (0.5, 0.25, 1), (-1, -1, 0), strict=True):
        assert torch.allclose(image[..., :26], torch.tensor(float(value)), atol=1e-5)
        assert torch.allclose(image[..., 26:], torch.tensor(float(fill)), atol=1e-5)


def test_the_head_stays_a_mask_and_the_images_stay_in_range():
    torch.manual_seed(0)
    out = augment(batch(), flip=0.5, how=ALL)
    assert set(out.head.unique().tolist()) == {0.0, 1.0}
    for image in (out.mr, out.ct):
        assert image.min() >= -1
        assert image.max() <= 1
        assert image.dtype == torch.float32


def test_mr_and_ct_move_together():
    pair = batch()
    twin = Batch(pair.ct, pair.ct, pair.head)
    out = augment(twin, flip=0.5, how=Augmentation(rotate_deg=20, scale=0.2, shift=0.1))
    assert torch.equal(out.mr, out.ct)
    assert not torch.equal(out.ct, twin.ct)


def test_affines_are_turns_sizes_and_shifts_within_their_limits():
    torch.manual_seed(1)
    how = Augmentation(rotate_deg=12, scale=0.2, shift=0.1)
    matrix = random_affine(4000, how)
    turn, shift = matrix[:, :, :2], matrix[:, :, 2]
    zoom = torch.linalg.det(turn) ** -0.5
    angle = torch.rad2deg(torch.atan2(turn[:, 1, 0], turn[:, 0, 0]))
    gram = turn @ turn.transpose(1, 2) * zoom.view(-1, 1, 1) ** 2
    torch.testing.assert_close(gram, torch.eye(2).expand(4000, 2, 2), atol=1e-5, rtol=0)
    for value, limit in (
        (zoom - 1, 0.2),
        (angle, 12),
        (shift[:, 0] / 2, 0.1),
        (shift[:, 1] / 2, 0.1),
    ):
        assert value.abs().max() <= limit * 1.0001
        assert value.min() < -0.95 * limit
        assert value.max() > 0.95 * limit
        assert abs(value.mean()) < 0.05 * limit


def test_gamma_and_bias_follow_their_formulas_and_leave_the_darkest_dark():
    mr = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0]).expand(1, 1, 5, 5)
    flat = torch.zeros(1, 1, COARSE, COARSE)
    unit = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    squared = shaded(mr, torch.tensor([2.0]), flat)
    torch.testing.assert_close(squared[0, 0, 0], 2 * unit**2 - 1)
    halved = shaded(mr, torch.tensor([1.0]), flat + math.log(0.5))
    torch.testing.assert_close(halved[0, 0, 0], unit - 1)
    doubled = shaded(mr, torch.tensor([1.0]), flat + math.log(2.0))
    torch.testing.assert_close(doubled[0, 0, 0], (4 * unit).clamp(max=2) - 1)


def test_the_bias_field_is_smooth():
    torch.manual_seed(2)
    knots = 0.3 * torch.randn(8, 1, COARSE, COARSE)
    field = torch.log(0.5 * (shaded(torch.full((8, 1, 64, 64), -0.8), torch.ones(8), knots) + 1))
    step = max(field.diff(dim=d).abs().max().item() for d in (2, 3))
    assert field.std() > 0.1
    assert step < 0.15 * (field.max() - field.min()).item()


def test_gamma_and_bias_touch_the_mr_alone():
    pair = batch()
    out = augment(pair, flip=0, how=Augmentation(gamma=0.3, bias=0.3))
    assert torch.equal(out.ct, pair.ct)
    assert torch.equal(out.head, pair.head)
    assert not torch.equal(out.mr, pair.mr)


def test_what_is_off_draws_nothing_and_returns_the_batch_itself():
    before, pair = torch.get_rng_state(), batch()
    assert augment(pair, flip=0, how=OFF) is pair
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", [*Augmentation.model_fields, "flip"])
def test_each_switch_changes_the_batch_and_draws_from_torchs_generator(name):
    how = Augmentation(**({name: getattr(ALL, name)} if name != "flip" else {}))
    flip = 0.5 if name == "flip" else 0.0
    torch.manual_seed(3)
    one = augment(batch(), flip=flip, how=how)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    assert not torch.equal(torch.get_rng_state(), after)
    again = augment(batch(), flip=flip, how=how)
    assert not torch.equal(one.mr, batch().mr)
    for first, second in zip(images(one), images(again), strict=True):
        assert torch.equal(first, second)
    other = augment(batch(), flip=flip, how=how)
    assert not torch.equal(one.mr, other.mr)


def test_pairs_of_a_batch_are_changed_each_in_its_own_way():
    pair = batch()
    same = Batch(*(image[:1].expand(4, -1, -1, -1) for image in images(pair)))
    torch.manual_seed(4)
    out = augment(same, flip=0, how=ALL)
    assert len({tuple(row.flatten().tolist()) for row in out.mr}) == 4


def test_the_thesis_presets_change_no_pair():
    for name in preset_names():
        run = build_run(load_preset(name))
        if name.startswith("thesis"):
            assert (run.flip, run.augment, run.ema_decay, run.clip_norm) == (0, OFF, 0, 0)


def test_a_pair_drawn_larger_has_pixels_of_fewer_mm_and_every_pair_keeps_its_patient():
    pair = batch()
    larger = moved(pair, affine([0.0, -0.8, 0], [0.8, 0, 0]))
    torch.testing.assert_close(larger.pixel_mm, 0.8 * pair.pixel_mm)
    torch.manual_seed(0)
    out = augment(pair, flip=0.5, how=ALL)
    assert torch.equal(out.patient, pair.patient)


@pytest.mark.parametrize("loss", [{"ngf_unit": "mm"}, {"ngf_control": "shuffled"}])
def test_augmented_pairs_serve_the_losses_that_ask_for_patient_and_pixel(loss):
    run = tiny_run(augment=ALL.model_dump(), loss=loss)
    state = start(run)
    pair = augment(batch(), flip=run.flip, how=run.augment)
    terms = train_step(state, pair, weights_at(run, 0), run)
    assert math.isfinite(terms["loss/ngf"])
