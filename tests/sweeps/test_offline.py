"""Training, tracking, scoring and promoting ask nothing of any other machine."""

import sys
from typing import Any

from sweeps.promotion.promote import promote
from sweeps.runner import Where
from sweeps.session import run_sweep
from tests.sweeps.small_sweep import sweep_of

ASKED: list[Any] = []


def listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        ASKED.append(arguments[1][0])
    elif event == "socket.getaddrinfo":
        ASKED.append(arguments[0])


def test_a_sweep_and_a_promotion_reach_no_other_machine(tmp_path, phantom_data, tracking):
    sys.addaudithook(listen)
    ASKED.clear()
    sweep = sweep_of(tmp_path / "offline", phantom_data, {"plain": {}}, epochs=1)
    run_sweep(sweep, tracking, Where(here=True))
    promote(sweep.folder, trial=None, tracking=tracking.uri, force=True, note="test")
    assert [host for host in ASKED if host not in ("127.0.0.1", "::1", "localhost")] == []
