import os
import socket
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from pct.__main__ import _application
from sweeps import server
from sweeps.listeners import PortTaken, listening, owner, refuse_taken_port

LISTEN = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
TELL = "print(s.getsockname()[1], flush=True); sys.stdin.read()"


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def listening_child():
    """Pid and port of a program that listens and has a password on its command line."""
    command = [sys.executable, "-c", LISTEN + TELL, "postgresql://u:SECRET@host/db"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        yield child.pid, int(child.stdout.readline())
        child.stdin.close()


def test_a_free_port_is_taken_for_free(taken_port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
    refuse_taken_port("127.0.0.1", free)
    with pytest.raises(PortTaken):
        refuse_taken_port("127.0.0.1", taken_port)


def test_a_port_taken_on_one_address_is_taken_for_all(taken_port):
    with pytest.raises(PortTaken, match=f"port {taken_port} of 0.0.0.0"):
        refuse_taken_port("0.0.0.0", taken_port)


def test_the_owner_is_named_without_the_passwords_of_its_command(listening_child):
    pid, port = listening_child
    named = owner(port)
    assert f"process {pid} (" in named
    assert os.path.basename(sys.executable) in named
    assert "SECRET" not in named


def test_the_listeners_of_children_count_too(listening_child):
    _, port = listening_child
    assert ("127.0.0.1", port) in listening(os.getpid())
    assert listening(2**22 + 1) == set()


def test_ui_on_a_taken_port_names_it_and_its_owner_and_starts_nothing(
    tmp_path, taken_port, monkeypatch
):
    def start(*_, **__):
        pytest.fail("a server was started")

    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    (tmp_path / "mlflow.db").touch()
    monkeypatch.setattr(server, "command", start)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    app = _application({"ui": EntryPoint("ui", "sweeps.cli:ui", "pct.verbs")})
    done = CliRunner().invoke(app, ["ui", str(tmp_path / "sweep"), "--port", str(taken_port)])
    assert done.exit_code == 2
    assert f"pct: port {taken_port} of 127.0.0.1 cannot be used" in done.stderr
    assert f"process {os.getpid()} (" in done.stderr
    assert f"--port {taken_port + 1}" in done.stderr
    assert "http" not in done.stdout


@pytest.mark.parametrize(
    ("missing", "message"), [("sweep.json", "no sweep here"), ("mlflow.db", "no tracking database")]
)
def test_ui_without_a_sweep_or_its_database_starts_nothing(tmp_path, missing, message, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "sweep").mkdir()
    for name in {"sweep/sweep.json", "mlflow.db"}:
        if not name.endswith(missing):
            (tmp_path / name).write_text("{}")
    app = _application({"ui": EntryPoint("ui", "sweeps.cli:ui", "pct.verbs")})
    done = CliRunner().invoke(app, ["ui", str(tmp_path / "sweep")])
    assert done.exit_code == 2
    assert message in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({"sweep", "mlflow.db"} - {missing})


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql+psycopg://u:SECRET@127.0.0.1:{port}/db",
        "mysql+nodriver://u:SECRET@127.0.0.1/db",
        "http://u:SECRET@127.0.0.1:{port}",
        "nonsense",
    ],
)
def test_ui_without_its_tracking_place_says_so_soon_and_tells_no_password(
    tmp_path, monkeypatch, uri
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(server, "command", lambda *_: pytest.fail("a server was started"))
    (tmp_path / "sweep.json").write_text("{}")
    with socket.socket() as nobody:  # bound and not listening: connections are refused
        nobody.bind(("127.0.0.1", 0))
        app = _application({"ui": EntryPoint("ui", "sweeps.cli:ui", "pct.verbs")})
        where = uri.format(port=nobody.getsockname()[1])
        done = CliRunner().invoke(app, ["ui", str(tmp_path), "--tracking", where])
    assert done.exit_code == 2, done.output
    assert "cannot be reached" in done.stderr
    assert "SECRET" not in done.output
