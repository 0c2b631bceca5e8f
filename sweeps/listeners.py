"""Who listens on which port of this machine."""

import socket
from collections.abc import Iterator
from typing import Any

import psutil

from data_prep.errors import PctError
from sweeps.tracking.place import without_secrets

LONGEST = 90
"""Characters of a command that are shown."""


class PortTaken(PctError):
    """Another program listens where a server should."""


def refuse_taken_port(host: str, port: int) -> None:
    """Raise `PortTaken` if nothing can listen there, naming the program that does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server itself does
        try:
            trial.bind((host, port))
        except socket.gaierror as error:
            raise PortTaken(
                f"--host {host}: no address of this machine ({error.strerror}). "
                "Leave it out for 127.0.0.1."
            ) from error
        except OSError as error:
            raise PortTaken(
                f"port {port} of {host} cannot be used ({error.strerror}); it is held by "
                f"{owner(port)}. End that program, or choose another: --port {port + 1}."
            ) from error


def owner(port: int) -> str:
    """Process and command that listen on a port, as far as this user may know."""
    try:
        found = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS tells only the superuser
        found = []
    for pid in (c.pid for c in found if c.status == psutil.CONN_LISTEN and c.laddr.port == port):
        if pid is not None:
            return f"process {pid} ({_command(pid)})"
    return "a program that this user cannot see"


def listening(pid: int) -> set[tuple[str, int]]:
    """Addresses and ports on which a process and its children listen."""
    return {
        (connection.laddr.ip, connection.laddr.port)
        for process in _family(pid)
        for connection in _connections(process)
        if connection.status == psutil.CONN_LISTEN
    }


def _family(pid: int) -> Iterator[psutil.Process]:
    try:
        first = psutil.Process(pid)
        yield first
        yield from first.children(recursive=True)
    except psutil.NoSuchProcess:
        return


def _connections(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections(kind="tcp"))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def _command(pid: int) -> str:
    try:
        command = without_secrets(" ".join(psutil.Process(pid).cmdline()))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return "command unknown"
    return command if len(command) <= LONGEST else f"{command[:LONGEST]}..."
