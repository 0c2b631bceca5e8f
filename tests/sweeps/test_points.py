"""Points of a search: asked one by one, told when their leaves have ended, gone on with later."""

import math

import pandas as pd
import pytest

from sweeps.job import read_outcome, write_outcome
from sweeps.search.ask import next_point
from sweeps.search.space import Dimension, Search
from tests.sweeps.made_up import (
    OBJECTIVES,
    STRAIGHT,
    outcome_of,
    points_of,
    run,
    search_of,
    table_of,
    unfinished,
    weaker_is_better,
    weight,
)

PLANE = {
    "ngf": Dimension(low=2, high=300, log=True),
    "bg": Dimension(low=1, high=100, log=True),
}


def test_a_search_asks_its_points_tells_them_and_goes_on_with_more(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=3, exhaust=["switch"])
    names = run(sweep)
    # A point: 3 switches x {keep, drop}, of which keep is one run.
    assert len(names) == 3 * 4
    assert len(points_of(sweep).leaves) == 3 * 6
    more = search_of(tmp_path / "s", phantom_data, points=5, exhaust=["switch"])
    assert [name[:3] for name in run(more)] == ["p03"] * 4 + ["p04"] * 4
    strengths = {leaf.point["ngf"] for leaf in points_of(more).leaves}
    assert len(strengths) == 5, "a new session must not ask for the first points again"
    assert all(2 <= strength <= 300 for strength in strengths)


def test_each_call_opens_one_more_point_however_many_are_under_way(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=4)
    points = points_of(sweep)
    assert points.leaves == [], "nothing is asked before a worker would be idle"
    opened = []
    for number in range(4):
        assert points.anything
        assert not points.exhausted
        opened.append({job.leaf[:3] for job in points.more()})
        assert list(table_of(sweep)["state"]) == ["RUNNING"] * (number + 1)
    assert opened == [{"p00"}, {"p01"}, {"p02"}, {"p03"}]
    assert not points.anything
    assert points.more() == []
    assert not points.exhausted, "four points are under way"


def test_a_point_with_nothing_to_train_is_told_and_passed_over(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=2)
    for job in points_of(sweep).more():
        write_outcome(job, outcome_of(job, weaker_is_better(job)))
    points = points_of(sweep)
    assert {job.leaf[:3] for job in points.more()} == {"p01"}
    assert list(table_of(sweep)["state"]) == ["COMPLETE", "RUNNING"]


def test_a_point_that_was_under_way_is_run_again_under_its_number(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=1)
    first = [job.model_dump_json() for job in points_of(sweep).more()]
    again = points_of(sweep)
    assert again.anything
    assert [job.model_dump_json() for job in again.more()] == first
    assert not again.anything
    assert not again.exhausted


def test_a_smaller_budget_finishes_what_was_opened_and_asks_no_more(tmp_path, phantom_data):
    points = points_of(search_of(tmp_path / "s", phantom_data, points=4))
    for _ in range(3):
        points.more()
    less = search_of(tmp_path / "s", phantom_data, points=1)
    assert {name[:3] for name in run(less)} == {"p00", "p01", "p02"}
    assert list(table_of(less)["state"]) == ["COMPLETE"] * 3
    assert points_of(less).exhausted


def test_the_same_points_are_asked_in_one_session_and_in_two(tmp_path, phantom_data):
    """Of a sampler that does not look at outcomes; seeds go by the number of points."""
    settings = {"sampler": "random", "space": PLANE, "trials": {"a": STRAIGHT}}
    whole = search_of(tmp_path / "whole", phantom_data, points=5, **settings)
    run(whole)
    for points in (2, 5):
        parts = search_of(tmp_path / "parts", phantom_data, points=points, **settings)
        run(parts)
    pd.testing.assert_frame_equal(table_of(whole), table_of(parts))


def test_points_settle_in_any_order(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=3)
    points = points_of(sweep)
    jobs = [job for _ in range(3) for job in points.more()]
    for job in reversed(jobs):
        write_outcome(job, outcome_of(job, weaker_is_better(job)))
        points.settled(job.leaf)
    assert points.exhausted
    table = table_of(sweep)
    assert list(table["val3d/mae_head"]) == pytest.approx(list(100 + table["$ngf"]))


def test_a_point_none_of_whose_leaves_finished_has_failed_and_says_why(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=2, exhaust=["switch"])
    run(sweep, lambda job: None if job.leaf.startswith("p00") else weaker_is_better(job))
    first, second = table_of(sweep).to_dict("records")
    assert first["state"] == "FAIL"
    assert pd.isna(first["leaf"])
    assert "p00-released-switch1.keep: loss/g is nan" in first["reason"]
    assert math.isnan(first["val3d/mae_head"])
    assert (second["state"], second["on_front"], second["reason"]) == ("COMPLETE", True, "")


def test_leaves_that_failed_do_not_count(tmp_path, phantom_data):
    def only_the_last_switch(job):
        return weaker_is_better(job) if "switch3.drop" in job.leaf else None

    sweep = search_of(tmp_path / "s", phantom_data, points=1, exhaust=["switch"])
    run(sweep, only_the_last_switch)
    (row,) = table_of(sweep).to_dict("records")
    assert row["state"] == "COMPLETE"
    assert (row["leaf"], row["$switch"]) == ("p00-released-switch3.drop", 3)


