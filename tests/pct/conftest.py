import pytest
import torch

from pct.state import TrainState, start, to_bytes
from pct.train import TrainingData
from tests.pct.restless import full_run, train
from tests.tiny import disc_slices


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Training makes much of the order in which threads add."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_data() -> TrainingData:
    return TrainingData(
        train=disc_slices(cases=3, per_case=4), val=disc_slices(cases=2, per_case=3, seed=9)
    )


@pytest.fixture(scope="module")
def straight(tiny_data) -> tuple[TrainState, str]:
    state = train(start(full_run()), full_run(), tiny_data, until=6)
    return state, state.fingerprint()


@pytest.fixture(scope="module")
def at_three(tiny_data) -> bytes:
    return to_bytes(train(start(full_run()), full_run(), tiny_data, until=3))
