"""An MLflow server of our own: started on loopback, checked as a browser would, ended wholly."""

import contextlib
import http.client
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from data_prep.errors import PctError
from sweeps.listeners import listening, refuse_taken_port
from sweeps.tracking import Place
from sweeps.tracking.place import without_secrets

START_SECONDS = 180.0
"""It takes 5 s on a quiet machine and 35 s on a busy one."""
END_SECONDS = 10.0
"""What has not ended itself by then is killed."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
EVERYWHERE = ("0.0.0.0", "::")


class NoServer(PctError):
    """The MLflow server did not start, or does not answer as it should."""


class NotAllowed(PctError):
    """A server that others could reach was asked for by halves."""


@dataclass(frozen=True)
class Address:
    """Where the server listens, and the names under which browsers may ask for it."""

    host: str
    port: int
    names: tuple[str, ...] = ()
    """Besides loopback; the first one is printed."""

    @property
    def root(self) -> str:
        """The beginning of the links that are printed."""
        return f"http://{self.authority}"

    @property
    def authority(self) -> str:
        """Name and port as a browser sends them in `Host`."""
        name = self.names[0] if self.names else _bracketed(self.host)
        return name if _has_port(name) else f"{name}:{self.port}"

    @property
    def forms(self) -> list[str]:
        """What browsers may send in `Host`, besides loopback's names: no patterns.

        MLflow takes a pattern of origins for the beginning of a name: another site's would match.
        """
        own = () if self.host in (*EVERYWHERE, *LOOPBACK, "::1") else (_bracketed(self.host),)
        names = dict.fromkeys((*own, *self.names))
        return [f for n in names for f in ((n,) if _has_port(n) else (n, f"{n}:{self.port}"))]

    @property
    def near(self) -> str:
        """The address under which this machine reaches it."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)

    @property
    def near_root(self) -> str:
        """The beginning of this machine's own requests."""
        return f"http://{_bracketed(self.near)}:{self.port}"


def address_of(host: str, port: int, *, expose: bool, allowed: Sequence[str]) -> Address:
    """Check what was asked for. Beyond loopback only with `expose`: there is no authentication."""
    names = tuple(name.strip() for text in allowed for name in text.split(",") if name.strip())
    if patterns := [name for name in names if "*" in name]:
        raise NotAllowed(
            f"--allowed-hosts {patterns[0]}: would let web pages of others read and delete the "
            "runs through your browser. Name each host that the link will have."
        )
    if is_loopback(host):
        return Address(host, port, names)
    if not expose:
        raise NotAllowed(
            f"--host {host}: others could reach the server, and it asks for no password: they "
            "could read, change and delete every run. Use an SSH tunnel to 127.0.0.1 "
            f"(ssh -L {port}:127.0.0.1:{port} HOST), or say --expose."
        )
    own = (socket.gethostname(),) if host in EVERYWHERE else ()
    return Address(host, port, (*names, *own))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP interrupt the block, as Ctrl-C does; one that is ignored stays so."""
    before = {ending: signal.getsignal(ending) for ending in (signal.SIGTERM, signal.SIGHUP)}
    heard = [ending for ending, how in before.items() if how is not signal.SIG_IGN]  # not by nohup
    for ending in heard:
        signal.signal(ending, signal.default_int_handler)
    try:
        yield
    finally:
        for ending in heard:
            signal.signal(ending, before[ending])


@contextlib.contextmanager
def serving(place: Place, address: Address) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server for `place` while the block runs. Whatever happens, no process is left."""
    refuse_taken_port(address.host, address.port)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command(place, address),
            env=environment(place, address),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; we end the whole group
        )
        try:
            _wait(process, address, log)
            yield process
            if process.poll() is not None:
                raise NoServer(f"the MLflow server has ended by itself. {_end_of(log)}")
        finally:
            _end(process)


def command(place: Place, address: Address) -> list[str]:
    """Its command line. The database is in the environment: everyone can read command lines."""
    return [
        sys.executable, "-m", "mlflow", "server", "--host", address.host,
        "--port", str(address.port), "--workers", "1",
        "--artifacts-destination", str(place.artifacts),
        "--uvicorn-opts", "--log-level warning --timeout-graceful-shutdown 3",
    ]  # fmt: skip


def environment(place: Place, address: Address) -> dict[str, str]:
    """Ours, without the settings of other MLflow servers, and with this one's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MLFLOW_") or name.startswith("MLFLOW_S3_")
    }
    hosts = [form for name in LOOPBACK for form in (name, f"{_literal(name)}:*")]  # for tunnels
    others = address.forms
    origins = [f"{scheme}://{form}" for form in others for scheme in ("http", "https")]
    return kept | {
        "MLFLOW_BACKEND_STORE_URI": place.uri,
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join([*hosts, *others]),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # or half as much memory again
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def ask(address: Address, method: str, path: str, body: object = None) -> int:
    """Status of one request sent as a browser at the printed link would; 0 if none came."""
    headers = {"Host": address.authority, "Origin": address.root}
    sent = None if body is None else json.dumps(body)
    if sent:
        headers["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection(address.near, address.port, timeout=20)
    try:
        connection.request(method, path, sent, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _wait(process: "subprocess.Popen[bytes]", address: Address, log: IO[bytes]) -> None:
    """Until the printed link works, and it is our process that answers.

    /health is no proof: it answers under every name. Neither is the exit code: a server that
    finds its port taken exits with 0.
    """
    deadline = time.monotonic() + START_SECONDS
    while not _is_up(process.pid, address):
        if process.poll() is not None:
            raise NoServer(f"the MLflow server did not start. {_end_of(log)}")
        if time.monotonic() > deadline:
            raise NoServer(
                f"the MLflow server does not answer after {START_SECONDS:.0f} s. {_end_of(log)}"
            )
        time.sleep(0.2)
    search = {"experiment_ids": ["0"], "max_results": 1}
    status = ask(address, "POST", "/api/2.0/mlflow/runs/search", search)
    if status != http.client.OK:
        raise NoServer(
            f"the MLflow server answers {status} where 200 was expected, asked as "
            f"{address.authority}. {_end_of(log)}"
        )


def _is_up(pid: int, address: Address) -> bool:
    ours = any(port == address.port for _, port in listening(pid))
    return ours and ask(address, "GET", "/health") == http.client.OK


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the server with its children; what does not go in time is killed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _end_of(log: IO[bytes]) -> str:
    """The last lines that the server wrote, without passwords."""
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    last = without_secrets("\n".join(lines[-8:]))
    return f"Its last words:\n{last}" if lines else "It said nothing."


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _has_port(name: str) -> bool:
    return bool(re.search(r"[^:]:\d+$", name))


def _literal(name: str) -> str:
    """A name in a pattern: the bracket of an IPv6 address is no set of characters."""
    return name.replace("[", "[[]", 1)
