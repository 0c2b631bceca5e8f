"""Plans in numbers and as a picture of text."""

import json
import time

import pytest

from pct.__main__ import main
from sweeps.plan import as_json, draw, headline, longest_chain, make_plan, savings, span
from sweeps.recipe import load_recipe


def plan_of(name: str, *overrides: str):
    return make_plan(load_recipe(name, overrides))


def test_the_thesis_counts_as_its_plan_says():
    assert headline(plan_of("thesis")) == (
        "5 trials: 350-480 epochs written, 240-370 to train, 8 stages"
        "       (exp4 stops by itself: 70 to 200)"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Two trunks of 40, one with 4 branches of 30, one with 2.
        ("switch_off", "6 trials: 420 epochs written, 260 to train, 10 stages"),
        # Each arm has 2 epochs of warm-up and 68 after it, and shares nothing.
        ("controls", "4 trials: 280 epochs written, 280 to train, 8 stages"),
        ("forms", "9 trials: 630 epochs written, 630 to train, 18 stages"),
        ("demo", "3 trials: 18 epochs written, 15 to train, 4 stages"),
        # Each of 12 points: keep 70 epochs, drop at s another 70 - s for s in 20, 30, ..., 60.
        (
            "search_ngf",
            f"120 trials: {120 * 70} epochs written, {12 * (70 + 150)} to train, 144 stages",
        ),
    ],
)
def test_a_shipped_recipe_counts_as_by_hand(name, expected):
    assert headline(plan_of(name)) == expected


def test_seeds_share_nothing():
    one, three = plan_of("thesis", "seeds=1"), plan_of("thesis", "seeds=1,2,3")
    assert three.epochs_written == tuple(3 * n for n in one.epochs_written) == (1050, 1440)
    assert three.epochs_to_train == tuple(3 * n for n in one.epochs_to_train) == (720, 1110)
    assert len(three.leaves) == 15


def test_longer_first_experiment_shares_its_trunk_all_the_same():
    assert plan_of("thesis", "exp1.epochs=90").epochs_to_train == (260, 390)


def test_the_same_run_under_two_names_is_said():
    plan = plan_of("thesis")
    assert plan.same == {"exp3.keep": "exp1"}
    assert draw(plan)[-1] == "exp3.keep is the same run as exp1"


def test_the_picture_shows_epochs_what_is_new_and_who_passes():
    lines = [" ".join(line.split()) for line in draw(plan_of("demo"))]
    assert lines == [
        "1-6 lambda_ngf 0 never",
        "1-3 lambda_ngf 20 ngf.keep, ngf.drop",
        "├─ 4-6 as before ngf.keep",
        "└─ 4-6 lambda_ngf 0 ngf.drop",
    ]
    assert "1-2 warm-up, lambda_ngf 20 exp1, exp3.keep, exp3.drop" in [
        " ".join(line.split()) for line in draw(plan_of("thesis"))
    ]


def test_a_plan_for_programs_says_the_same(capsys):
    assert main(["plan", "thesis", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(json.dumps(as_json(plan_of("thesis"))))
    assert found["num_stages"] == 8
    assert found["epochs_to_train"] == [240, 370]
    assert [t["name"] for t in found["trials"]] == [
        "exp1",
        "exp2",
        "exp3.keep",
        "exp3.drop",
        "exp4",
    ]
    assert found["trials"][2]["same_as"] == "exp1"
    assert sum(s["last"] - s["first"] + 1 for s in found["stages"]) == 370


def test_patience_bounds_what_a_trial_may_cost():
    plan = plan_of("thesis", "exp4.stop.after=100")
    assert plan.epochs_to_train == (270, 370)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demo", "17% of the epochs saved, 1.20x fewer; longest chain: 6 epochs, never"),
        # 480 written and 370 to train, or 350 and 240; exp4 ends after 70 to 200.
        (
            "thesis",
            "23-31% of the epochs saved, 1.30-1.46x fewer; longest chain: 70-200 epochs, exp4",
        ),
        ("forms", "0% of the epochs saved, 1.00x fewer; longest chain: 70 epochs, as_it_is"),
    ],
)
def test_what_sharing_saves_is_told(name, expected):
    assert savings(plan_of(name)) == expected


def test_the_longest_chain_is_bounded_by_whoever_may_stop_last():
    assert longest_chain(plan_of("thesis", "exp4.stop.after=50")) == ((70, 200), "exp4")
    assert longest_chain(plan_of("thesis", "exp1.epochs=300")) == ((300, 300), "exp1")


def test_a_span_is_one_number_where_both_read_alike():
    assert span((3, 3)) == "3"
    assert span((0.231, 0.234), ".0%") == "23%"
    assert span((0.2, 0.34), ".0%") == "20-34%"


def test_a_large_tree_is_cut_for_people_and_whole_for_programs(capsys):
    plan = plan_of("search_ngf", "search.points=40")
    lines = draw(plan, most=7)
    assert lines[:7] == draw(plan, most=10**6)[:7]
    assert lines[7] == "... and 473 more stages; --json tells all"  # 40 points of 12 stages
    assert lines[8] == "p00-released-switch30.keep is the same run as p00-released-switch20.keep"
    assert len(as_json(plan)["stages"]) == 480
    assert main(["plan", "search_ngf", "search.points=40"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 100 + 1 + 6


def test_a_plan_of_thousands_of_leaves_takes_well_below_a_millisecond_for_each():
    began = time.process_time()
    plan = plan_of("search_ngf", "search.points=300")
    assert len(plan.leaves) == 3000
    assert time.process_time() - began < 1.5, "0.1 ms a leaf where nothing else runs"
