from collections.abc import Iterator

import pytest
import torch

from sweeps.runner import set_environment
from sweeps.tracking import Place
from tests.sweeps.tracking_server import Door, server_in


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


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Door]:
    """One MLflow server for all tests, with a door before it."""
    with server_in(tmp_path_factory.mktemp("server")) as door:
        yield door


@pytest.fixture
def door(server, monkeypatch) -> Door:
    """The door, open at first."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server.open()
    return server
