"""The stage tree: equal beginnings are one stage."""

import random

import pytest

from pct.config import Run, Stop, build_run, load_preset
from sweeps.courses import changes, course_of, courses_of, identity, values_at
from sweeps.recipe import Leaf, leaves_at, load_recipe
from sweeps.tree import (
    build_tree,
    digest,
    paths_of,
    shared_epochs,
    shorten,
    twins,
    unique_epochs,
    walk,
)
from tests.sweeps.random_trees import random_leaves, random_run
from tests.tiny import tiny_run


def key_of(run: Run, finished: int) -> str:
    return course_of("", run, identity(run, {})).key(finished)


def equal_so_far(one: Run, other: Run, finished: int) -> bool:
    """What a key must say, from its definition: all settings and every epoch's values agree."""
    same = one.seed == other.seed
    return same and all(values_at(one, n) == values_at(other, n) for n in range(finished))


def test_keys_are_equal_exactly_when_the_schedules_were_so_far():
    rng, agreed = random.Random(0), 0
    for _ in range(400):
        one, other = random_run(rng), random_run(rng)
        for finished in range(1, min(one.epochs, other.epochs) + 1):
            keys = (key_of(run, finished) for run in (one, other))
            expected = equal_so_far(one, other, finished)
            assert (next(keys) == next(keys)) is expected
            agreed += expected
    assert agreed > 100, "the random runs never agreed: the test proves nothing"


def test_keys_of_different_epochs_differ():
    run = tiny_run(epochs=30)
    keys = {key_of(run, finished) for finished in range(1, 31)}
    assert len(keys) == 30


def test_trained_epochs_are_the_distinct_prefixes():
    rng = random.Random(1)
    for _ in range(300):
        leaves = random_leaves(rng)
        distinct = {
            key_of(leaf.run, finished)
            for leaf in leaves
            for finished in range(1, leaf.run.epochs + 1)
        }
        assert unique_epochs(build_tree(courses_of(leaves, {}))) == len(distinct)


def test_a_leafs_stages_cover_its_epochs_once_and_end_in_its_keys():
    rng = random.Random(2)
    for _ in range(200):
        leaves = random_leaves(rng)
        paths = paths_of(build_tree(courses_of(leaves, {})))
        for leaf in leaves:
            path = paths[leaf.name]
            covered = [epoch for stage in path for epoch in range(stage.first, stage.last + 1)]
            assert covered == list(range(1, leaf.run.epochs + 1))
            for stage in path:
                assert stage.key == key_of(leaf.run, stage.last)
                for epoch in range(stage.first, stage.last + 1):
                    assert stage.values == values_at(leaf.run, epoch - 1)


def test_stages_of_a_tree_have_keys_of_their_own_and_children_share_their_parents_leaves():
    rng = random.Random(3)
    for _ in range(200):
        stages = walk(build_tree(courses_of(random_leaves(rng), {})))
        assert len({stage.key for stage in stages}) == len(stages)
        for stage in stages:
            below = [name for child in stage.children for name in child.leaves]
            assert len(set(below)) == len(below)
            assert set(below) <= set(stage.leaves)


def test_the_thesis_has_its_eight_stages():
    stages = build_tree(courses_of(leaves_at(load_recipe("thesis"), {}), {}))
    spans = [(s.first, s.last, len(s.leaves)) for s in walk(stages)]
    assert spans == [
        (1, 2, 3),
        (3, 40, 3),
        (41, 70, 2),
        (41, 70, 1),
        (1, 2, 1),
        (3, 70, 1),
        (1, 2, 1),
        (3, 200, 1),
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 2},
        {"batch": 4},
        {"batch": 6, "workers": 2},
        {"threads": 2},
        {"flip": 0.1},
        {"precision": "bfloat16"},
        {"ema_decay": 0.9},
        {"clip_norm": 1},
        {"augment": {"gamma": 0.1}},
        {"init": "a/model"},
        {"adam_betas": (0.5, 0.999)},
        {"generator": {"norm": "instance"}},
        {"discriminator": {"filters": 4}},
        {"loss": {"gan": "bce"}},
        {"val": {"slices": 3}},
        {"select": {"metric": "val/psnr"}},
        {"data": {"size": 64}},
    ],
)
def test_identity_changes_with_every_setting_that_changes_a_state(settings):
    assert identity(tiny_run(**settings), {}) != identity(tiny_run(), {})


