"""Mistakes in recipes: each is told, all at once, and the quick way to runs misses none."""

import random
from typing import Any

import pytest

from pct.__main__ import main
from pct.config import Run, fields_at, load_preset, merge, suggest, try_run
from sweeps.forks import straighten
from sweeps.recipe import BadRecipe, Leaf, leaves_at, load_recipe
from sweeps.recipe import Recipe as AnyRecipe
from sweeps.search.space import Dimension, Point, Search, fill, names_in

SETTINGS: list[dict[str, Any]] = [
    {},
    {"epochs": 9},
    {"epochs": "12"},
    {"flip": 0.25, "batch": 4},
    {"batch": 5, "workers": 5},
    {"loss": {"gan": "hinge"}, "stop": {"after": 4}},
    {"schedule": {"lambda_l1": {0: 9, 3: 8}, "lambda_idt": 5}},
    {"base": "thesis_exp1", "epochs": 20},
    {"warmup_epochs": "$whole"},
    {"augment": {"gamma": "$share"}},
]
MISTAKES: list[dict[str, Any]] = [
    {"epoch": 3},
    {"epochs": 0},
    {"stop": {"after": 99}},
    {"data": {"size": 16}},
    {"batch": 5, "workers": 2},
    {"loss": {"gan": "wgan", "ngf": 1}},
    {"generator": {"kind": "attention_unet"}},
    {"schedule": {"lambda_l1": "much", "lamda_bg": 1}},
    {"warmup_epochs": 50},
    {"select": 3},
]
SPACE = {"share": Dimension(low=0, high=1), "whole": Dimension(low=1, high=4, step=1)}
POINTS: list[Point] = [{"share": 0.5, "whole": 2}, {"share": 0.25, "whole": 3}]
VALUES = [0, 20, 3.5, "$share", "$whole", -1, True, "x", "full"]


def random_values(rng: random.Random) -> Any:
    """One schedule: a number, steps or a fork; a mistake now and then."""
    value = lambda: rng.choice(VALUES if rng.random() < 0.1 else VALUES[:5])  # noqa: E731
    late = rng.choice([4, 5, 5, 7, 30])
    return rng.choice(
        [
            value(),
            {0: value(), 3: value()},
            {0: value(), late: {"keep": value(), "drop": {late: value(), late + 1: rng.random()}}},
        ]
    )


def random_settings(rng: random.Random) -> dict[str, Any]:
    wrong = rng.random() < 0.15
    found = merge(rng.choice(SETTINGS), rng.choice(MISTAKES if wrong else SETTINGS))
    names = rng.sample(["lambda_ngf", "lambda_bg", "ngf_alpha", "fork_restore"], rng.randint(0, 2))
    return merge(found, {"schedule": {name: random_values(rng) for name in names}})


def random_recipe(rng: random.Random) -> AnyRecipe:
    common = {k: v for k, v in rng.choice(SETTINGS[:7]).items() if k != "base"}
    trials = {f"t{number}": random_settings(rng) for number in range(rng.randint(1, 3))}
    seeds = tuple(rng.sample(range(9), rng.choice([0, 1, 3])))
    space = SPACE if names_in(trials) else {}
    return AnyRecipe("random", "smoke", {"epochs": 6, **common}, trials, seeds, space, Search())


def one_by_one(recipe: AnyRecipe, point: Point) -> tuple[list[Leaf], list[str]]:
    """Every run validated whole, by itself, from its settings."""
    leaves, problems = [], []
    for name, trial in recipe.trials.items():
        own = fill(trial, point)
        base = load_preset(own.pop("base", recipe.base))
        for straight in straighten(own.get("schedule") or {}):
            for seed in recipe.seeds or (None,):
                settings = merge(merge(base, recipe.common), own)
                schedule = {**settings.get("schedule", {}), **straight.schedules}
                settings |= {"schedule": schedule} | ({} if seed is None else {"seed": seed})
                run = try_run(settings, where=f"{name}: ", problems=problems)
                parts = [name, straight.name] if straight.name else [name]
                called = ".".join(parts) + ("" if seed is None else f"@s{seed}")
                leaves += [Leaf(called, run, point)] if run else []
            for key, steps in straight.schedules.items():
                if run and (end := max(steps)) >= run.epochs:  # and the value there is the old one
                    line = (
                        f"schedule.{key} changes after {end} epochs, the run ends at {run.epochs}"
                    )
                    problems.append(f"{name}: {line}")
    return leaves, problems


