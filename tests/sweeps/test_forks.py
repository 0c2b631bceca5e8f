"""Schedules that fork: which straight runs they stand for."""

import pytest

from sweeps.forks import BadFork, straighten


def ways(**schedules) -> dict[str, dict[str, dict[int, object]]]:
    found = straighten(schedules)
    assert len({straight.name for straight in found}) == len(found)
    return {straight.name: straight.schedules for straight in found}


def test_without_a_fork_there_is_one_way_without_a_name():
    assert ways(lambda_ngf={0: 20, 40: 0}, lr_g=2e-4) == {
        "": {"lambda_ngf": {0: 20, 40: 0}, "lr_g": {0: 2e-4}}
    }


def test_no_schedule_at_all_is_one_way():
    assert ways() == {"": {}}


def test_a_fork_goes_on_in_named_ways_in_the_order_written():
    found = ways(lambda_ngf={0: 20, 40: {"keep": 20, "drop": 0}})
    assert list(found) == ["keep", "drop"]
    assert found["keep"] == {"lambda_ngf": {0: 20, 40: 20}}
    assert found["drop"] == {"lambda_ngf": {0: 20, 40: 0}}


def test_a_branch_may_fork_again_and_its_names_join_by_a_dot():
    drop = {40: 0, 55: {"back": 20, "stay": 0}}
    found = ways(lambda_ngf={0: 20, 40: {"keep": 20, "drop": drop}})
    assert found == {
        "keep": {"lambda_ngf": {0: 20, 40: 20}},
        "drop.back": {"lambda_ngf": {0: 20, 40: 0, 55: 20}},
        "drop.stay": {"lambda_ngf": {0: 20, 40: 0, 55: 0}},
    }


def test_a_branch_may_go_on_without_a_fork():
    found = ways(lambda_ngf={0: 20, 40: {"keep": 20, "fade": {40: 10, 50: 5, 60: 0}}})
    assert found["fade"] == {"lambda_ngf": {0: 20, 40: 10, 50: 5, 60: 0}}


def test_forks_of_equal_names_at_one_epoch_are_one_fork():
    found = ways(
        lambda_ngf={0: 20, 40: {"keep": 20, "drop": 0}},
        lr_g={0: 2e-4, 40: {"keep": 2e-4, "drop": 1e-4}},
    )
    assert found == {
        "keep": {"lambda_ngf": {0: 20, 40: 20}, "lr_g": {0: 2e-4, 40: 2e-4}},
        "drop": {"lambda_ngf": {0: 20, 40: 0}, "lr_g": {0: 2e-4, 40: 1e-4}},
    }


def test_forks_of_other_names_at_one_epoch_make_the_product_of_their_branches():
    found = ways(
        lambda_ngf={0: 20, 40: {"keep": 20, "drop": 0}},
        fork_restore={0: "full", 40: {"full": "full", "weights": "weights"}},
        lambda_bg=10,
    )
    assert list(found) == ["keep.full", "keep.weights", "drop.full", "drop.weights"]
    assert found["drop.weights"] == {
        "lambda_ngf": {0: 20, 40: 0},
        "fork_restore": {0: "full", 40: "weights"},
        "lambda_bg": {0: 10},
    }


def test_forks_at_two_epochs_cross_the_earlier_one_first():
    found = ways(
        lr_g={0: 2, 60: {"fast": 2, "slow": 1}}, lambda_ngf={0: 20, 40: {"keep": 20, "drop": 0}}
    )
    assert list(found) == ["keep.fast", "keep.slow", "drop.fast", "drop.slow"]
    assert found["drop.slow"] == {"lr_g": {0: 2, 60: 1}, "lambda_ngf": {0: 20, 40: 0}}


def test_values_between_forks_belong_to_every_branch_after_them():
    found = ways(lambda_ngf={0: 5, 10: 20, 40: {"keep": 20, "drop": 0}})
    assert {tuple(s["lambda_ngf"].items())[:2] for s in found.values()} == {((0, 5), (10, 20))}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {0: 20, 40: {"keep": 20, "drop": 0}, 50: 3},
            r"50 comes after the fork at 40; write later ",
        ),
        ({0: 20, 40: {"a": 1, "b": 2}, 50: {"a": 1, "b": 2}}, "50 comes after the fork at 40"),
        ({0: {"keep": 20, "drop": 0}}, "forks at 0; write two trials instead"),
        ({"keep": 20, "drop": 0}, r"keys \['keep', 'drop'\] mix names and epochs; a fork needs an"),
        ({0: 20, "drop": 0}, "mix names and epochs"),
        ({True: 20}, "mix names and epochs"),
        ({5: 20}, "its first key is 5, expected 0"),
        ({}, "its first key is missing, expected 0"),
        ({0: 20, 40: {"keep": 20, "drop": {50: 0}}}, "its first key is 50, expected 40"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_schedules_name(given, message):
    with pytest.raises(BadFork, match=message) as caught:
        straighten({"lambda_ngf": given})
    assert str(caught.value).startswith("lambda_ngf: ")


def test_a_fork_whose_branches_are_numbers_is_refused():
    with pytest.raises(BadFork, match="name"):
        straighten({"lambda_ngf": {0: 20, 40: {40: 0, 50: 20}}})


def test_a_fork_without_branches_is_refused():
    with pytest.raises(BadFork, match="branch"):
        straighten({"lambda_ngf": {0: 20, 40: {}}})


def test_forks_of_equal_names_in_another_order_are_one_fork():
    found = ways(
        lambda_ngf={0: 20, 40: {"keep": 20, "drop": 0}},
        lr_g={0: 2, 40: {"drop": 1, "keep": 2}},
    )
    assert found == {
        "keep": {"lambda_ngf": {0: 20, 40: 20}, "lr_g": {0: 2, 40: 2}},
        "drop": {"lambda_ngf": {0: 20, 40: 0}, "lr_g": {0: 2, 40: 1}},
    }


def test_forks_that_share_some_names_make_the_product_with_names_of_its_own():
    found = ways(
        lambda_ngf={0: 20, 40: {"keep": 20, "drop": 0}}, lr_g={0: 2, 40: {"keep": 2, "slow": 1}}
    )
    assert list(found) == ["keep.keep", "keep.slow", "drop.keep", "drop.slow"]


def test_a_branch_may_fork_at_once_and_a_fork_of_a_fork_of_a_fork_keeps_its_way():
    deep = {4: 1, 6: {"a": 2, "b": {6: {"c": 3, "d": {6: 4, 8: {"e": 5, "f": 6}}}}}}
    found = ways(lambda_ngf={0: 0, 4: {"x": deep, "y": 9}})
    assert found == {
        "x.a": {"lambda_ngf": {0: 0, 4: 1, 6: 2}},
        "x.b.c": {"lambda_ngf": {0: 0, 4: 1, 6: 3}},
        "x.b.d.e": {"lambda_ngf": {0: 0, 4: 1, 6: 4, 8: 5}},
        "x.b.d.f": {"lambda_ngf": {0: 0, 4: 1, 6: 4, 8: 6}},
        "y": {"lambda_ngf": {0: 0, 4: 9}},
    }


def test_every_schedule_that_makes_no_sense_is_told():
    with pytest.raises(BadFork) as caught:
        straighten({"lambda_ngf": {5: 1}, "lr_g": 2, "lambda_bg": {0: {"a": 1}}})
    assert str(caught.value).splitlines() == [
        "lambda_ngf: its first key is 5, expected 0.",
        "lambda_bg: forks at 0; write two trials instead.",
    ]
