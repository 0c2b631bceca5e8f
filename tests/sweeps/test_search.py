"""The branching scheduler, driven by a simulated cluster."""

import pickle
import random

import pytest
from ray.tune.search import Searcher

from sweeps.brancher import Brancher
from sweeps.courses import courses_of
from sweeps.job import Job
from sweeps.recipe import Leaf
from sweeps.release import Releases
from sweeps.source import Listed
from sweeps.stages import committed_epochs
from sweeps.store.leases import leases_on
from sweeps.store.store import Store, StoreError
from sweeps.tree import build_tree, unique_epochs
from tests.sweeps.random_trees import jobs_of, random_leaves
from tests.tiny import tiny_run


class Cluster:
    """Trains released leaves an epoch at a time, in an order of its own, keeping snapshots."""

    def __init__(self, jobs: list[Job], rng: random.Random, *, slots: int, fail: float = 0) -> None:
        self.rng, self.slots, self.fail = rng, slots, fail
        self.store: set[str] = set()
        self.trained: list[str] = []
        self.running: dict[str, tuple[Job, int]] = {}
        self.released: list[str] = []
        self.brancher = Brancher(Releases(Listed(jobs), self.store.intersection))

    def run(self) -> None:
        for number in range(10_000):
            if len(self.running) < self.slots:
                config = self.brancher.suggest(f"t{number}")
                if config == Searcher.FINISHED:
                    assert not self.running
                    return
                if config is not None:
                    self.start(f"t{number}", Job.model_validate_json(config["job"]))
                    continue
                assert self.running, "None while nothing runs: Tune would wait for ever"
            self.advance()
        raise AssertionError("the sweep does not end")

    def start(self, trial: str, job: Job) -> None:
        self.released.append(job.leaf)
        self.running[trial] = job, committed_epochs(job.course, self.store.intersection)

    def advance(self) -> None:
        """One epoch of one running leaf, or its end."""
        trial = self.rng.choice(sorted(self.running))
        job, epoch = self.running[trial]
        if epoch == job.run.epochs or self.rng.random() < self.fail:
            del self.running[trial]
            self.brancher.on_trial_complete(trial, {}, error=epoch < job.run.epochs)
            return
        self.trained.append(job.key(epoch + 1))
        self.store.add(job.key(epoch + 1))
        if epoch and epoch not in job.snapshots:
            self.store.discard(job.key(epoch))
        self.running[trial] = job, epoch + 1


def test_every_stage_is_trained_once_whatever_the_order_in_which_leaves_end():
    rng = random.Random(0)
    for _ in range(150):
        leaves = random_leaves(rng)
        cluster = Cluster(jobs_of(leaves), rng, slots=rng.randint(1, 5))
        cluster.run()
        assert sorted(cluster.released) == sorted(leaf.name for leaf in leaves)
        assert len(cluster.trained) == len(set(cluster.trained))
        assert len(cluster.trained) == unique_epochs(build_tree(courses_of(leaves, {})))


def test_leaves_that_break_off_never_hold_back_the_others():
    rng = random.Random(1)
    for _ in range(100):
        leaves = random_leaves(rng)
        cluster = Cluster(jobs_of(leaves), rng, slots=rng.randint(1, 4), fail=0.2)
        cluster.run()
        assert sorted(cluster.released) == sorted(leaf.name for leaf in leaves)


def test_tune_which_pickles_its_search_at_the_start_can_do_so_though_it_holds_leases(tmp_path):
    store = Store(str(tmp_path))
    with leases_on(store, "one") as leases:
        brancher = Brancher(Releases(Listed([]), store.has, leases))
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(leases)
        assert isinstance(pickle.loads(pickle.dumps(brancher)), Brancher)


def test_leaves_with_nothing_in_common_run_side_by_side():
    leaves = [Leaf(f"s{seed}", tiny_run(seed=seed), {}) for seed in range(4)]
    brancher = Brancher(Releases(Listed(jobs_of(leaves)), lambda keys: set()))
    assert [brancher.suggest(str(n))["leaf"] for n in range(4)] == ["s0", "s1", "s2", "s3"]
    assert brancher.suggest("4") is None


