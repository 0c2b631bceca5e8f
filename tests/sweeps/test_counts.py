"""The shipped recipes' trees, shortened: as many epochs are trained as there are in the tree."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeps.courses import courses_of
from sweeps.engine import sweep, sweep_on_ray
from sweeps.plan import make_plan
from sweeps.recipe import load_recipe
from sweeps.runner import Where, connect, set_environment
from sweeps.session import run_sweep
from sweeps.store.store import Store
from sweeps.tree import Course, build_tree, unique_epochs
from tests.sweeps.small_sweep import counted_epochs, sweep_of
from tests.sweeps.toy import ends, straight, toy

RECIPES = ["thesis", "switch_off", "search_ngf"]


def courses_in(name: str) -> list[Course]:
    """Those of a shipped recipe (of a search, two points), each run once, ten epochs made one."""
    recipe = load_recipe(name)
    if recipe.space:
        recipe = replace(recipe, search=recipe.search.model_copy(update={"points": 2}))
    plan = make_plan(recipe)
    return [
        replace(
            course,
            epochs=tenth(course.epochs),
            steps=tuple((tenth(first), values) for first, values in course.steps),
        )
        for course in courses_of(plan.leaves, {})
        if course.name not in plan.same
    ]


def tenth(epochs: int) -> int:
    return math.ceil(epochs / 10)


def check(courses: list[Course], folder: Path) -> None:
    trained = (folder / "epochs.log").read_text().split()
    assert len(trained) == len(set(trained)) == unique_epochs(build_tree(courses))
    assert ends(tuple(courses), Store(str(folder))) == [straight(course) for course in courses]


@pytest.mark.parametrize("recipe", RECIPES)
def test_one_at_a_time_each_epoch_of_the_tree_is_trained_once(recipe, tmp_path):
    courses = courses_in(recipe)
    assert unique_epochs(build_tree(courses)) < sum(course.epochs for course in courses)
    sweep(courses, toy(tmp_path / "epochs.log"), Store(str(tmp_path)))
    check(courses, tmp_path)


def test_real_training_of_a_shortened_recipe_counts_the_same(tmp_path, phantom_data, tracking):
    trials = {name: shortened(trial) for name, trial in load_recipe("switch_off").trials.items()}
    small = sweep_of(tmp_path / "switch_off", phantom_data, trials)
    with counted_epochs() as trained:
        result = run_sweep(small, tracking, Where(here=True))
    assert len(trained) == result.unique_epochs == 4 + 2 + 2 + 2 + 4 + 2
    assert result.written_epochs == 6 * 4


def shortened(given: Any) -> Any:
    """A trial with twenty epochs made one, wherever epochs stand as keys."""
    if not isinstance(given, Mapping):
        return given
    return {
        math.ceil(key / 20) if isinstance(key, int) else key: shortened(value)
        for key, value in given.items()
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    set_environment()
    import ray

    connect("local", num_cpus=4)
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "slots"), [("switch_off", 1), *((recipe, 2) for recipe in RECIPES)]
)
def test_on_ray_each_epoch_of_the_tree_is_trained_once(recipe, slots, cluster, tmp_path):
    courses = courses_in(recipe)
    store = Store(str(tmp_path))
    log = tmp_path / "epochs.log"
    sweep_on_ray(courses, toy(log), store, folder=tmp_path / "ray", slots=slots)
    check(courses, tmp_path)
