"""Recipe files to named runs, overrides over them, and every mistake at once."""

import subprocess
import sys
from typing import get_args

import pytest

from pct.__main__ import main
from pct.config import Run, build_run, load_preset, preset_names
from pct.loss_config import LossConfig
from sweeps.recipe import BadRecipe, leaves_at, load_recipe, recipe_names
from sweeps.search.space import corner


def recipe_in(tmp_path, text: str, *overrides: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return load_recipe(str(path), overrides)


def leaves_of(recipe) -> dict:
    return {leaf.name: leaf.run for leaf in leaves_at(recipe, {})}


def refused(tmp_path, text: str, *overrides: str) -> str:
    with pytest.raises(BadRecipe) as caught:
        recipe_in(tmp_path, text, *overrides)
    return str(caught.value)


def test_the_shipped_recipes_are_there():
    assert {"controls", "demo", "forms", "search_ngf", "switch_off", "thesis"} <= set(
        recipe_names()
    )


def shipped_runs() -> list[Run]:
    runs = [build_run(load_preset(name)) for name in preset_names()]
    for name in recipe_names():
        recipe = load_recipe(name)
        runs += [leaf.run for leaf in leaves_at(recipe, corner(recipe.space, "low"))]
    return runs


def test_a_shipped_preset_or_recipe_sets_every_form_and_weight_of_a_loss():
    runs = shipped_runs()
    for switch, field in LossConfig.model_fields.items():
        assert {getattr(run.loss, switch) for run in runs} == set(get_args(field.annotation)), (
            switch
        )
    for name in ("lambda_ngf", "lambda_gan", "lambda_bg", "lambda_idt", "ngf_alpha"):
        assert len({getattr(run.schedule, name) for run in runs}) > 1, name


def test_the_controls_differ_from_ngf_in_one_setting_each():
    runs = leaves_of(load_recipe("controls"))
    plain = runs.pop("ngf")
    assert plain == build_run(load_preset("resize"))
    assert plain.loss.ngf_control == "none"
    assert plain.loss.ngf_against == "mr"

    def with_loss(**change: str) -> Run:
        return plain.model_copy(update={"loss": plain.loss.model_copy(update=change)})

    assert runs["shuffled"] == with_loss(ngf_control="shuffled")
    assert runs["edges_of_ct"] == with_loss(ngf_against="ct")
    assert runs["none"].schedule.lambda_ngf == ((0, 0.0),)
    assert runs["none"].loss == plain.loss


def test_the_forms_differ_from_what_is_in_one_setting_each():
    runs = leaves_of(load_recipe("forms"))
    plain = runs.pop("as_it_is").model_dump()
    for name, run in runs.items():
        content = run.model_dump()
        changed = {
            key
            for section in ("loss", "schedule")
            for key in content[section]
            if content[section][key] != plain[section][key]
        }
        assert len(changed) == 1, name
        assert {k for k in content if content[k] != plain[k]} <= {"loss", "schedule"}


def test_the_thesis_is_five_runs_of_four_experiments():
    runs = leaves_of(load_recipe("thesis"))
    assert list(runs) == ["exp1", "exp2", "exp3.keep", "exp3.drop", "exp4"]
    assert [run.schedule.lambda_ngf for run in runs.values()] == [
        ((0, 20.0),),
        ((0, 0.0),),
        ((0, 20.0),),
        ((0, 20.0), (40, 0.0)),
        ((0, 20.0),),
    ]
    assert [run.epochs for run in runs.values()] == [70, 70, 70, 70, 200]
    assert runs["exp3.keep"] == runs["exp1"]
    assert runs["exp4"].data.arm == "crop"


def test_every_seed_runs_every_trial_with_its_number_in_the_name():
    runs = leaves_of(load_recipe("demo", ["seeds=1,2,3"]))
    assert len(runs) == 3 * 3
    assert [name for name in runs if name.startswith("ngf.drop")] == [
        "ngf.drop@s1",
        "ngf.drop@s2",
        "ngf.drop@s3",
    ]
    assert {run.seed for name, run in runs.items() if name.endswith("@s3")} == {3}
    assert leaves_of(load_recipe("demo", ["seeds=[4]"])).keys() == {
        "never@s4",
        "ngf.keep@s4",
        "ngf.drop@s4",
    }


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("1,x", "seeds: expected whole numbers as in 1,2,3, found '1,x'"),
        ("1,1", "seeds: '1,1' names one seed twice"),
    ],
)
def test_seeds_that_are_none_are_refused(seeds, message):
    with pytest.raises(BadRecipe, match=message):
        load_recipe("demo", [f"seeds={seeds}"])


