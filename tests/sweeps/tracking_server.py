"""A real MLflow server, and a door before it that can be shut, or opened on nobody."""

import contextlib
import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


def serve(folder: str, port: int) -> None:
    """In a process of its own: MLflow's application on a database and artifacts in `folder`."""
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/server.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{folder}/server-artifacts",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    import logging

    from mlflow.server import app
    from mlflow.server.handlers import _get_tracking_store
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _get_tracking_store()  # its schema
    make_server("127.0.0.1", port, app, threaded=True).serve_forever()


@contextlib.contextmanager
def server_in(folder: Path) -> Iterator["Door"]:
    """The server, seen through its door; ended with the block."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(str(folder), port))
    process.start()
    door = Door(port, folder)
    try:
        _until_it_listens(process, port)
        door.open()
        yield door
    finally:
        door.shut()
        process.kill()
        process.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _until_it_listens(process, port: int) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        if process.exitcode is not None:
            break
        process.join(0.1)
    pytest.fail(f"the MLflow server did not start (exit code {process.exitcode})")


class Door:
    """Passes bytes on to a server's port; shut (connections refused), or with nobody behind."""

    def __init__(self, behind: int, folder: Path) -> None:
        self.behind, self.port, self.folder = behind, free_port(), folder
        self._listener: socket.socket | None = None
        self._through: list[socket.socket] = []
        self._nobody = False

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self, *, on_nobody: bool = False) -> None:
        self.shut()
        self._nobody = on_nobody
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        listener, self._listener = self._listener, None
        ends, self._through = self._through, []
        for end in [listener, *ends] if listener else ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            self._through.append(end)
            if self._nobody:
                continue
            other = socket.create_connection(("127.0.0.1", self.behind))
            self._through.append(other)
            for one, two in ((end, other), (other, end)):
                threading.Thread(target=_pass_on, args=(one, two), daemon=True).start()


def _pass_on(one: socket.socket, two: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            two.sendall(data)
    for end in (one, two):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
