import pytest
import torch

from pct.train import TrainingData
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
