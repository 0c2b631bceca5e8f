"""What a plan would take: against the branching rule itself, epoch by epoch, and against bounds."""

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import pytest

from pct.__main__ import main
from sweeps.courses import courses_of
from sweeps.estimate import Pace, cost, cost_without_sharing, in_words
from sweeps.plan import longest_chain, make_plan, plan_of_leaves
from sweeps.recipe import load_recipe
from sweeps.release import Releases
from sweeps.stages import committed_epochs
from sweeps.tree import Course
from tests.sweeps.random_trees import random_leaves


@dataclass
class Task:
    course: Course
    config: dict[str, Any] = field(default_factory=dict)


class InBatches:
    """A source that knows of more only when it is asked, as a search of its points."""

    def __init__(self, batches: Sequence[Sequence[Course]]) -> None:
        self.ahead = list(batches)

    def more(self) -> list[Task]:
        return [Task(course) for course in self.ahead.pop(0)] if self.ahead else []

    def settled(self, name: str) -> None:
        pass

    @property
    def exhausted(self) -> bool:
        return not self.ahead


def played(batches: Sequence[Sequence[Course]], pace: Pace) -> float:
    """Brute force: `Releases` hands out, every epoch of every run is an event of its own."""
    store: set[str] = set()
    releases = Releases(InBatches(batches), store.intersection)
    events: list[tuple[float, int, str, Course]] = []
    now, free, order = 0.0, pace.slots, 0
    while True:
        while free and (task := releases.next()):
            course = task.course
            done = committed_epochs(course, store.intersection)
            if done == course.epochs:
                releases.ended(course.name)
                continue
            free -= 1
            for epoch in range(done + 1, course.epochs + 1):
                when = now + pace.start_seconds + (epoch - done) * pace.epoch_seconds
                heappush(events, (when, order := order + 1, course.key(epoch), course))
        if not events:
            assert releases.over
            return now
        now = events[0][0]
        while events and events[0][0] == now:
            _, _, key, course = heappop(events)
            store.add(key)
            if key == course.key(course.epochs):
                releases.ended(course.name)
                free += 1


def random_pace(rng: random.Random) -> Pace:
    return Pace(rng.randint(1, 9), rng.randint(1, 5), rng.choice([0, 1, 4, 20]))


def test_an_estimate_is_what_the_branching_rule_gives_epoch_by_epoch():
    rng, waited = random.Random(0), 0
    for _ in range(300):
        leaves, pace = random_leaves(rng, most=12), random_pace(rng)
        seconds = cost(plan_of_leaves([leaves]), pace).seconds[1]
        assert seconds == played([courses_of(leaves, {})], pace)
        waited += seconds > cost_without_sharing(plan_of_leaves([leaves]), pace).seconds[1]
    assert waited, "no branch ever waited for its trunk: the test proves little"


