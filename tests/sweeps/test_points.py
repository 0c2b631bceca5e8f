"""Points of a search: asked one by one, told when their leaves have ended, gone on with later."""

from pathlib import Path

import pytest

from pct.config import merge
from sweeps.job import Job, Outcome, write_outcome
from sweeps.points import Points, point_value
from sweeps.recipe import Recipe
from sweeps.space import Dimension, Search
from sweeps.sweep import Sweep, prepare_sweep
from tests.data_folder import SIZE

SPACE = {
    "ngf": Dimension(low=2, high=300, log=True),
    "switch": Dimension(low=1, high=3, step=1),
}
TRIAL = {"schedule": {"lambda_ngf": {0: "$ngf", "$switch": {"keep": "$ngf", "drop": 0}}}}
OBJECTIVES = ("val3d/mae_head", "val3d/edge_bone")


def search_of(folder: Path, data: Path, *, points: int) -> Sweep:
    search = Search(minimise=OBJECTIVES, points=points, exhaust=("switch",))
    settings = merge({"epochs": 4, "data": {"size": SIZE}}, {})
    recipe = Recipe("search", "smoke", settings, {"released": TRIAL}, (), SPACE, search)
    folder.mkdir(exist_ok=True)
    return prepare_sweep(recipe, data=data, folder=folder)


def unique_jobs(part: Sweep) -> list[Job]:
    return [job for job in part.jobs if part.same[job.leaf] == job.leaf]


def outcome_of(job: Job, mae: float, status: str = "FINISHED") -> Outcome:
    final = dict(zip(OBJECTIVES, (mae, 100.0), strict=True)) if status == "FINISHED" else {}
    return Outcome(
        leaf=job.leaf, status=status, reason="", key=job.key(job.run.epochs), last_stage="",
        epochs=4, best_epoch=4, best_value=20.0, seconds=1.0, final=final,
    )  # fmt: skip


def settle_all(points: Points, sweep: Sweep) -> list[str]:
    """Run the search with made-up outcomes: the weaker NGF, the better."""
    names = []
    while not points.exhausted:
        for job in points.more():
            ngf = dict(job.run.schedule.lambda_ngf)[0]
            write_outcome(job, outcome_of(job, mae=100 + ngf))
            names.append(job.leaf)
            points.settled(job.leaf)
    return names


def test_a_search_asks_its_points_tells_them_and_goes_on_with_more(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=3)
    points = Points(sweep, begin=unique_jobs)
    names = settle_all(points, sweep)
    # A point: 3 switches x {keep, drop}, of which keep is one run.
    assert len(names) == 3 * 4
    assert len(points.leaves) == 3 * 6
    more = search_of(tmp_path / "s", phantom_data, points=4)
    again = Points(more, begin=unique_jobs)
    assert [name[:3] for name in settle_all(again, more)] == ["p03"] * 4
    strengths = {leaf.point["ngf"] for leaf in again.leaves}
    assert len(strengths) == 4, "a new session must not ask for the first points again"
    assert all(2 <= strength <= 300 for strength in strengths)


def test_a_point_that_was_under_way_is_run_again_under_its_number(tmp_path, phantom_data):
    sweep = search_of(tmp_path / "s", phantom_data, points=1)
    first = [job.model_dump_json() for job in Points(sweep, begin=unique_jobs).more()]
    again = Points(sweep, begin=unique_jobs)
    assert again.anything
    assert [job.model_dump_json() for job in again.more()] == first
    assert not again.anything
    assert not again.exhausted


@pytest.mark.parametrize(("maes", "expected"), [([120.0, 90.0], 90.0), ([None, 150.0], 150.0)])
def test_a_points_value_is_that_of_its_best_finished_leaf(tmp_path, phantom_data, maes, expected):
    sweep = search_of(tmp_path / "s", phantom_data, points=1)
    jobs = Points(sweep, begin=unique_jobs).more()
    outcomes = [
        outcome_of(job, mae or 0.0, "FAILED" if mae is None else "FINISHED")
        for job, mae in zip(jobs, maes, strict=False)
    ]
    assert point_value(outcomes, OBJECTIVES) == [expected, 100.0]
    assert point_value([None], OBJECTIVES) is None
