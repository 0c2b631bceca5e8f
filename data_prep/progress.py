"""A progress bar on standard error; silent when that is not a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def bar(title: str, *, total: int, unit: str) -> Iterator[Callable[[int, str], None]]:
    """Show a bar while the block runs; it gets a function of (how many are done, what is on)."""
    columns = (
        TextColumn(f"{title:<8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda done, now: progress.update(task, completed=done, description=now)