def test_points_of_a_search_become_known_when_a_slot_would_be_idle_and_may_share_stages():
    rng = random.Random(1)
    for _ in range(200):
        leaves = random_leaves(rng, most=14)
        cuts = sorted(rng.choices(range(1, len(leaves) + 1), k=3))
        batches = [leaves[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
        batches, pace = [batch for batch in batches if batch], random_pace(rng)
        seconds = cost(plan_of_leaves(batches), pace).seconds[1]
        assert seconds == played([courses_of(batch, {}) for batch in batches], pace)


def test_one_at_a_time_takes_all_epochs_and_a_start_for_each_that_trains():
    rng = random.Random(2)
    for _ in range(100):
        plan = plan_of_leaves([random_leaves(rng)])
        train = sum(bool(own) for own in own_stages(plan).values())
        expected = plan.epochs_to_train[1] * 7 + train * 3
        assert cost(plan, Pace(7, slots=1, start_seconds=3)).seconds[1] == expected


def own_stages(plan) -> dict[str, list[str]]:
    """The stages that each leaf trains when one goes after the other, longest first."""
    done: set[str] = set()
    own = {}
    for course in sorted(courses_of(plan.leaves, {}), key=lambda one: -one.epochs):
        keys = {course.key(epoch) for epoch in range(1, course.epochs + 1)}
        own[course.name] = sorted(keys - done)
        done |= keys
    return own


def test_an_estimate_lies_between_the_longest_chain_and_one_at_a_time():
    rng = random.Random(3)
    for _ in range(200):
        plan, pace = plan_of_leaves([random_leaves(rng, most=12)]), random_pace(rng)
        chain, _ = longest_chain(plan)
        alone = Pace(pace.epoch_seconds, 1, pace.start_seconds)
        for least_or_most in (0, 1):
            seconds = cost(plan, pace).seconds[least_or_most]
            assert chain[least_or_most] * pace.epoch_seconds + pace.start_seconds <= seconds
            assert seconds <= cost(plan, alone).seconds[least_or_most]


def test_the_demo_forked_takes_two_starts_and_six_epochs():
    plan = make_plan(load_recipe("demo"))
    # keep: 20 + 6 * 10; drop waits for epoch 3, at 20 + 3 * 10, then 20 + 3 * 10 of its own.
    assert cost(plan, Pace(10, slots=3)).seconds == (100, 100)
    # One slot: 15 epochs, 3 starts. Two: never and keep until 80, then drop.
    assert cost(plan, Pace(10, slots=1)).seconds == (15 * 10 + 3 * 20,) * 2
    assert cost(plan, Pace(10, slots=2)).seconds == (80 + 50,) * 2
    assert cost_without_sharing(plan, Pace(10, slots=2)).seconds == (160, 160)
    assert cost_without_sharing(plan, Pace(10, slots=3)).seconds == (80, 80)


def test_gpu_hours_count_epochs_to_train_times_workers():
    one, two = (make_plan(load_recipe("demo", [f"workers={n}", "batch=4"])) for n in (1, 2))
    assert cost(one, Pace(3600)).gpu_hours == (15, 15)
    assert cost(two, Pace(3600)).gpu_hours == (30, 30)
    assert cost_without_sharing(two, Pace(3600)).gpu_hours == (36, 36)


def test_patience_makes_time_and_cost_a_range():
    plan = make_plan(load_recipe("thesis"))
    found = cost(plan, Pace(3600, slots=9, start_seconds=0))
    assert found.gpu_hours == (240, 370)
    assert found.seconds == (70 * 3600, 200 * 3600)


def test_a_large_search_is_estimated_in_seconds():
    plan = make_plan(load_recipe("search_ngf", ["search.points=300"]))
    assert len(plan.leaves) == 3000
    began = time.process_time()
    seconds = cost(plan, Pace(1, slots=50, start_seconds=0)).seconds[1]
    assert time.process_time() - began < 1.5
    # Each point: keep 70, five branches of 150 together; no slot is idle until the last points.
    assert 300 * (70 + 150) / 50 <= seconds < 300 * (70 + 150) / 50 + 70


def test_the_command_line_tells_the_estimate(capsys):
    command = ["plan", "demo", "--epoch-seconds", "360", "--slots", "3", "--start-seconds", "0"]
    assert main(command) == 0
    told = capsys.readouterr().out.splitlines()[2]
    assert told == (
        "3 at once, 360 s an epoch, 0 s a start: 0.6 h, 1.5 GPU-hours; "
        "without sharing: 0.6 h, 1.8 GPU-hours"
    )
    assert told == in_words(make_plan(load_recipe("demo")), Pace(360, 3, 0))
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["estimate"] == {
        "epoch_seconds": 360,
        "slots": 3,
        "start_seconds": 0,
        "seconds": [2160, 2160],
        "gpu_hours": [1.5, 1.5],
        "without_sharing": {"seconds": [2160, 2160], "gpu_hours": [1.8, 1.8]},
    }


def test_large_numbers_of_hours_are_written_out():
    plan = make_plan(load_recipe("thesis"))
    assert in_words(plan, Pace(36000, slots=2, start_seconds=0)).startswith(
        "2 at once, 36000 s an epoch, 0 s a start: 1,400-2,000 h, 2,400-3,700 GPU-hours; "
    )


@pytest.mark.parametrize(
    "wrong",
    [
        ["--epoch-seconds", "0"],
        ["--epoch-seconds", "nan"],
        ["--epoch-seconds", "9", "--slots", "0"],
        ["--epoch-seconds", "9", "--start-seconds", "-1"],
        ["--epoch-seconds", "9", "--start-seconds", "inf"],
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong, capsys):
    assert main(["plan", "demo", *wrong]) == 2
    assert f"Invalid value for '{wrong[-2]}'" in capsys.readouterr().err