def test_after_40_points_tpe_has_learnt_what_random_points_do_not_know(tmp_path, phantom_data):
    """A bowl around ngf 20, bg 5: the study is told its values, or it could not find the middle."""

    def off(ngf: float, bg: float) -> float:
        return math.log(ngf / 20) ** 2 + math.log(bg / 5) ** 2

    def score(job):
        return {"val3d/mae_head": 100 + off(weight(job), weight(job, "lambda_bg"))}

    settings = {"space": PLANE, "trials": {"a": STRAIGHT}, "minimise": OBJECTIVES[:1]}
    sweep = search_of(tmp_path / "s", phantom_data, points=40, **settings)
    run(sweep, score)
    found = table_of(sweep)["val3d/mae_head"]
    best_of_random = []
    for seed in range(1, 10):
        search, trials = Search(sampler="random", points=40, seed=seed), []
        for _ in range(40):
            trials.append(next_point(PLANE, search, trials))
        best_of_random.append(100 + min(off(**trial.params) for trial in trials))
    assert found.min() < sorted(best_of_random)[4]
    assert found[30:].median() < found[:10].median()


def test_a_front_of_two_aims_and_a_constraint_is_the_one_found_by_hand(tmp_path, phantom_data):
    def score(job):
        ngf = math.log(weight(job) / 20)
        bg = math.log(weight(job, "lambda_bg") / 5)
        return {
            "val3d/mae_head": 100 + (ngf - 1) ** 2 + bg**2,
            "val3d/ssim_masked": 0.9 - 0.1 * (ngf + 1) ** 2,
            "val3d/mr_leak": 0.1 * abs(bg),
        }

    sweep = search_of(
        tmp_path / "s", phantom_data, points=20, space=PLANE, trials={"a": STRAIGHT},
        minimise=["val3d/mae_head"], maximise=["val3d/ssim_masked"],
        constrain={"val3d/mr_leak": 0.15},
    )  # fmt: skip
    run(sweep, score)
    table = table_of(sweep)
    metrics = ["val3d/mae_head", "val3d/ssim_masked", "val3d/mr_leak"]
    rows = list(table[metrics].itertuples(index=False, name=None))
    expected = [
        leak <= 0.15
        and not any(
            m <= mae and s >= ssim and (m, s) != (mae, ssim) and other <= 0.15
            for m, s, other in rows
        )
        for mae, ssim, leak in rows
    ]
    assert list(table["on_front"]) == expected
    assert 1 < sum(expected) < 20
    beyond = table[~table["feasible"].astype(bool)]
    assert len(beyond)
    assert beyond["reason"].str.fullmatch(r"val3d/mr_leak [\d.]+ is above 0.15").all()
    assert (beyond["val3d/mr_leak"] > 0.15).all()


def test_a_leaf_within_the_constraint_is_better_than_any_beyond_it(tmp_path, phantom_data):
    def score(job):
        dropped = ".drop" in job.leaf
        return {
            "val3d/mae_head": 120.0 if dropped else 90.0,
            "val3d/edge_bone": 100.0,
            "val3d/mr_leak": 0.1 if dropped else 0.3,
        }

    sweep = search_of(
        tmp_path / "s", phantom_data, points=1, exhaust=["switch"], constrain={"val3d/mr_leak": 0.2}
    )
    run(sweep, score)
    (row,) = table_of(sweep).to_dict("records")
    assert row["leaf"].endswith(".drop")
    assert (row["val3d/mae_head"], row["feasible"]) == (120.0, True)


def test_a_leaf_that_failed_is_trained_again_with_its_point(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=1)
    jobs = points_of(sweep).more()
    write_outcome(jobs[0], outcome_of(jobs[0], None))
    assert read_outcome(jobs[0]).status == "FAILED"
    assert [job.leaf for job in points_of(sweep).more()] == [job.leaf for job in jobs]
    assert len(unfinished(sweep.of(points_of(sweep).leaves))) == len(jobs)


def test_a_point_none_of_whose_leaves_finished_is_tried_again_and_then_told(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=2, exhaust=["switch"])
    run(sweep, lambda job: None if job.leaf.startswith("p00") else weaker_is_better(job))
    again = run(sweep)
    assert {name[:3] for name in again} == {"p00"}
    assert list(table_of(sweep)["state"]) == ["COMPLETE", "COMPLETE"]
    assert run(sweep) == []


def test_a_leaf_that_broke_off_is_tried_again_and_its_points_value_stays(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=1, exhaust=["switch"])
    run(sweep, lambda job: None if job.leaf.endswith("switch2.drop") else weaker_is_better(job))
    before = table_of(sweep)
    assert run(sweep) == ["p00-released-switch2.drop"]
    pd.testing.assert_frame_equal(table_of(sweep), before)
    assert run(sweep) == []


def test_a_point_without_a_finite_value_is_not_tried_again(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=1)
    names = run(sweep, lambda job: {**weaker_is_better(job), "val3d/edge_bone": math.nan})
    assert table_of(sweep)["state"].tolist() == ["FAIL"]
    assert names
    assert run(sweep) == []
