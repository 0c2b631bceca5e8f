"""Waiting for a file system that has gone away, and telling that from one that says no."""

import errno
import itertools
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from data_prep.errors import PctError

log = logging.getLogger(__name__)

Found = TypeVar("Found")

PATIENCE_SECONDS = 120.0
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 10.0

WAITED_FOR = frozenset(
    getattr(errno, name)
    for name in (
        "ESTALE", "EIO", "ENOTCONN", "ETIMEDOUT", "ECONNREFUSED", "ECONNRESET", "ECONNABORTED",
        "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "EPIPE", "EAGAIN", "EINTR",
        "EBUSY", "ENODEV", "ENXIO", "EREMOTEIO", "ESHUTDOWN", "ENOENT",
    )
)  # fmt: skip
"""What a mount or a server says while it is away; ENOENT of a folder that was there just now."""

SAID_NO = (
    "ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_CLIENT_TOKEN_ID", "MISSING_AUTHENTICATION_TOKEN", "UNRECOGNIZED_CLIENT",
    "VALIDATION", "No response body",
)  # fmt: skip
"""How an object store, whose errors bear no number, refuses for good (403 has no body)."""


class StoreError(PctError):
    """A stage that is missing, torn, or altered after it was committed, or a store that fails."""


class Unreachable(StoreError):
    """A store that has been there and did not come back while we waited."""


def is_away(error: OSError) -> bool:
    """Whether waiting may help. A full disk, a wrong right or a wrong name is not waited for."""
    if error.errno is None:
        return not any(word in str(error) for word in SAID_NO)
    return error.errno in WAITED_FOR


def patiently(action: Callable[[], Found], *, root: str, patience: float) -> Found:
    """The action's result; while the place is away it is tried again, with growing pauses.

    After `patience` seconds raises `Unreachable`. Any other `OSError` is the caller's at once. The
    log hears of it once, and not of what one short pause mends, as when writers meet.
    """
    began, pause = time.monotonic(), SHORTEST_PAUSE_SECONDS
    for failures in itertools.count(1):
        try:
            return action()
        except OSError as error:
            if not is_away(error):
                raise
            waited = time.monotonic() - began
            if waited >= patience:
                raise Unreachable(
                    f"{root}: the store could not be reached for {waited:.0f} s ({error}). Mount "
                    "it again or mend the network, then run the same command again: what is "
                    "committed is safe."
                ) from error
            if failures == 2:
                log.warning("%s is away (%s); waiting up to %g s", root, error, patience)
        time.sleep(min(pause, patience - waited))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    raise AssertionError("counting has no end")
