"""Something to be done beside the work of a `with` block, or given up when it does not end."""

import logging
import threading
import time
from collections.abc import Callable

from data_prep.errors import PctError

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 10.0
"""How long the end of a `with` block waits for the last action."""


class Every:
    """A thread that acts every `seconds` while the `with` block runs; once more after it.

    An action that does not end is left behind on its thread, which ends with the program. One
    that finds bad input is tried again; the first such error is logged.
    """

    def __init__(self, seconds: float, action: Callable[[], object]) -> None:
        self._seconds, self._action = seconds, action
        self._stop, self._told = threading.Event(), False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Every":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)

    def _work(self) -> None:
        while not self._stop.wait(self._seconds):
            self._act()
        self._act()

    def _act(self) -> None:
        try:
            self._action()
        except PctError as error:
            if not self._told:
                log.warning("%s", error)
            self._told = True


def ends(
    action: Callable[[], object], *, seconds: float, heard: Callable[[], float] = lambda: 0.0
) -> bool:
    """Act on a thread of its own; whether it came to its end, for it may hang or raise.

    It is given up after so many seconds without a sign: `heard` is when the last came, monotonic.
    """
    ended = threading.Event()

    def work() -> None:
        action()
        ended.set()

    began, thread = time.monotonic(), threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive() and time.monotonic() - max(began, heard()) < seconds:
        thread.join(0.1)
    return ended.is_set()
