"""A fork equals the run that never stopped, bit for bit; a checkpoint holds plain values only."""

import io
import os
import pickle
from typing import Any

import pytest
import torch

from pct.state import BadState, TrainState, from_bytes, start, to_bytes
from pct.train import EpochEnd, fit
from tests.pct.restless import draw_noise, edit, full_run, saved, scramble_process, train


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    return one == other


def without_clock(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if not k.startswith("time")} for row in history]


def test_a_fork_equals_the_run_that_never_stopped(straight, at_three, tiny_data):
    state, fingerprint = straight
    scramble_process()
    forked = train(from_bytes(at_three, full_run()), full_run(), tiny_data, until=6)
    assert forked.fingerprint() == fingerprint
    assert equal(forked.generator.state_dict(), state.generator.state_dict())
    assert equal(forked.discriminator.state_dict(), state.discriminator.state_dict())
    assert without_clock(forked.history) == without_clock(state.history)
    assert (forked.best.epoch, forked.best.value) == (state.best.epoch, state.best.value)
    assert equal(forked.best.weights, state.best.weights)


def test_writing_a_checkpoint_does_not_change_the_run(straight, tiny_data):
    state = start(full_run())
    fit(
        state,
        full_run(),
        tiny_data,
        until=6,
        listeners=[draw_noise, lambda event, now: to_bytes(now) and None],
    )
    assert state.fingerprint() == straight[1]


@pytest.mark.parametrize(
    ("schedule", "after"),
    [
        ({"lambda_ngf": {0: 20, 3: 0}}, "drop"),
        ({"lambda_gan": {0: 1, 3: 0}}, "no discriminator"),
        ({"lr_g": {0: 2e-3, 3: 1e-4}, "lr_d": {0: 2e-4, 3: 1e-5}}, "rates"),
        ({"fork_restore": {0: "full", 3: "weights"}}, "weights"),
    ],
)
def test_a_branch_equals_its_schedule_trained_straight_through(
    straight, at_three, tiny_data, schedule, after
):
    switched = full_run(schedule=schedule)
    whole = train(start(switched), switched, tiny_data, until=6)
    scramble_process()
    branch = train(from_bytes(at_three, switched), switched, tiny_data, until=6)
    assert branch.fingerprint() == whole.fingerprint()
    assert branch.fingerprint() != straight[1], f"{after} changed nothing"


def test_restoring_weights_only_keeps_both_networks_and_starts_the_optimisers_anew(
    at_three, tiny_data
):
    run = full_run(schedule={"fork_restore": {0: "full", 3: "weights"}})
    before = from_bytes(at_three, run)
    seen = {}

    def first_step_counts(event: EpochEnd, state: TrainState) -> None:
        seen["steps"] = {int(s["step"]) for s in state.adam_g.state.values()}

    fit(before, run, tiny_data, until=4, listeners=[first_step_counts])
    assert seen["steps"] == {2}, "12 slices in batches of 6 are two steps an epoch"
    kept = fit(from_bytes(at_three, full_run()), full_run(), tiny_data, until=4)
    assert {int(s["step"]) for s in kept.adam_g.state.values()} == {8}


def test_a_fork_is_exact_in_bfloat16_too(tiny_data):
    run = full_run(precision="bfloat16", epochs=4)
    straight = fit(start(run), run, tiny_data, until=4)
    trunk = to_bytes(fit(start(run), run, tiny_data, until=2))
    torch.rand(5)
    forked = fit(from_bytes(trunk, run), run, tiny_data, until=4)
    for ours, theirs in zip(
        forked.generator.parameters(), straight.generator.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_a_start_depends_on_the_seed_alone():
    scramble_process()
    one = start(full_run()).fingerprint()
    torch.manual_seed(5)
    assert start(full_run()).fingerprint() == one
    assert start(full_run(schedule={"lambda_ngf": 3})).fingerprint() == one
    assert start(full_run(seed=2)).fingerprint() != one


def test_the_learning_rate_comes_from_the_schedule_and_not_from_the_checkpoint(at_three, tiny_data):
    run = full_run(schedule={"lr_g": {0: 2e-3, 3: 7e-5, 5: 3e-5}})
    state = from_bytes(at_three, run)
    rates = []
    fit(
        state,
        run,
        tiny_data,
        until=6,
        listeners=[lambda event, now: rates.append(now.adam_g.param_groups[0]["lr"])],
    )
    assert rates == [7e-5, 7e-5, 3e-5]


class Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_a_checkpoint_runs_no_code(tmp_path):
    target = tmp_path / "ran"
    for data in (
        saved({"numerics": 1, "generator": Bomb(str(target))}),
        pickle.dumps(Bomb(str(target)), protocol=2),
    ):
        with pytest.raises(BadState, match=r"torn or foreign"):
            from_bytes(data, full_run())
        assert not target.exists()
    pickle.loads(pickle.dumps(Bomb(str(target))))
    assert target.exists(), "the bomb is one"


@pytest.mark.parametrize("torn", ["cut", "empty", "text"])
def test_a_torn_checkpoint_is_refused_with_its_length(at_three, torn):
    data = {"cut": at_three[: len(at_three) // 2], "empty": b"", "text": b"no checkpoint"}[torn]
    with pytest.raises(BadState, match=f"a checkpoint of {len(data)} bytes is torn or foreign"):
        from_bytes(data, full_run())


def test_a_checkpoint_of_other_numerics_is_refused(at_three):
    with pytest.raises(BadState, match=r"holds numerics 0, this version computes"):
        from_bytes(edit(at_three, numerics=0), full_run())
    with pytest.raises(BadState, match=r"holds numerics list"):
        from_bytes(saved([1, 2]), full_run())


def test_a_checkpoint_of_two_workers_is_refused_by_one(at_three):
    content = torch.load(io.BytesIO(at_three), weights_only=True)
    two = edit(at_three, randoms=content["randoms"] * 2)
    with pytest.raises(BadState, match=r"a state of 2 workers cannot go on with 1: set workers=2"):
        from_bytes(two, full_run())


def test_a_checkpoint_of_other_networks_is_refused(at_three):
    other = full_run(generator={"channels": [4, 8, 16]})
    with pytest.raises(BadState, match=r"does not fit the run's networks.*size mismatch"):
        from_bytes(at_three, other)
