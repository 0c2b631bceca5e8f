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

from data_prep.errors import PctError
from sweeps.keeping import clear_leftovers, tell_needs
from sweeps.release import Releases
from sweeps.source import Listed
from sweeps.stages import Commits, go_on_from, snapshots
from sweeps.store.leases import Leases, leases_on
from sweeps.store.store import Store
from sweeps.tree import Course, build_tree, course_from, paths_of

Done = Callable[[int, Mapping[str, bytes]], None]
Train = Callable[[Course, int, Mapping[str, bytes], Done], None]

PAUSE_SECONDS = 0.05


class BrokeOff(PctError):
    """Courses that did not reach their end."""


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


def sweep(courses: Sequence[Course], train: Train, store: Store, *, name: str = "sweep") -> None:
    """Train every course in this process, in turn; each shared stage once. Again = go on.

    `name` tells sweeps on one store apart: what one keeps, no other removes.
    """
    tasks = tasks_of(courses)
    announce(tasks, store, name=name)
    with leases_on(store, name) as leases:
        releases = Releases(Listed(tasks), store.which, leases)
        while not releases.over:
            task = releases.next()
            if task is None:  # another sweep on this store trains what is shared
                time.sleep(PAUSE_SECONDS)
                continue
            train_course(task.course, task.config["keep"], train, store)
            releases.ended(task.course.name)
        _clear(tasks, store, leases, name=name)


def sweep_on_ray(
    courses: Sequence[Course],
    train: Train,
    store: Store,
    *,
    folder: Path,
    slots: int,
    name: str = "sweep",
) -> None:
    """As `sweep`, as trials of Ray Tune, `slots` at once. Ray must be connected."""
    from ray import tune

    from sweeps.brancher import Brancher

    def trial(config: dict[str, Any]) -> None:
        def tell(finished: int) -> None:
            tune.report({"epoch": finished})

        course = course_from(config["course"])
        train_course(course, config["keep"], train, store, tell=tell)

    tasks = tasks_of(courses)
    announce(tasks, store, name=name)
    with leases_on(store, name) as leases:
        found = tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=Brancher(Releases(Listed(tasks), store.which, leases)),
                num_samples=-1, max_concurrent_trials=slots,
            ),
            run_config=tune.RunConfig(storage_path=str(folder.resolve()), verbose=0),
        ).fit()  # fmt: skip
        _clear(tasks, store, leases, name=name)
    if found.errors:
        raise BrokeOff(_told(found.errors, len(courses)))


def _told(errors: Sequence[Exception], number: int) -> str:
    first = str(errors[0]).strip().splitlines()[-1]
    return (
        f"{len(errors)} of {number} courses broke off, the first by: {first}. Mend it and run the "
        "same again: what is committed is safe."
    )


def announce(tasks: Sequence[Plain], store: Store, *, name: str) -> None:
    """Tell the store which stages these tasks keep, before they are trained."""
    needs = [(task.course, task.keep) for task in tasks]
    tell_needs(store, name, str(Path.cwd()), needs)


def _clear(tasks: Sequence[Plain], store: Store, leases: Leases | None, *, name: str) -> None:
    mine = {key for task in tasks for key in task.course.all_keys()}
    needed = {key for task in tasks for key in _needed(task, store)}
    clear_leftovers(store, name, mine, needed=needed, leases=leases)


def _needed(task: Plain, store: Store) -> list[str]:
    """Of a course that has ended what it keeps, else all that it could go on from."""
    ended = store.has(task.course.key(task.course.epochs))
    return [*map(task.course.key, task.keep)] if ended else task.course.all_keys()


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
