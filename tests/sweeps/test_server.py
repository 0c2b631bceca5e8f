import os
import signal
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from sweeps import server
from sweeps.server import (
    Address,
    NoServer,
    NotAllowed,
    address_of,
    command,
    ended_like_ctrl_c,
    environment,
    serving,
)
from sweeps.tracking import Place

URI = "postgresql+psycopg://pct:SECRET@nowhere/pct"
PLACE = Place(URI, Path("artifacts"))
ANSWERING = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def do_POST(self):
        self.send_response(int(sys.argv[2])); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
time.sleep(60)
"""


@pytest.fixture
def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def program(monkeypatch):
    """Run this instead of MLflow."""

    def instead(text: str, *arguments: object) -> None:
        line = [sys.executable, "-c", text, *map(str, arguments)]
        monkeypatch.setattr(server, "command", lambda *_: line)

    return instead


def test_others_are_let_in_only_when_told_so_in_so_many_words():
    with pytest.raises(NotAllowed, match=r"no password.*change and delete.*--expose"):
        address_of("0.0.0.0", 5000, expose=False, allowed=())
    assert address_of("0.0.0.0", 5000, expose=True, allowed=()).forms == [
        socket.gethostname(),
        f"{socket.gethostname()}:5000",
    ]
    assert address_of("10.0.0.5", 5000, expose=True, allowed=()).root == "http://10.0.0.5:5000"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_no_words(host):
    assert address_of(host, 5000, expose=False, allowed=()).names == ()


def test_links_carry_the_first_name_with_its_port():
    assert Address("127.0.0.1", 5001).authority == "127.0.0.1:5001"
    assert Address("::1", 5001).authority == "[::1]:5001"
    assert address_of("127.0.0.1", 5001, expose=False, allowed=["a.b, c"]).names == ("a.b", "c")
    assert Address("127.0.0.1", 5001, ("mlflow-svc",)).authority == "mlflow-svc:5001"
    assert Address("127.0.0.1", 5001, ("gate:8443",)).authority == "gate:8443"
    assert Address("127.0.0.1", 5001, ("gate:8443",)).forms == ["gate:8443"]
    assert Address("127.0.0.2", 5001).forms == ["127.0.0.2", "127.0.0.2:5001"]
    assert Address("fd00::1", 5001).authority == "[fd00::1]:5001"
    assert Address("127.0.0.1", 5001).forms == []


def test_patterns_of_hosts_are_refused():
    with pytest.raises(NotAllowed, match="web pages of others"):
        address_of("127.0.0.1", 5000, expose=False, allowed=["a,*.b"])


def test_the_database_is_in_the_environment_and_not_on_the_command_line(monkeypatch):
    monkeypatch.setenv("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", "true")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://minio:9000")
    address = Address("127.0.0.1", 5000, ("mlflow-svc",))
    assert "SECRET" not in " ".join(command(PLACE, address))
    found = environment(PLACE, address)
    assert found["MLFLOW_BACKEND_STORE_URI"] == URI
    assert found["MLFLOW_S3_ENDPOINT_URL"] == "http://minio:9000"
    assert "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE" not in found
    assert found["MLFLOW_SERVER_ALLOWED_HOSTS"].endswith(":*,mlflow-svc,mlflow-svc:5000")
    assert "*" not in found["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert "*" not in found["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"]


@pytest.mark.parametrize("code", [0, 1])
def test_a_server_that_ends_at_once_is_no_server_whatever_its_exit_code(program, free_port, code):
    program(f"import sys; print('cannot reach {URI}'); sys.exit({code})")
    with (
        pytest.raises(NoServer, match=r"did not start(.|\n)*pct:\*\*\*@nowhere") as failure,
        serving(PLACE, Address("127.0.0.1", free_port)),
    ):
        pytest.fail("it was taken for a server")
    assert "SECRET" not in str(failure.value)


def test_a_healthy_server_that_refuses_the_printed_name_is_no_server(program, free_port):
    program(ANSWERING, free_port, 403)
    with (
        pytest.raises(NoServer, match=f"answers 403.*asked as mlflow-svc:{free_port}"),
        serving(PLACE, Address("127.0.0.1", free_port, ("mlflow-svc",))),
    ):
        pytest.fail("it was taken for a server")
    assert not [c for c in psutil.Process().children() if str(free_port) in c.cmdline()]


def test_another_program_that_answers_on_the_port_is_not_taken_for_ours(
    program, free_port, monkeypatch
):
    monkeypatch.setattr(server, "START_SECONDS", 1.0)
    monkeypatch.setattr(server, "ask", lambda *_: 200)  # as a program that took the port meanwhile
    program("import time; time.sleep(60)")
    with (
        pytest.raises(NoServer, match="does not answer after 1 s"),
        serving(PLACE, Address("127.0.0.1", free_port)),
    ):
        pytest.fail("it was taken for a server")


def test_a_server_that_will_not_end_is_killed_with_its_children(program, free_port, monkeypatch):
    monkeypatch.setattr(server, "END_SECONDS", 0.5)
    program(STUBBORN)
    monkeypatch.setattr(server, "_is_up", lambda pid, _: len(psutil.Process(pid).children()) > 0)
    monkeypatch.setattr(server, "ask", lambda *_: 200)
    with serving(PLACE, Address("127.0.0.1", free_port)) as process:
        time.sleep(0.5)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
        assert len(family) == 2
    psutil.wait_procs(family, timeout=5)
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_server_that_ends_by_itself_is_told_of(program, free_port):
    program(ANSWERING, free_port, 200)
    address = Address("127.0.0.1", free_port)

    def kill_it() -> None:
        with serving(PLACE, address) as process:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    with pytest.raises(NoServer, match="ended by itself"):
        kill_it()


def test_a_signal_to_end_interrupts_the_block_and_means_what_it_meant_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), ended_like_ctrl_c():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_like_ctrl_c():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
