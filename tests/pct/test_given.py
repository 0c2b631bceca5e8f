"""`init: MODEL`: what a run takes over from a given model, and what it checks."""

import shutil
from pathlib import Path

import pytest
import torch

from data_prep.schema import SliceGrid
from data_prep.shards import list_cases
from pct.config import build_run
from pct.given import settle_init, trained_on
from pct.learning import Given
from pct.model import BadModel, load_model, save_model
from pct.one_run import OtherRun, train_here
from pct.state import from_bytes, start, to_bytes
from pct.train import fit
from tests.pct.identity import CARD
from tests.tiny import tiny_run

GRID = SliceGrid("resize", 32, 8.0, 12.0)


def save(folder: Path, *, seed: int = 7, seen: list[str] | None = None, **settings) -> Path:
    run = tiny_run(seed=seed, **settings)
    card = CARD | ({} if seen is None else {"trained_on": seen})
    save_model(folder, start(run).generator.state_dict(), run=run, grid=GRID, card=card)
    return folder


@pytest.fixture
def model(tmp_path) -> Path:
    return save(tmp_path / "given", seen=["an-old-patient"])


def settled(model: Path, **settings):
    run = tiny_run(init=str(model), **settings)
    return run.model_copy(update={"init": settle_init(run.init)})


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_path_alone_names_the_model():
    assert build_run({"init": "a/model"}).init == Given(model="a/model")
    assert build_run({}).init is None


def test_the_generator_and_its_average_start_as_the_model_and_all_else_as_ever(model):
    run = settled(model, ema_decay=0.9)
    state, plain = start(run), start(tiny_run())
    given = load_model(model).generator
    assert same(state.generator, given)
    assert same(state.ema.generator, given)
    assert not same(plain.generator, given)
    assert same(state.discriminator, plain.discriminator)
    assert (state.epoch, state.adam_g.state_dict()["state"]) == (0, {})
    start(run)
    drawn = torch.rand(3)
    start(tiny_run())
    assert torch.equal(torch.rand(3), drawn), "augmentation draws as without a model"


def test_a_run_from_a_model_goes_on_exactly_even_when_the_model_has_gone(model, tiny_data):
    run = settled(model)
    fingerprint = fit(start(run), run, tiny_data, until=2).fingerprint()
    half = to_bytes(fit(start(run), run, tiny_data, until=1))
    shutil.rmtree(model)
    assert fit(from_bytes(half, run), run, tiny_data, until=2).fingerprint() == fingerprint


def test_the_digest_is_of_the_weights_and_not_of_the_place(model, tmp_path):
    moved = shutil.copytree(model, tmp_path / "moved")
    other = save(tmp_path / "other", seed=8, seen=[])
    digests = [settle_init(Given(model=str(folder))).digest for folder in (model, moved, other)]
    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 64


def test_weights_that_changed_since_the_run_was_settled_are_refused(model):
    run = settled(model)
    save(model, seed=8, seen=[])
    with pytest.raises(BadModel, match="its weights have changed since this run began"):
        start(run)


def test_a_model_of_another_shape_is_refused(tmp_path):
    other = save(tmp_path / "wide", seen=[], generator={"channels": [4, 8, 16]})
    with pytest.raises(BadModel, match=r"does not fit the run's generator: .*size mismatch"):
        start(settled(other))


def test_no_model_is_named(tmp_path):
    with pytest.raises(BadModel, match="no such model folder"):
        settle_init(Given(model=str(tmp_path / "absent")))


def test_whom_a_model_has_seen_is_handed_on(model, tmp_path, phantom_data):
    first = trained_on(settled(model), phantom_data)
    assert first == sorted([*list_cases(phantom_data, "train"), "an-old-patient"])
    second = save(tmp_path / "second", seen=["still-older", *first])
    assert set(trained_on(settled(second), phantom_data)) == {*first, "still-older"}
    assert trained_on(tiny_run(), phantom_data) == list_cases(phantom_data, "train")


def test_a_model_that_does_not_say_whom_it_has_seen_is_refused_before_training(tmp_path):
    silent = save(tmp_path / "silent")
    with pytest.raises(BadModel, match="its card does not say which cases it was trained on"):
        settle_init(Given(model=str(silent)))


def test_pct_train_starts_from_a_model_and_tells_another_one_apart(model, tmp_path, phantom_data):
    folder = tmp_path / "run"
    train_here(tiny_run(epochs=1, init=str(model)), phantom_data, folder)
    assert "an-old-patient" in load_model(folder / "model").card["trained_on"]
    moved = model.rename(tmp_path / "moved")
    train_here(tiny_run(epochs=1, init=str(moved)), phantom_data, folder)
    other = save(tmp_path / "other", seed=8, seen=[])
    with pytest.raises(OtherRun, match=r"init.digest is .* there and .* here"):
        train_here(tiny_run(epochs=1, init=str(other)), phantom_data, folder)
