"""Sweep any training function that can save and load its state: the engine without the method.

A training function is told its course, how many epochs are finished, and the files of the state
after them (none at the start). It calls `done(finished, files)` after each epoch:

    def train(course, finished, files, done):
        model = load(files) if files else make()
        while finished < course.epochs:
            train_epoch(model, **dict(course.at(finished)))
            finished += 1
            done(finished, save(model))
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeps.keeping import clear_leftovers, tell
from sweeps.leases import Leases, course_from
from sweeps.refs import LeafRef
from sweeps.release import Releases
from sweeps.source import Listed
from sweeps.stages import Commits, go_on_from, snapshots
from sweeps.store import Store
from sweeps.tree import Course, build_tree, paths_of

Done = Callable[[int, Mapping[str, bytes]], None]
Train = Callable[[Course, int, Mapping[str, bytes], Done], None]

PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Plain:
    """A course as a task; epochs to `keep` besides."""

    course: Course
    keep: tuple[int, ...]

    @property
    def config(self) -> dict[str, Any]:
        """What a Tune trial receives."""
        return {"leaf": self.course.name, "course": asdict(self.course), "keep": list(self.keep)}


def tasks_of(courses: Sequence[Course]) -> list[Plain]:
    """The tasks of a sweep; stages are kept where courses part, and every ten epochs."""
    paths = paths_of(build_tree(courses))
    return [
        Plain(course, snapshots(course.epochs, (stage.last for stage in paths[course.name])))
        for course in courses
    ]


def sweep(
    courses: Sequence[Course], train: Train, store: Store, *, leases: Leases | None = None
) -> None:
    """Train every course in this process, in turn; each shared stage once. Again = go on.

    With leases several may do so at once, each told to the others by its owner's name.
    """
    if leases:
        tell(store, leases.owner, "", needs_of(courses))
    releases = Releases(Listed(tasks_of(courses)), store.has, leases)
    while not releases.over:
        task = releases.next()
        if task is None:  # another sweep on this store trains what is shared
            time.sleep(PAUSE_SECONDS)
            continue
        train_course(task.course, task.config["keep"], train, store)
        releases.ended(task.course.name)
    _clear(courses, store, leases)


def needs_of(courses: Sequence[Course]) -> dict[str, LeafRef]:
    """The stages on the way of each course, and those to keep, lest another sweep drops them."""
    return {
        task.course.name: LeafRef(keys=tuple(task.course.all_keys()), snapshots=task.keep)
        for task in tasks_of(courses)
    }


def _clear(courses: Sequence[Course], store: Store, leases: Leases | None) -> None:
    mine = {key for course in courses for key in course.all_keys()}
    needed = {task.course.key(epoch) for task in tasks_of(courses) for epoch in task.keep}
    clear_leftovers(store, mine, needed=needed, leases=leases)


def sweep_on_ray(
    courses: Sequence[Course], train: Train, store: Store, *, folder: Path, slots: int
) -> None:
    """As `sweep`, as trials of Ray Tune, `slots` at once. Ray must be connected."""
    from ray import tune

    from sweeps.search import Brancher

    def trial(config: dict[str, Any]) -> None:
        def tell(finished: int) -> None:
            tune.report({"epoch": finished})

        course = course_from(config["course"])
        train_course(course, config["keep"], train, store, tell=tell)

    releases = Releases(Listed(tasks_of(courses)), store.has)
    tune.Tuner(
        tune.with_resources(trial, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=Brancher(releases), num_samples=-1, max_concurrent_trials=slots
        ),
        run_config=tune.RunConfig(storage_path=str(folder.resolve()), verbose=0),
    ).fit()
    _clear(courses, store, None)


def train_course(
    course: Course,
    keep: Sequence[int],
    train: Train,
    store: Store,
    *,
    tell: Callable[[int], None] = lambda finished: None,
) -> None:
    """Go on with a course from its longest stage in the store, committing every epoch."""
    finished, files = go_on_from(course, store)
    commit = Commits(course, store, keep=keep)

    def done(finished: int, files: Mapping[str, bytes]) -> None:
        commit(finished, files)
        tell(finished)

    train(course, finished, files, done)
