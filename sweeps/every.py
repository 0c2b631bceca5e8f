"""Something to be done again and again beside the work of a `with` block."""

import threading
from collections.abc import Callable


class Every:
    """A thread that acts every `seconds` while the `with` block runs; once more after it."""

    def __init__(self, seconds: float, action: Callable[[], object]) -> None:
        self._seconds, self._action = seconds, action
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Every":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._action()

    def _work(self) -> None:
        while not self._stop.wait(self._seconds):
            self._action()
