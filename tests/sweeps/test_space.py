"""The search space, and filling its values into trials."""

import pytest
from pydantic import ValidationError

from sweeps.recipe import leaves_at, load_recipe
from sweeps.search.space import (
    Dimension,
    SameKey,
    Search,
    budget,
    exhausted,
    fill,
    grid_point,
    names_in,
    size,
    sketch_point,
)


def test_a_stepped_dimension_holds_both_ends():
    assert Dimension(low=20, high=60, step=10).values() == [20, 30, 40, 50, 60]
    assert Dimension(low=0, high=0.3, step=0.1).values() == [0, 0.1, 0.2, 0.3]
    assert Dimension(low=0, high=10, step=4).values() == [0, 4, 8]
    assert all(isinstance(v, int) for v in Dimension(low=20, high=60, step=10).values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 2, "high": 2}, "low 2.0 is not below high 2.0"),
        ({"low": 0, "high": 2, "log": True}, "log needs low above 0"),
        ({"low": 1, "high": 2, "log": True, "step": 0.1}, "log needs low above 0 and no step"),
        ({"low": 1, "high": 2, "step": 0}, "greater than 0"),
    ],
)
def test_a_dimension_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Dimension.model_validate(settings)


def test_values_fill_keys_and_values_at_any_depth():
    trial = {
        "schedule": {"lambda_ngf": {0: "$ngf", "$switch": {"keep": "$ngf", "drop": 0}}},
        "list": ["$switch", "plain"],
    }
    assert fill(trial, {"ngf": 3.5, "switch": 40}) == {
        "schedule": {"lambda_ngf": {0: 3.5, 40: {"keep": 3.5, "drop": 0}}},
        "list": [40, "plain"],
    }


def test_an_unknown_name_is_an_error_that_names_it():
    with pytest.raises(KeyError, match="nfg"):
        fill({"a": "$nfg"}, {"ngf": 1})


def test_names_that_become_one_key_are_an_error_with_the_keys_and_the_point():
    assert fill({0: 1, "$a": 2, 40: 3}, {"a": 30}) == {0: 1, 30: 2, 40: 3}
    with pytest.raises(SameKey, match=r"of the keys 0, \$a, 40 two are the same at a 40"):
        fill({"deep": [{0: 1, "$a": 2, 40: 3}]}, {"a": 40})


def test_names_are_found_at_any_depth_each_once():
    assert names_in({"x": {0: "$b", "$a": ["$b", "plain", 3]}, "$c": None}) == ["c", "a", "b"]


def test_exhausted_dimensions_are_crossed():
    space = {
        "a": Dimension(low=1, high=2, step=1),
        "b": Dimension(low=0, high=9),
        "c": Dimension(low=5, high=6, step=1),
    }
    assert exhausted(space, Search()) == [{}]
    assert exhausted(space, Search(exhaust=("a", "c"))) == [
        {"a": 1, "c": 5},
        {"a": 1, "c": 6},
        {"a": 2, "c": 5},
        {"a": 2, "c": 6},
    ]


def test_stand_in_points_lie_inside_the_space_and_differ():
    recipe = load_recipe("search_ngf")
    points = [sketch_point(recipe.space, recipe.search, index) for index in range(12)]
    assert len({tuple(point.items()) for point in points}) == 12
    for point in points:
        assert point.keys() == {"ngf", "alpha", "bg"}
        assert all(recipe.space[k].low <= v <= recipe.space[k].high for k, v in point.items())


def test_stand_in_points_of_a_stepped_space_are_its_points():
    space = {"a": Dimension(low=0, high=0.3, step=0.1), "b": Dimension(low=1, high=3, step=1)}
    search = Search(sampler="grid")
    points = [sketch_point(space, search, index) for index in range(size(space, search))]
    assert points == [{"a": a, "b": b} for a in (0, 0.1, 0.2, 0.3) for b in (1, 2, 3)]
    assert sketch_point(space, search, 12) == points[0]


def test_a_space_of_steps_beyond_counting_is_not_listed():
    space = {f"d{n}": Dimension(low=0, high=999, step=1) for n in range(12)}
    search = Search(points=5)
    assert size(space, search) == 10**36
    assert budget(space, search) == 5
    assert grid_point(space, search, 10**36 - 1) == dict.fromkeys(space, 999)


def test_the_search_for_the_ngf_weight_watches_how_far_the_mr_leaks():
    search = load_recipe("search_ngf").search
    assert search.constrain == {"val3d/mr_leak": 0.2}
    assert search.objectives == ("val3d/mae_head", "val3d/edge_bone")


def test_the_search_for_the_ngf_weight_runs_every_switch_at_each_point():
    leaves = leaves_at(load_recipe("search_ngf"), {"ngf": 50.0, "alpha": 0.1, "bg": 3.0})
    assert [leaf.name for leaf in leaves] == [
        f"released-switch{at}.{way}" for at in (20, 30, 40, 50, 60) for way in ("keep", "drop")
    ]
    for leaf in leaves:
        schedule = leaf.run.schedule
        assert schedule.ngf_alpha == ((0, 0.1),)
        assert schedule.lambda_bg == ((0, 3.0),)
        switch = leaf.point["switch"]
        dropped = ((0, 50.0), (switch, 0.0))
        assert schedule.lambda_ngf == (((0, 50.0),) if leaf.name.endswith("keep") else dropped)