@pytest.fixture
def fork() -> list[Job]:
    """`keep` and `drop` part after epoch 3."""
    return jobs_of(
        [
            Leaf("keep", tiny_run(), {}),
            Leaf("drop", tiny_run(schedule={"lambda_ngf": {0: 20, 3: 0}}), {}),
        ]
    )


def test_a_sibling_is_released_once_the_fork_is_in_the_store(fork):
    store: set[str] = set()
    brancher = Brancher(Releases(Listed(fork), store.intersection))
    assert brancher.suggest("1")["leaf"] == "keep"
    for finished in (1, 2):
        store.add(fork[0].key(finished))
        assert brancher.suggest("2") is None
    store.add(fork[0].key(3))
    assert brancher.suggest("2")["leaf"] == "drop"
    assert brancher.suggest("3") is None
    for trial in ("1", "2"):
        brancher.on_trial_complete(trial)
    assert brancher.suggest("3") == Searcher.FINISHED


def test_a_leaf_that_fails_releases_its_siblings(fork):
    brancher = Brancher(Releases(Listed(fork), lambda keys: set()))
    brancher.suggest("1")
    assert brancher.suggest("2") is None
    brancher.on_trial_complete("1", error=True)
    assert brancher.suggest("2")["leaf"] == "drop"


def test_what_an_earlier_sweep_left_in_the_store_is_not_waited_for(fork):
    brancher = Brancher(Releases(Listed(fork), {fork[0].key(3)}.intersection))
    assert [brancher.suggest(str(n))["leaf"] for n in range(2)] == ["keep", "drop"]


def test_committed_epochs_are_the_longest_prefix_even_with_gaps(fork):
    keep, drop = fork
    assert committed_epochs(keep.course, lambda keys: set()) == 0
    assert committed_epochs(keep.course, {keep.key(2), keep.key(5)}.intersection) == 5
    assert committed_epochs(drop.course, {keep.key(2), keep.key(5)}.intersection) == 2


def test_the_leaf_with_most_epochs_left_goes_first():
    leaves = [Leaf(f"s{seed}", tiny_run(seed=seed, epochs=4 + seed), {}) for seed in (1, 3, 2)]
    jobs = jobs_of(leaves)
    store = {jobs[1].key(5)}  # of s3's 7 epochs 2 are left
    brancher = Brancher(Releases(Listed(jobs), store.intersection))
    assert [brancher.suggest(str(n))["leaf"] for n in range(3)] == ["s2", "s1", "s3"]


def test_a_list_gives_its_leaves_once(fork):
    source = Listed(fork)
    assert source.anything
    assert not source.exhausted
    assert len(source.more()) == 2
    assert source.more() == []
    assert source.exhausted


class Batches:
    """A source that has more batches than it says at once, and counts how often it was asked."""

    def __init__(self, batches) -> None:
        self.batches, self.asked = list(batches), 0

    def more(self):
        self.asked += 1
        return self.batches.pop(0) if self.batches else []

    def settled(self, name: str) -> None:
        pass

    @property
    def exhausted(self) -> bool:
        return not self.batches


def test_no_more_is_asked_while_all_that_was_asked_is_blocked(fork):
    keep, drop = fork
    source = Batches([[keep], [drop], [drop.model_copy(update={"leaf": "third"})]])
    releases = Releases(source, lambda keys: set())
    assert releases.next().course.name == "keep"
    for _ in range(3):
        assert releases.next() is None
    assert source.asked == 2
    releases.ended("keep")
    assert releases.next().course.name == "drop"


def test_a_store_that_is_away_lets_nothing_start_while_others_run_and_else_ends_the_sweep(fork):
    away = False

    def which(keys):
        if away:
            raise StoreError("away")
        return set()

    other = jobs_of([Leaf("other", tiny_run(seed=2), {})])
    releases = Releases(Batches([fork, other]), which)
    assert releases.next().course.name == "keep"
    away = True
    assert releases.next() is None
    releases.ended("keep")
    releases = Releases(Batches([fork]), which)
    with pytest.raises(StoreError, match="away"):
        releases.next()
