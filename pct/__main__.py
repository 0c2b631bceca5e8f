"""The command `pct`: its verbs are entry points, each loaded only when it is called."""

import errno
import functools
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer

from data_prep.errors import PctError

BAD_INPUT, INTERRUPTED = 2, 130
UNWRITABLE = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENOTDIR", "ENOSPC", "EDQUOT", "ENAMETOOLONG")
}
"""What a file system says of a place that the user chose badly, and none of our bugs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line. Exit codes: 0 done, 1 our bug, 2 bad input, 3 in part, 130 stopped."""
    for switch in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
        os.environ.setdefault(switch, "true")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbs = {point.name: point for point in entry_points(group="pct.verbs")}
    called = {words[0]: verbs[words[0]]} if words and words[0] in verbs else verbs
    try:
        _application(called)(words, prog_name="pct")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _application(verbs: dict[str, EntryPoint]) -> typer.Typer:
    app = typer.Typer(
        add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
        help="Pseudo-CT from MR for radiotherapy: prepare, sweep, score, promote, predict.",
    )  # fmt: skip
    app.callback()(_nothing)  # keeps the verb's name when only one is loaded
    for name in sorted(verbs):
        app.command(name)(_guarded(verbs[name].load()))
    return app


def _nothing() -> None:
    """Pseudo-CT from MR for radiotherapy: prepare, sweep, score, promote, predict."""


def _guarded(verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb whose errors become one message and an exit code."""

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return verb(*args, **kwargs)
        except PctError as error:
            print(f"pct: {error}", file=sys.stderr)
            raise typer.Exit(BAD_INPUT) from None
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            where = "" if error.filename is None else f"{error.filename}: "
            hint = "Name a place that can be written, or make room there."
            print(f"pct: {where}{error.strerror}. {hint}", file=sys.stderr)
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            print("pct: interrupted; run the same command again to go on.", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None

    return run


if __name__ == "__main__":
    sys.exit(main())
