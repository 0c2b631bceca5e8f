"""Values over finished epochs."""

import json
import random
from itertools import pairwise

import pytest

from pct.config import BadConfig, Run, build_run
from pct.schedule import number_at, parse_steps, simplify, value_at
from tests.tiny import tiny_run


def test_a_key_is_the_number_of_finished_epochs():
    steps = parse_steps({0: 20, 40: 0})
    in_epoch = {epoch: value_at(steps, epoch - 1) for epoch in (1, 40, 41, 70)}
    assert in_epoch == {1: 20.0, 40: 20.0, 41: 0.0, 70: 0.0}


def test_random_schedules_hold_the_last_key_at_or_before():
    rng = random.Random(0)
    for _ in range(300):
        given = {0: rng.randint(0, 3)}
        given |= {rng.randint(1, 30): rng.randint(0, 3) for _ in range(rng.randint(0, 6))}
        steps = parse_steps(dict(rng.sample(sorted(given.items()), len(given))))
        for finished in range(35):
            assert value_at(steps, finished) == given[max(k for k in given if k <= finished)]
        assert all(a[1] != b[1] for a, b in pairwise(steps))
        assert simplify(steps) == steps


def test_a_bare_value_holds_throughout():
    assert parse_steps(2) == ((0, 2.0),)
    assert number_at(parse_steps(2), 10**6) == 2.0


def test_minus_zero_is_zero_in_text_too():
    assert str(parse_steps({0: 1, 3: -0.0})) == str(parse_steps({0: 1, 3: 0}))


def test_a_run_survives_json():
    rng = random.Random(1)
    for _ in range(50):
        keys = sorted(rng.sample(range(1, 6), rng.randint(0, 3)))
        steps = {0: rng.random(), **{key: rng.random() for key in keys}}
        run = tiny_run(
            schedule={
                "lambda_ngf": steps,
                "lr_g": rng.random(),
                "fork_restore": {0: "full", 3: "weights"},
            }
        )
        assert Run.model_validate_json(run.model_dump_json()) == run
        assert Run.model_validate(json.loads(json.dumps(run.model_dump(mode="json")))) == run


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({5: 1}, r"has keys \[5\]; a schedule starts at 0"),
        ({}, r"has keys \[\]; a schedule starts at 0"),
        ({-3: 1, 0: 2}, "a schedule starts at 0"),
        ({0: 1, "keep": 2}, "keys are numbers of finished epochs"),
        ({0: 1, 2.5: 2}, "keys are numbers of finished epochs"),
        ({0: True}, "holds True; expected a number"),
        ({0: None}, "holds None; expected a number"),
        ("often", "holds 'often' from 0; expected a number"),
        (-1, "is -1.0 from 0; expected a number of 0 or more"),
        (float("inf"), "is inf from 0; expected a number of 0 or more"),
        (float("nan"), "is nan from 0; expected a number of 0 or more"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_reason(given, message):
    with pytest.raises(BadConfig, match=message) as caught:
        build_run({"schedule": {"lambda_ngf": given}})
    assert str(caught.value).startswith("schedule.lambda_ngf: ")


def test_a_restore_is_full_or_weights():
    with pytest.raises(BadConfig, match=r"is 'half'; expected full or weights"):
        build_run({"schedule": {"fork_restore": "half"}})
