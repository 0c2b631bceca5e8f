import pytest
import torch

from sweeps.runner import set_environment
from sweeps.tracking import Place


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Training makes much of the order in which threads add."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tracking(tmp_path_factory) -> Place:
    """One MLflow database for all tests: its schema takes seconds to make."""
    set_environment()
    folder = tmp_path_factory.mktemp("tracking")
    return Place(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