def test_an_override_that_contradicts_a_trial_names_it_and_how_to_name_another():
    with pytest.raises(
        BadRecipe,
        match=r"epochs=90 contradicts trial exp4, which sets its own "
        r"epochs; .* as in exp1\.epochs=90\.",
    ):
        load_recipe("thesis", ["epochs=90"])
    runs = leaves_of(load_recipe("thesis", ["exp1.epochs=90"]))
    assert [run.epochs for run in runs.values()] == [90, 70, 70, 70, 200]
    with pytest.raises(BadRecipe, match="lambda_ngf=5 contradicts trial exp2"):
        load_recipe("thesis", ["lambda_ngf=5"])


@pytest.mark.parametrize("override", ["lambda_bg=3", "schedule.lambda_bg=3", "loss.mask_fill=air"])
def test_an_override_that_contradicts_a_section_of_a_trials_own_preset_is_refused(override):
    with pytest.raises(BadRecipe, match="contradicts trial exp4"):
        load_recipe("thesis", [override])


def test_an_override_of_what_no_trial_sets_reaches_all(tmp_path):
    runs = leaves_of(load_recipe("demo", ["epochs=8", "data.size=64", "lambda_l1=9", "batch=4"]))
    assert {(r.epochs, r.data.size, r.batch) for r in runs.values()} == {(8, 64, 4)}
    assert {r.schedule.lambda_l1 for r in runs.values()} == {((0, 9.0),)}


def test_preset_recipe_trial_and_command_line_win_in_this_order(tmp_path):
    text = (
        "base: smoke\nbatch: 5\nflip: 0.25\nschedule: {lambda_l1: 1}\n"
        "trials:\n  a: {}\n  b: {flip: 0.75, schedule: {lambda_bg: 3}}\n"
    )
    runs = leaves_of(recipe_in(tmp_path, text, "batch=3"))
    assert [(run.batch, run.flip) for run in runs.values()] == [(3, 0.25), (3, 0.75)]
    assert runs["a"].data.size == 64
    assert runs["b"].schedule.lambda_l1 == ((0, 1.0),)
    assert (runs["a"].schedule.lambda_bg, runs["b"].schedule.lambda_bg) == (
        ((0, 10.0),),
        ((0, 3.0),),
    )


def test_three_mistakes_are_named_at_once_each_with_its_place(tmp_path):
    text = (
        "base: smoke\nepochs: 6\ntrials:\n"
        "  a: {schedule: {lambda_ngf: {0: 20, 3: {keep: 20, drop: 0}, 5: 1}}}\n"
        "  b: {schedule: {lamda_ngf: 3}}\n"
        "  c: {base: smoky}\n"
    )
    lines = refused(tmp_path, text).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("mine.yaml: ") for line in lines)
    assert "a: lambda_ngf: 5 comes after the fork at 3" in lines[0]
    assert "b: schedule.lamda_ngf: no such setting: did you mean lambda_ngf?" in lines[1]
    assert "c: no preset 'smoky': did you mean smoke?" in lines[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: smoke\n", "trials: expected a mapping of names to settings, found none"),
        ("trials: {a: 3}\n", "trials.a: expected a mapping of settings, found 3"),
        ("trials: {a.b: {}}\n", "trials.a.b: a name holds letters, digits, - and _ only"),
        (
            "base: smoke\ntrials: {a: {schedule: {lambda_ngf: {0: 20, 2: {keep: 20, drop: 0}}}}}\n",
            "schedule.lambda_ngf changes after 2 epochs, the run ends at 2",
        ),
        (
            "trials: {a: {schedule: {lambda_ngf: $ngf}}}\nspace: {nfg: {low: 1, high: 2}}\n",
            "a: $ngf is not in the space: did you mean nfg?",
        ),
        (
            "base: smoke\ntrials: {a: {}}\nsearch: {sampler: tpe, pionts: 3}\n",
            "did you mean points?",
        ),
        (
            "base: smoke\ntrials: {a: {}}\nsearch: {exhaust: [switch]}\n",
            "switch is not a dimension",
        ),
        (
            "base: smoke\ntrials: {a: {}}\nspace: {x: {low: 3, high: 2}}\n",
            "low 3.0 is not below high",
        ),
    ],
)
def test_a_mistake_in_a_recipe_is_named(tmp_path, text, message):
    assert message in refused(tmp_path, text)


def test_an_unknown_recipe_is_told_the_nearest():
    with pytest.raises(BadRecipe, match=r"no recipe 'thesys': did you mean thesis\?"):
        load_recipe("thesys")


def test_a_mistake_is_exit_code_2_and_its_message(capsys):
    assert main(["plan", "thesis", "epochs=90"]) == 2
    assert "contradicts trial exp4" in capsys.readouterr().err
    assert main(["plan", "thesys"]) == 2
    assert main(["plan", "thesis"]) == 0
    assert capsys.readouterr().out.startswith("5 trials: 350-480 epochs written, 240-370 to train")


def test_planning_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from pct.__main__ import main\n"
        "assert main(['plan', 'thesis']) == 0\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'monai', 'kornia', 'pandas', 'scipy'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"
