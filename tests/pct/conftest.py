import pytest
import torch

from pct.config import Run, build_run, load_preset, merge
from pct.train import TrainingData
from tests.tiny import disc_slices


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_data() -> TrainingData:
    return TrainingData(
        train=disc_slices(cases=3, per_case=4), val=disc_slices(cases=2, per_case=3, seed=9)
    )


def tiny_run(**settings) -> Run:
    """The `smoke` preset on 32-pixel slices."""
    base = merge(load_preset("smoke"), {"epochs": 6, "data": {"size": 32}})
    return build_run(merge(base, settings))