def test_runs_and_mistakes_are_those_of_validating_every_run_whole():
    rng, sound, unsound = random.Random(0), 0, 0
    for _ in range(250):
        recipe = random_recipe(rng)
        for point in POINTS if recipe.space else [{}]:
            leaves, problems = one_by_one(recipe, point)
            if problems:
                with pytest.raises(BadRecipe) as caught:
                    leaves_at(recipe, point)
                assert str(caught.value).splitlines() == problems
            else:
                assert leaves_at(recipe, point) == leaves
            sound, unsound = sound + (not problems), unsound + bool(problems)
    assert min(sound, unsound) > 80


def test_a_name_in_a_recipe_without_a_space_is_told(tmp_path):
    assert told(tmp_path, "base: smoke\ntrials: {a: {flip: $x}}") == [
        "a: $x is not in the space, which is empty."
    ]


def test_seeds_share_all_but_the_seed():
    recipe = load_recipe("demo", ["seeds=1,2,3"])
    runs = {leaf.name: leaf.run for leaf in leaves_at(recipe, {})}
    for seed in (2, 3):
        first, other = runs["ngf.drop@s1"], runs[f"ngf.drop@s{seed}"]
        assert other == first.model_copy(update={"seed": seed})
        assert Run.model_validate(other.model_dump()) == other
        assert other.generator is first.generator, "validated once"


def told(tmp_path, text: str, *overrides: str) -> list[str]:
    """The lines of a refusal, without the file's name."""
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(BadRecipe) as caught:
        load_recipe(str(path), overrides)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("mine.yaml: ") for line in lines)
    return [line.removeprefix("mine.yaml: ") for line in lines]


EVERY_KIND = """
base: smoke
epochs: 6
flpi: 0.5
seeds: [1, -2, 1.5]
space:
  ngf: {low: 3, high: 2}
  "a/b": {low: 1, high: 2}
search: {pionts: 3}
trials:
  unknown: {schedule: {lambda_ngf: $nfg, lambda_bg: $bgg}}
  forks:
    batch: 0
    schedule:
      lambda_ngf: {0: 20, 3: {keep: 20, drop: {2: 0}}}
      lambda_bg: {0: {keep: 20, drop: 0}}
  late: {schedule: {lambda_ngf: {0: 20, 6: {keep: 20, same: 20}}}}
  later: {schedule: {lambda_ngf: {0: 20, 7: {keep: 20, drop: 0}}}}
  lost: {base: smoky, schedule: {lambda_ngf: {keep: 1, drop: 0}}}
  a.b: {}
"""


def test_mistakes_of_every_kind_are_told_at_once_and_the_exit_code_is_2(tmp_path, capsys):
    lines = told(tmp_path, EVERY_KIND, "epochs")
    expected = [
        "trials.a.b: a name holds letters, digits, - and _ only.",
        "'epochs': expected key=value",
        "space.ngf: low 3.0 is not below high 2.0",
        "space.a/b: a name holds letters, digits, - and _ only.",
        "search.pionts: ",
        "seeds: expected whole numbers as in 1,2,3, found [1, -2, 1.5]; none is below 0.",
        "unknown: $bgg is not in the space",
        "unknown: $nfg is not in the space",
        "forks: lambda_ngf: its first key is 2, expected 3.",
        "forks: lambda_bg: forks at 0; write two trials instead.",
        "forks, late, later: flpi: no such setting: did you mean flip?",
        "forks: batch: Input should be greater than or equal to 1",
        "lost: no preset 'smoky': did you mean smoke?",
        "lost: lambda_ngf: keys ['keep', 'drop'] mix names and epochs",
    ]
    for start in expected:
        assert sum(line.startswith(start) for line in lines) == 1, (start, lines)
    assert len(lines) == len(expected)
    assert main(["plan", str(tmp_path / "mine.yaml"), "epochs"]) == 2
    shown = capsys.readouterr().err
    assert all(start in shown for start in expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A key that is the end or lies after it, though every branch repeats the value before.
        (
            "{a: {schedule: {lambda_ngf: {0: 20, 6: {keep: 20, same: 20}}}}}",
            "a: schedule.lambda_ngf changes after 6 epochs, the run ends at 6",
        ),
        (
            "{a: {schedule: {lambda_ngf: {0: 20, 9: {keep: 20, drop: 0}}}}}",
            "a: schedule.lambda_ngf changes after 9 epochs, the run ends at 6",
        ),
        # Inside a branch, before its fork; inside a fork of a fork.
        (
            "{a: {schedule: {lambda_ngf: {0: 20, 3: {keep: 20, drop: {2: 5, 4: {x: 1, y: 2}}}}}}}",
            "a: lambda_ngf: its first key is 2, expected 3.",
        ),
        (
            "{a: {schedule: {lambda_ngf: {0: 9, 2: {on: {2: 9, 3: {x: 1, 4: 2}}}}}}}",
            "a: lambda_ngf: the fork at 3 needs a branch at least, with names",
        ),
        ("{}", "trials: expected a mapping of names to settings, found none."),
        ("[a, b]", "trials: expected a mapping of names to settings, found none."),
        ("{a: {schedule: 3}}", "a: schedule: expected a mapping of settings, found 3."),
    ],
)
def test_a_mistake_in_a_trial_is_told(tmp_path, text, expected):
    lines = told(tmp_path, f"base: smoke\nepochs: 6\ntrials: {text}\n")
    assert [line for line in lines if line.startswith(expected)], lines


