"""A made-up search: points.parquet and study.db as the sweep itself writes them."""

from pathlib import Path

import numpy as np

from sweeps.search.ask import next_point
from sweeps.search.front import write_points
from sweeps.search.judge import Verdict
from sweeps.search.space import Dimension, Search
from sweeps.search.study import Study, facts_of

SPACE = {
    "ngf": Dimension(low=2, high=300, log=True),
    "bg": Dimension(low=0, high=10),
}
SEARCH = Search(
    sampler="random", minimise=("val3d/mae_head",), maximise=("val3d/ssim",),
    constrain={"val3d/mr_leak": 0.2},
)  # fmt: skip


def write_search(folder: Path, *, num_points: int) -> None:
    """Points whose error depends on `ngf` alone; the last one is beyond its constraint."""
    study = Study(
        folder / "study.db", name="made-up", search=SEARCH, facts=facts_of(SEARCH, SPACE, runs="x")
    )
    for number in range(num_points):
        study.open(next_point(SPACE, SEARCH, study.trials()))
        point = study.trials()[number].params
        error = 100 + 40 * abs(np.log(point["ngf"] / 20))
        values = {
            "val3d/mae_head": float(error), "val3d/ssim": float(0.9 - error / 1000),
            "val3d/mr_leak": 0.3 if number == num_points - 1 else 0.1,
        }  # fmt: skip
        study.tell(number, Verdict(f"p{number:02d}-a", values), point, SEARCH)
    write_points(folder, study.trials(), SEARCH)
