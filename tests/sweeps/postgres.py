"""A Postgres server of the test's own, on this machine and for its time only."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sweeps.tracking_server import free_port

USER, PASSWORD = "pct", "pg-5e0c3d17"


def binaries() -> Path:
    """Where Debian keeps initdb and pg_ctl; the test is skipped where they are not."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no Postgres server is installed")
    return found[-1].parent


@contextmanager
def postgres() -> Iterator[str]:
    """URI of the server, with a password and without a database; it ends with the block.

    Its folder is none of pytest's, which no other user may enter.
    """
    pytest.importorskip("psycopg")
    tools, port = binaries(), free_port()
    with tempfile.TemporaryDirectory(prefix="pct-postgres-") as folder:
        data = Path(folder)
        (data / "password").write_text(PASSWORD)
        as_user = _unprivileged(data)
        run = [*as_user, str(tools / "initdb"), "-D", str(data / "db"), "-U", USER, "-A", "md5"]
        _call([*run, "--pwfile", str(data / "password"), "--no-sync"])
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {data} -c fsync=off"
        control = [*as_user, str(tools / "pg_ctl"), "-D", str(data / "db"), "-w"]
        _call([*control, "-o", options, "-l", str(data / "log"), "start"])
        try:
            yield f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{port}"
        finally:
            _call([*control, "-m", "immediate", "stop"])


def _unprivileged(data: Path) -> list[str]:
    """Postgres refuses to run as root; it then gets its folder."""
    if os.geteuid() != 0:
        return []
    if shutil.which("runuser") is None:
        pytest.skip("Postgres does not run as root, and there is no runuser")
    for path in (data, data / "password"):
        shutil.chown(path, "postgres")
    return ["runuser", "-u", "postgres", "--"]


def _call(command: list[str]) -> None:
    log = subprocess.DEVNULL  # a pipe would stay open as long as the server
    subprocess.run(command, check=True, timeout=120, stdout=log, stderr=log, cwd="/")


def new_database(server: str, name: str) -> str:
    """URI of a database made on the server: MLflow keeps what it knows of one by its URI."""
    import psycopg

    plain = server.replace("+psycopg", "")
    with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"