def test_without_trials_other_mistakes_are_told_too(tmp_path):
    lines = told(tmp_path, "base: smoke\ntrails: {a: {}}\n")
    assert lines == [
        "trials: expected a mapping of names to settings, found none.",
        f"trails: no such setting{suggest('trails', fields_at([]))}",
    ]
    assert told(tmp_path, "base: smoky\ntrials: {}\n")[1].startswith("no preset 'smoky'")


@pytest.mark.parametrize(
    "text",
    [
        "trials: {a: {}, a: {}}",
        "trials: {a: {schedule: {lambda_ngf: {0: 20, 3: 1, 3: 2}}}}",
        "trials: {a: {schedule: {lambda_ngf: {0: 20, 3: {keep: 20, keep: 0}}}}}",
    ],
)
def test_a_key_written_twice_is_refused(tmp_path, text, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: smoke\nepochs: 6\n{text}\n")
    assert main(["plan", str(path)]) == 2
    assert "duplicate key" in capsys.readouterr().err


def test_a_name_that_becomes_a_key_written_beside_it_is_refused(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "base: smoke\nepochs: 9\nspace: {at: {low: 2, high: 4, step: 1}}\n"
        "search: {exhaust: [at], points: 1}\n"
        "trials: {a: {schedule: {lambda_ngf: {0: 20, $at: 5, 3: 1}}}}\n"
    )
    assert main(["plan", str(path)]) == 2
    message = capsys.readouterr().err
    assert "a-at3: of the keys 0, $at, 3 two are the same at at 3; keep their ranges apart." in (
        message
    )
    assert "a-at2" not in message


def test_an_exhausted_dimension_named_twice_is_refused(tmp_path):
    text = (
        "base: smoke\nepochs: 9\nspace: {at: {low: 2, high: 4, step: 1}}\n"
        "search: {exhaust: [at, at]}\ntrials: {a: {schedule: {lambda_ngf: {0: 20, $at: 5}}}}\n"
    )
    assert told(tmp_path, text) == ["search.exhaust: at is named twice."]


def test_a_section_that_is_none_can_be_told_by_an_override(tmp_path):
    text = "base: smoke\ntrials: {a: {seed: $s}}\nspace: {s: {low: 1, high: 9}}\nsearch: 3\n"
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert load_recipe(str(path), ["search.points=5"]).search.points == 5
    assert told(tmp_path, text)[0].startswith("search")


def test_leaves_of_a_recipe_have_names_of_their_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "base: smoke\nepochs: 9\nseeds: '1,2'\nspace: {at: {low: 3, high: 4, step: 1}}\n"
        "search: {exhaust: [at]}\n"
        "trials:\n"
        "  a: {schedule: {lambda_ngf: {0: 20, $at: {x: 1, y: {$at: 2, 6: {x: 1, y: 0}}}}}}\n"
        "  a-at3:\n"
        "    schedule: {lambda_ngf: {0: 2, 3: {x: 1, y: 0}}, lr_g: {0: 1, 3: {x: 2, z: 3}}}\n"
    )
    names = [leaf.name for leaf in leaves_at(load_recipe(str(path)), {})]
    assert len(names) == len(set(names)) == 2 * 2 * (3 + 4)
    assert "a-at3.y.x@s1" in names
    assert "a-at3-at3.x.z@s2" in names
