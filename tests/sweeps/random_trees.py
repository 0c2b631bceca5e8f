"""Random sweeps of tiny runs: leaves that share beginnings in every way."""

import random
from collections.abc import Sequence

from pct.config import Run
from sweeps.courses import courses_of, identity
from sweeps.job import Job
from sweeps.recipe import Leaf
from sweeps.stages import snapshots
from sweeps.tree import build_tree, paths_of
from tests.tiny import tiny_run

EPOCHS = 8


def random_steps(rng: random.Random) -> dict[int, int]:
    """A schedule of few values and few keys, so that runs often agree for a while."""
    keys = sorted(rng.sample(range(1, EPOCHS - 3), rng.randint(0, 2)))
    return {0: rng.randint(0, 1), **{key: rng.randint(0, 1) for key in keys}}


def random_run(rng: random.Random) -> Run:
    return tiny_run(
        epochs=rng.randint(EPOCHS - 3, EPOCHS),
        seed=rng.choice([1, 1, 1, 2]),
        warmup_epochs=rng.choice([0, 0, 0, 2]),
        schedule={"lambda_ngf": random_steps(rng), "lambda_bg": random_steps(rng)},
    )


def random_leaves(rng: random.Random, *, most: int = 8) -> list[Leaf]:
    """Distinct runs, named a, b, ..."""
    runs: list[Run] = []
    for _ in range(rng.randint(1, most)):
        run = random_run(rng)
        if run not in runs:
            runs.append(run)
    return [Leaf(chr(ord("a") + index), run, {}) for index, run in enumerate(runs)]


def jobs_of(leaves: Sequence[Leaf], *, folder: str = "unused") -> list[Job]:
    paths = paths_of(build_tree(courses_of(leaves, {})))
    return [
        Job(
            leaf=leaf.name,
            run=leaf.run,
            base=identity(leaf.run, {}),
            data="unused",
            store="unused",
            folder=folder,
            snapshots=snapshots(leaf.run.epochs, (s.last for s in paths[leaf.name])),
        )
        for leaf in leaves
    ]
