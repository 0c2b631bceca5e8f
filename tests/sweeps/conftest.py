import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sweeps.promotion import flavours
from sweeps.runner import set_environment
from sweeps.tracking import Place, client_at
from tests.sweeps.promotable import Promotable, finished_sweep
from tests.sweeps.tracking_server import Door, server_in


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Training makes much of the order in which threads add."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory) -> Path:
    """An MLflow database without runs, to be copied: its schema takes seconds to make."""
    set_environment()
    folder = tmp_path_factory.mktemp("empty")
    client_at(Place(f"sqlite:///{folder / 'mlflow.db'}", folder))
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def tracking(tmp_path_factory, empty_database) -> Place:
    """One MLflow database for all tests."""
    folder = tmp_path_factory.mktemp("tracking")
    shutil.copy(empty_database, folder)
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


@pytest.fixture(scope="session")
def finished(tmp_path_factory, phantom_data, empty_database) -> Promotable:
    """A finished sweep of two trials, in a database of its own."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copy(empty_database, folder)
    return finished_sweep(folder, phantom_data)


@pytest.fixture
def promotable(finished, tmp_path, monkeypatch) -> Promotable:
    """The finished sweep and its database, to be changed at will; flavours, slow, are a file."""
    monkeypatch.setattr(flavours, "add_flavours", lambda folder: (folder / "MLmodel").touch())
    return finished.copied(tmp_path)
