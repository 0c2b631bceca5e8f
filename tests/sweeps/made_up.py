"""Searches on made-up outcomes: a leaf's scores are a formula of its point, nothing is trained."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from sweeps.job import Job, Outcome, read_outcome, write_outcome
from sweeps.recipe import Recipe
from sweeps.search.points import Points
from sweeps.search.space import Dimension, Search
from sweeps.sweep import Sweep, prepare_sweep
from tests.data_folder import SIZE

SPACE = {
    "ngf": Dimension(low=2, high=300, log=True),
    "switch": Dimension(low=1, high=3, step=1),
}
TRIAL = {"schedule": {"lambda_ngf": {0: "$ngf", "$switch": {"keep": "$ngf", "drop": 0}}}}
STRAIGHT = {"schedule": {"lambda_ngf": "$ngf", "lambda_bg": "$bg"}}
OBJECTIVES = ("val3d/mae_head", "val3d/edge_bone")

Score = Callable[[Job], dict[str, float] | None]


def search_of(
    folder: Path, data: Path, *, space=SPACE, trials=None, epochs=4, name="search", **settings
) -> Sweep:
    """A sweep whose search has these settings; its points are `released` leaves."""
    settings = {"minimise": OBJECTIVES, **settings}
    common = {"epochs": epochs, "data": {"size": SIZE}}
    trials = trials or {"released": TRIAL}
    search = Search.model_validate(settings)
    recipe = Recipe(name, "smoke", common, trials, (), space, search)
    folder.mkdir(exist_ok=True)
    return prepare_sweep(recipe, data=data, folder=folder)


def unfinished(part: Sweep) -> list[Job]:
    """What `pct sweep` would train of a point."""
    return [
        job
        for job in part.jobs
        if part.same[job.leaf] == job.leaf
        and not ((found := read_outcome(job)) and found.status == "FINISHED")
    ]


def points_of(sweep: Sweep) -> Points:
    return Points(sweep, begin=unfinished)


def outcome_of(job: Job, final: dict[str, float] | None, *, epochs: int = 4) -> Outcome:
    """Finished with these scores, or failed without any."""
    return Outcome(
        leaf=job.leaf, status="FAILED" if final is None else "FINISHED",
        reason="loss/g is nan" if final is None else "", key=job.key(job.run.epochs),
        last_stage="", epochs=epochs, best_epoch=4, best_value=20.0, seconds=1.0, final=final or {},
    )  # fmt: skip


def weight(job: Job, name: str = "lambda_ngf") -> float:
    """What a leaf's schedule begins with."""
    return dict(getattr(job.run.schedule, name))[0]


def weaker_is_better(job: Job) -> dict[str, float]:
    return {"val3d/mae_head": 100 + weight(job), "val3d/edge_bone": 100.0}


def run(sweep: Sweep, score: Score = weaker_is_better) -> list[str]:
    """Run the search one leaf after the other; the leaves in their order."""
    points, names = points_of(sweep), []
    while jobs := points.more():
        for job in jobs:
            write_outcome(job, outcome_of(job, score(job)))
            names.append(job.leaf)
            points.settled(job.leaf)
    assert points.exhausted
    return names


def table_of(sweep: Sweep) -> pd.DataFrame:
    return pd.read_parquet(sweep.folder / "points.parquet").set_index("point")
