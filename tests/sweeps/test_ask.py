"""Which point comes next: by sampler, never one that was asked."""

import optuna
import pytest

from sweeps.search.ask import distributions, next_point
from sweeps.search.space import Dimension, Search, budget, grid_point, size

GRID = {
    "a": Dimension(low=0, high=0.3, step=0.1),
    "b": Dimension(low=1, high=3, step=1),
    "c": Dimension(low=10, high=20, step=10),
}
WHOLE = {(a, b, c) for a in (0, 0.1, 0.2, 0.3) for b in (1, 2, 3) for c in (10, 20)}


def asked(space, search, *, trials=None) -> list[optuna.trial.FrozenTrial]:
    trials = list(trials or [])
    while len(trials) < budget(space, search):
        trials.append(next_point(space, search, trials))
    return trials


def params_of(trials) -> list[tuple]:
    return [tuple(trial.params.values()) for trial in trials]


def test_a_grid_is_asked_whole_and_each_point_once():
    trials = asked(GRID, Search(sampler="grid"))
    assert len(trials) == len(WHOLE) == 24
    assert set(params_of(trials)) == WHOLE, "and 0.3 is 0.3, not three times 0.1 in binary"


def test_a_grid_asked_in_two_sessions_is_the_same_grid():
    part = asked(GRID, Search(sampler="grid", points=7, seed=3))
    assert len(part) == 7
    whole = asked(GRID, Search(sampler="grid", seed=8), trials=part)
    assert sorted(params_of(whole)) == sorted(WHOLE)


def test_a_grid_cut_short_sees_every_value():
    cut = params_of(asked(GRID, Search(sampler="grid", points=12)))
    assert len(set(cut)) == 12
    assert [len({point[at] for point in cut}) for at in range(3)] == [4, 3, 2]


def test_an_exhausted_dimension_is_not_in_the_grid():
    trials = asked(GRID, Search(sampler="grid", exhaust=("a", "c")))
    assert sorted(params_of(trials)) == [(1,), (2,), (3,)]


def test_a_search_with_nothing_left_to_sample_has_one_point():
    assert params_of(asked(GRID, Search(exhaust=("a", "b", "c")))) == [()]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sampler_in_a_stepped_space_never_repeats_a_point_and_ends_with_the_last(sampler):
    trials = asked(GRID, Search(sampler=sampler, points=100))
    assert len(trials) == 24
    assert set(params_of(trials)) == WHOLE


def told(trial, number, value, *, leak=None) -> optuna.trial.FrozenTrial:
    verdict = {"values": {"val3d/mae_head": value, "val3d/mr_leak": leak}}
    return optuna.trial.create_trial(
        params=trial.params,
        distributions=trial.distributions,
        values=[value],
        user_attrs={"pct.verdict": verdict},
    )


def searched(search, value, leak, *, points: int) -> list[float]:
    """The values of x that are asked when each point is told before the next is asked."""
    space, trials = {"x": Dimension(low=0, high=1)}, []
    for number in range(points):
        trial = next_point(space, search, trials)
        x = trial.params["x"]
        trials.append(told(trial, number, value(x), leak=leak(x)))
    return [trial.params["x"] for trial in trials]


def test_tpe_keeps_away_from_points_beyond_the_constraint():
    """The lower x the better, but below 0.5 the MR leaks."""
    free = Search(points=40)
    bound = free.model_copy(update={"constrain": {"val3d/mr_leak": 0.2}})
    leak = lambda x: 0.4 - 0.4 * x  # noqa: E731
    unaware, aware = (searched(s, lambda x: x, leak, points=40)[20:] for s in (free, bound))
    assert sum(x < 0.5 for x in unaware) >= 18
    assert sum(x >= 0.5 for x in aware) >= 12


def test_tpe_climbs_where_it_is_told_to_maximise():
    up = Search.model_validate({"maximise": ["val3d/mae_head"]})
    points = searched(up, lambda x: x, lambda x: 0.0, points=30)[15:]
    assert sum(x > 0.7 for x in points) >= 12


def test_points_under_way_are_kept_away_from():
    """Ten asked at once by a TPE that knows twelve: without liars they lie within about 0.1."""
    space, search = {"x": Dimension(low=0, high=1)}, Search(points=30)
    trials = []
    for number in range(12):
        trial = next_point(space, search, trials)
        trials.append(told(trial, number, (trial.params["x"] - 0.5) ** 2))
    for _ in range(10):
        trials.append(next_point(space, search, trials))
    under_way = [trial.params["x"] for trial in trials[12:]]
    assert max(under_way) - min(under_way) > 0.4
    assert {trial.state.name for trial in trials[12:]} == {"RUNNING"}


def test_every_grid_point_lies_in_what_optuna_may_sample():
    search = Search(sampler="grid")
    found = distributions(GRID, search)
    for index in range(size(GRID, search)):
        for name, value in grid_point(GRID, search, index).items():
            assert found[name]._contains(found[name].to_internal_repr(value)), (name, value)


def test_a_range_that_its_step_does_not_divide_ends_with_its_last_value():
    found = distributions({"x": Dimension(low=0, high=10, step=4)}, Search())
    assert found == {"x": optuna.distributions.IntDistribution(0, 8, step=4)}
