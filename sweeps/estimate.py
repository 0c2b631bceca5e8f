"""How long a sweep would take and what it would cost: the branching rule, played on a clock.

As `sweeps.release` has it: of the runs that wait, the one with most epochs left starts first, and
none while another is on the way to a stage that both need. Here a run waits in a list at that very
stage, so that 100,000 runs are played in seconds. Light: loads no torch, Ray or Optuna.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from heapq import heappop, heappush
from itertools import islice
from typing import Any

from sweeps.plan import Plan, least_epochs, span
from sweeps.tree import Stage, walk

START_SECONDS = 20.0
"""A group of workers from its order to its first step: 9 to 30 s measured on 2 CPU cores."""


@dataclass(frozen=True)
class Pace:
    """What an epoch and a start take, and how many trials train at once."""

    epoch_seconds: float
    slots: int = 1
    start_seconds: float = START_SECONDS


@dataclass(frozen=True)
class Cost:
    """(least, most): a run with patience may stop early."""

    seconds: tuple[float, float]
    gpu_hours: tuple[float, float]


@dataclass(frozen=True)
class Runs:
    """What is to be trained, in numbers: each run as a way through stages, in order."""

    ways: Sequence[Sequence[int]]
    epochs: Sequence[int]
    """Of each stage."""
    batches: Sequence[int]
    """How many runs become known together, in order: the points of a search."""


def cost(plan: Plan, pace: Pace) -> Cost:
    """Of a plan as it would be trained, each shared stage once."""
    return _cost(plan, [_shared(plan, tree) for tree in (plan.stages_at_least, plan.stages)], pace)


def cost_without_sharing(plan: Plan, pace: Pace) -> Cost:
    """Of the same trials, each trained from its first epoch to its last."""
    numbers = [[number] for number in range(len(plan.leaves))]
    lengths = [[least_epochs(leaf.run) for leaf in plan.leaves]]
    lengths += [[leaf.run.epochs for leaf in plan.leaves]]
    return _cost(plan, [Runs(numbers, epochs, plan.batches) for epochs in lengths], pace)


def in_words(plan: Plan, pace: Pace) -> str:
    """What a plan would take and cost, and what it would without sharing."""
    given = f"{pace.epoch_seconds:g} s an epoch, {pace.start_seconds:g} s a start"
    shared, alone = (_told(find(plan, pace)) for find in (cost, cost_without_sharing))
    return f"{pace.slots} at once, {given}: {shared}; without sharing: {alone}"


def as_json(plan: Plan, pace: Pace) -> dict[str, Any]:
    """The same for programs."""
    alone = cost_without_sharing(plan, pace)
    return {**asdict(pace), **asdict(cost(plan, pace)), "without_sharing": asdict(alone)}


def _told(found: Cost) -> str:
    hours = [seconds / 3600 for seconds in found.seconds]
    return f"{_hours(hours)} h, {_hours(found.gpu_hours)} GPU-hours"


def _hours(pair: Sequence[float]) -> str:
    return span(pair, ",.0f" if max(pair) >= 100 else ".3g")


def wall_seconds(runs: Runs, pace: Pace) -> float:
    """When the last run ends. What lies beside training and starting, as 3D scores, is left out."""
    play, free = _Play(runs, pace), pace.slots
    while True:
        while free and (number := play.next()) is not None:
            play.start(number)
            free -= 1
        if not play.events:
            return play.now
        free += play.move_on()


class _Play:
    """What is waiting, on its way and done at one moment of a sweep."""

    def __init__(self, runs: Runs, pace: Pace) -> None:
        self.now = 0.0
        self.events: list[tuple[float, int, bool]] = []
        """When a stage will be done, and whether its run ends there."""
        self._runs, self._pace = runs, pace
        self._ready: list[tuple[int, int]] = []
        """Runs that may start unless another has begun since, those with most epochs left first."""
        self._waiting: dict[int, list[int]] = {}
        """Stages on their way, and who waits for each."""
        self._done = bytearray(len(runs.epochs))
        self._at = [0] * len(runs.ways)
        """How many of a run's stages are known to be done."""
        self._rank = [0] * len(runs.ways)
        """Less the epochs left when a run became known."""
        numbers = iter(range(len(runs.ways)))
        self._ahead = [list(islice(numbers, size)) for size in runs.batches][::-1]
        """Batches that are not known yet, the next one last."""
        self._in_vain = False
        """Whether the last batch was blocked and nothing has ended since."""

    def next(self) -> int | None:
        """The run to start now; more become known only when no known one can start."""
        while self._ready or self._learn():
            if self._ready and self._is_free(number := heappop(self._ready)[1]):
                self._in_vain = False
                return number
        return None

    def start(self, number: int) -> None:
        """Put all that a run has left to train on its way."""
        when = self.now + self._pace.start_seconds
        left = self._runs.ways[number][self._at[number] :]
        for stage in left:
            when += self._runs.epochs[stage] * self._pace.epoch_seconds
            self._waiting[stage] = []
            heappush(self.events, (when, stage, stage == left[-1]))

    def move_on(self) -> int:
        """To the next moment at which stages are done; how many runs that trained end there."""
        self.now, ended = self.events[0][0], 0
        while self.events and self.events[0][0] == self.now:
            _, stage, ends = heappop(self.events)
            self._done[stage] = True
            for waiter in self._waiting.pop(stage):
                self._offer(waiter)
            ended += ends
        self._in_vain = self._in_vain and not ended
        return ended

    def _learn(self) -> bool:
        """Hear of the next batch, unless all of the last one was blocked and nothing has ended."""
        if self._in_vain or not self._ahead:
            return False
        self._in_vain = True
        for number in self._ahead.pop():
            left = (stage for stage in self._runs.ways[number] if not self._done[stage])
            self._rank[number] = -sum(self._runs.epochs[stage] for stage in left)
            self._offer(number)
        return True

    def _offer(self, number: int) -> None:
        if self._is_free(number):
            heappush(self._ready, (self._rank[number], number))

    def _is_free(self, number: int) -> bool:
        """Whether a run may start; else it waits for a stage, or has nothing left to train."""
        way, at = self._runs.ways[number], self._at[number]
        while at < len(way) and self._done[way[at]]:
            at += 1
        self._at[number] = at
        if at < len(way) and way[at] in self._waiting:
            self._waiting[way[at]].append(number)
            return False
        self._in_vain = self._in_vain and at < len(way)
        return at < len(way)


def _shared(plan: Plan, tree: Sequence[Stage]) -> Runs:
    numbers = {leaf.name: number for number, leaf in enumerate(plan.leaves)}
    stages = walk(tree)
    ways: list[list[int]] = [[] for _ in plan.leaves]
    for at, stage in enumerate(stages):
        for name in stage.leaves:
            ways[numbers[name]].append(at)
    epochs = [stage.last - stage.first + 1 for stage in stages]
    return Runs(ways, epochs, plan.batches)


def _cost(plan: Plan, either: Sequence[Runs], pace: Pace) -> Cost:
    seconds = [wall_seconds(runs, pace) for runs in either]
    hours = [_worker_epochs(plan, runs) * pace.epoch_seconds / 3600 for runs in either]
    return Cost((min(seconds), max(seconds)), (min(hours), max(hours)))


def _worker_epochs(plan: Plan, runs: Runs) -> int:
    """Epochs to train, times the workers that each takes."""
    workers = {
        stage: leaf.run.workers
        for leaf, way in zip(plan.leaves, runs.ways, strict=True)
        for stage in way
    }
    return sum(epochs * workers[stage] for stage, epochs in enumerate(runs.epochs))
