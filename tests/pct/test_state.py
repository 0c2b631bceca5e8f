"""A fork equals the run that never stopped, bit for bit; a checkpoint holds plain values only."""

import io
import os
import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch

from pct.config import Run
from pct.state import BadState, TrainState, from_bytes, start, to_bytes
from pct.train import EpochEnd, TrainingData, fit
from tests.tiny import tiny_run

PARTS = (
    "epoch", "generator", "discriminator", "adam_g", "adam_d", "history",
    "ema", "ema.weights", "ema.updates", "best", "best.epoch", "best.value", "best.weights",
    "randoms.torch", "randoms.numpy", "randoms.python",
)  # fmt: skip
"""All that a checkpoint holds, but the states of GPUs that are not here."""


def full_run(**settings: Any) -> Run:
    """A tiny run with everything on that keeps a state or draws a random number."""
    return tiny_run(**{**RESTLESS, **settings})


RESTLESS: dict[str, Any] = {
    "ema_decay": 0.8,
    "clip_norm": 20.0,
    "augment": {"rotate_deg": 8, "scale": 0.1, "shift": 0.05, "gamma": 0.2, "bias": 0.2},
    # Its best epoch comes before the checkpoint, so that the checkpoint must carry it.
    "schedule": {"lr_g": {0: 2e-3, 3: 2e-2}},
}


def draw_noise(event: EpochEnd, state: TrainState) -> None:
    """Let every source of randomness in the process act on the weights."""
    bias = next(state.generator.parameters())
    with torch.no_grad():
        bias += 1e-3 * (torch.rand(()) + np.random.rand() + random.random())


def train(state: TrainState, run, data: TrainingData, *, until: int) -> TrainState:
    return fit(state, run, data, until=until, listeners=[draw_noise])


def scramble_process() -> None:
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    return one == other


def without_clock(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if not k.startswith("time")} for row in history]


def edit(data: bytes, **parts: Any) -> bytes:
    content = torch.load(io.BytesIO(data), weights_only=True)
    content.update(parts)
    return saved(content)


def saved(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def straight(tiny_data) -> tuple[TrainState, str]:
    torch.set_num_threads(1)
    state = train(start(full_run()), full_run(), tiny_data, until=6)
    return state, state.fingerprint()


@pytest.fixture(scope="module")
def at_three(tiny_data) -> bytes:
    torch.set_num_threads(1)
    return to_bytes(train(start(full_run()), full_run(), tiny_data, until=3))


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


def put(content: Any, part: str, value: Any) -> None:
    """Set `a.b` of nested content; of `randoms`, that of the first worker."""
    *path, last = part.split(".")
    for name in path:
        content = content[name][0] if name == "randoms" else content[name]
    content[last] = value


def get(content: Any, part: str) -> Any:
    for name in part.split("."):
        content = content[name][0] if name == "randoms" else content[name]
    return content


def opened(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


@pytest.fixture(scope="module")
def at_none() -> Any:
    """The content of a run of another seed that has yet to begin: its best is a guess."""
    content = opened(to_bytes(start(full_run(seed=2))))
    content["best"] = {"epoch": 0, "value": -1e9, "weights": content["generator"]}
    return content


@pytest.mark.parametrize("part", PARTS)
def test_a_checkpoint_that_forgets_one_of_its_parts_ends_elsewhere(
    straight, at_three, at_none, tiny_data, part
):
    content = opened(at_three)
    put(content, part, None if part == "best" else get(at_none, part))
    state = train(from_bytes(saved(content), full_run()), full_run(), tiny_data, until=6)
    assert state.fingerprint() != straight[1]


def test_no_part_of_a_checkpoint_is_left_untried(at_three):
    content = opened(at_three)
    assert set(content) - {"numerics"} == {part.split(".")[0] for part in PARTS}
    for name in ("ema", "best", "randoms"):
        inner = content[name][0] if name == "randoms" else content[name]
        tried = {part.partition(".")[2] for part in PARTS if part.startswith(f"{name}.")}
        assert set(inner) - {"cuda"} == tried


@pytest.mark.parametrize("part", sorted({part.split(".")[0] for part in PARTS}))
def test_a_checkpoint_that_lacks_a_part_is_refused(at_three, part):
    content = opened(at_three)
    del content[part]
    with pytest.raises(BadState, match=f"a checkpoint lacks {part}"):
        from_bytes(saved(content), full_run())


def test_a_run_with_an_average_does_not_go_on_from_a_state_without_one(at_three):
    without = to_bytes(start(full_run(ema_decay=0)))
    with pytest.raises(BadState, match="it holds no average of the generator"):
        from_bytes(without, full_run())
    with pytest.raises(BadState, match="it holds an average of the generator"):
        from_bytes(at_three, full_run(ema_decay=0))


def test_the_same_bytes_with_every_part_end_at_the_same_place(straight, at_three, tiny_data):
    state = train(from_bytes(edit(at_three), full_run()), full_run(), tiny_data, until=6)
    assert state.fingerprint() == straight[1]


def test_the_best_epoch_of_these_tests_lies_before_the_checkpoint(straight, at_three):
    assert straight[0].best.epoch == opened(at_three)["best"]["epoch"] <= 3


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