def test_a_given_model_counts_by_its_weights_wherever_it_lies():
    def name(model: str, digest: str) -> str:
        return identity(tiny_run(init={"model": model, "digest": digest}), {})

    assert name("here", "ab") == name("there", "ab") != name("here", "cd")
    assert name("here", "") != name("there", ""), "not yet looked at, as in a plan"


def test_identity_changes_with_the_data_and_the_numerics():
    run = tiny_run()
    known = {"data": "d1", "numerics": 1, "torch": "2.13"}
    keys = [identity(run, known), *(identity(run, {**known, name: "other"}) for name in known)]
    assert len(set(keys)) == 4


def test_identity_leaves_out_what_only_says_when_to_end_and_values_over_epochs():
    run = tiny_run()
    for settings in (
        {"epochs": 9},
        {"stop": {"after": 3}},
        {"warmup_epochs": 2},
        {"max_parameters": 10_000_000},
        {"schedule": {"lambda_ngf": 3}},
    ):
        assert identity(tiny_run(**settings), {}) == identity(run, {})


def test_a_restart_of_the_optimisers_is_a_stage_of_its_own():
    full, weights = (
        tiny_run(schedule={"fork_restore": {0: "full", 3: way}}) for way in ("full", "weights")
    )
    assert key_of(full, 3) == key_of(weights, 3)
    assert key_of(full, 4) != key_of(weights, 4)


def test_changes_are_where_some_value_changes_and_warm_up_ends():
    assert changes(build_run(load_preset("thesis_exp3"))) == [0, 2, 40]
    assert changes(tiny_run()) == [0]


def test_twins_are_runs_that_end_alike_in_everything():
    leaves = leaves_at(load_recipe("thesis"), {})
    assert twins(courses_of(leaves, {})) == {
        "exp1": "exp1",
        "exp2": "exp2",
        "exp3.keep": "exp1",
        "exp3.drop": "exp3.drop",
        "exp4": "exp4",
    }
    patient = Leaf("patient", tiny_run(stop={"after": 3}), {})
    longer = Leaf("longer", tiny_run(epochs=7), {})
    plain = Leaf("plain", tiny_run(), {})
    assert twins(courses_of([plain, patient, longer], {})) == {
        "plain": "plain",
        "patient": "patient",
        "longer": "longer",
    }


def test_a_shortened_course_is_that_of_a_run_with_fewer_epochs():
    rng = random.Random(6)
    for _ in range(200):
        run = random_run(rng)
        course = course_of("a", run.model_copy(update={"stop": Stop(after=3)}), "base")
        for epochs in range(1, run.epochs + 1):
            fewer = run.model_copy(update={"epochs": epochs})
            assert shorten(course, epochs) == course_of("a", fewer, "base")


def test_courses_made_together_are_those_made_one_by_one_and_share_their_steps():
    rng = random.Random(7)
    leaves = [leaf for _ in range(20) for leaf in random_leaves(rng)]
    together = courses_of(leaves, {"data": "d1"})
    assert together == [
        course_of(leaf.name, leaf.run, identity(leaf.run, {"data": "d1"})) for leaf in leaves
    ]
    steps = [step for course in together for step in course.steps]
    assert len({id(step) for step in steps}) == len(set(steps)) < len(steps)


def test_a_key_is_the_digest_of_what_came_before_it():
    course = course_of("a", tiny_run(schedule={"lambda_ngf": {0: 20, 3: 0}}), "base")
    for finished in range(1, 7):
        steps = [step for step in course.steps if step[0] < finished]
        assert course.key(finished) == digest(["base", steps, finished])


def test_shared_epochs_are_those_whose_keys_agree():
    rng, partly = random.Random(5), 0
    for _ in range(400):
        runs = random_run(rng), random_run(rng)
        one, other = (course_of("", run, identity(run, {})) for run in runs)
        agree = [one.key(n) == other.key(n) for n in range(1, min(one.epochs, other.epochs) + 1)]
        assert shared_epochs(one, other) == shared_epochs(other, one) == sum(agree)
        partly += 0 < sum(agree) < len(agree)
    assert partly > 30, "the random courses never parted half-way: the test proves little"
