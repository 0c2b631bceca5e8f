"""A recipe's claim: read, checked against its trials, and recorded before the first epoch."""

from dataclasses import replace

import pytest

from pct.scoring.declared import Question, declared_in
from sweeps.recipe import BadRecipe, load_recipe
from sweeps.session import run_sweep
from sweeps.sweep import WrongData, prepare_sweep
from tests.sweeps.small_sweep import sweep_of

TRIALS = (
    "base: smoke\ntrials:\n  one: {}\n  two: {schedule: {lambda_ngf: {0: 1, 2: {a: 1, b: 0}}}}\n"
)


def recipe_with(tmp_path, claim: str, *overrides: str):
    path = tmp_path / "mine.yaml"
    path.write_text(f"{TRIALS}epochs: 4\n{claim}\n")
    return load_recipe(str(path), overrides)


def test_the_thesis_asks_whether_ngf_helps():
    assert load_recipe("thesis").claim == Question(a="exp2", b="exp1", on="ssim_masked")
    assert load_recipe("demo").claim is None


def test_a_claim_names_trials_without_their_seeds(tmp_path):
    line = "claim: {a: one, b: two.b, on: mae_head}"
    assert recipe_with(tmp_path, line).claim == Question("one", "two.b", "mae_head")
    assert recipe_with(tmp_path, line, "seeds=1,2,3").claim == Question("one", "two.b", "mae_head")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("claim: {a: one, b: two, on: ssim}", "claim: no trial 'two': did you mean two.b?"),
        ("claim: {a: one, b: one, on: ssim}", "claim: expected {a: TRIAL, b: OTHER, on: METRIC}"),
        ("claim: {a: one, on: ssim}", "claim: expected {a: TRIAL, b: OTHER, on: METRIC}, found"),
        ("claim: one", "found 'one'"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused_before_anything_runs(tmp_path, line, message):
    with pytest.raises(BadRecipe) as caught:
        recipe_with(tmp_path, line)
    assert message in str(caught.value)


def test_a_metric_that_does_not_exist_is_refused_before_anything_runs(tmp_path, phantom_data):
    recipe = recipe_with(tmp_path, "claim: {a: one, b: two.b, on: ssim_maskd}")
    with pytest.raises(WrongData, match="no metric 'ssim_maskd': did you mean ssim_masked"):
        prepare_sweep(recipe, data=phantom_data, folder=tmp_path / "OUT")


def test_the_claim_is_written_before_the_first_epoch(tmp_path, phantom_data, monkeypatch):
    question = Question("never", "same", "mae_head")
    small = sweep_of(tmp_path / "OUT", phantom_data)
    asked = replace(small, recipe=replace(small.recipe, claim=question))
    seen = []
    monkeypatch.setattr("sweeps.session._run", lambda sweep, *_: seen.append(sweep.folder))
    run_sweep(small, None)
    assert declared_in(tmp_path / "OUT") is None
    monkeypatch.setattr(
        "sweeps.session._run", lambda sweep, *_: seen.append(declared_in(sweep.folder))
    )
    run_sweep(asked, None)
    assert seen[-1] == question
