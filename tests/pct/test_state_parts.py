"""Every part of a checkpoint counts: what forgets one of them ends elsewhere, or is refused."""

from typing import Any

import pytest

from pct.state import BadState, from_bytes, start, to_bytes
from tests.pct.restless import edit, full_run, opened, saved, train

PARTS = (
    "epoch", "generator", "discriminator", "adam_g", "adam_d", "history",
    "ema", "ema.weights", "ema.updates", "best", "best.epoch", "best.value", "best.weights",
    "randoms.torch", "randoms.numpy", "randoms.python",
)  # fmt: skip
"""All that a checkpoint holds, but the states of GPUs that are not here."""


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
