import json

from cells import cells

from dashboards.configuration import configuration_html
from dashboards.load import load_sweep


def write_recipe(folder, trials):
    (folder / "recipe.yaml").write_text(json.dumps({"recipe": "demo", "trials": trials}))


def test_what_is_shared_stands_once_and_what_differs_by_trial(sweep_dir):
    trials = {
        "keep": {"epochs": 6, "loss": {"gan": "lsgan"}, "schedule": {"lambda_ngf": 20.0}},
        "drop": {"epochs": 6, "loss": {"gan": "lsgan"},
                 "schedule": {"lambda_ngf": {"0": 20.0, "3": 0.0}}},
    }  # fmt: skip
    write_recipe(sweep_dir, trials)
    html = configuration_html(load_sweep(sweep_dir))
    assert cells(html) == [
        ["trial", "schedule.lambda_ngf"], ["keep", "20"], ["drop", "20, 0 from 4"],
        ["setting", "value"], ["epochs", "6"], ["loss.gan", "lsgan"],
    ]  # fmt: skip
    assert "2 settings shared by all 2 trials" in html


def test_a_setting_that_one_trial_lacks_differs(sweep_dir):
    write_recipe(sweep_dir, {"a": {"x": 1}, "b": {"x": 1, "stop": {"patience": 15}}})
    html = configuration_html(load_sweep(sweep_dir))
    assert ["a", "\N{EN DASH}"] in cells(html)
    assert ["b", "15"] in cells(html)


def test_values_are_spelt_as_people_write_them(sweep_dir):
    write_recipe(sweep_dir, {"a": {"betas": [0.9, 0.999], "stop": None, "fast": True}})
    facts = dict(cells(configuration_html(load_sweep(sweep_dir)))[1:])
    assert facts == {"betas": "0.9, 0.999", "stop": "none", "fast": "on"}


def test_a_recipe_that_is_missing_or_damaged_is_one_line(sweep_dir):
    assert "recipe.yaml is missing." in configuration_html(load_sweep(sweep_dir))
    (sweep_dir / "recipe.yaml").write_text("trials: [a, {")
    assert "recipe.yaml cannot be read" in configuration_html(load_sweep(sweep_dir))
