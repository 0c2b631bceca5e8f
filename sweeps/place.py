"""Where a sweep is tracked: the same rule for sweeping, promoting, looking and `models:/`."""

import os
import shlex
from pathlib import Path

from sweeps.tracking import Place
from sweeps.tracking.place import without_secrets


def tracking_place(folder: Path, tracking: str | None) -> Place:
    """`tracking`, else MLFLOW_TRACKING_URI, else sqlite and artifacts beside the sweep's folder."""
    beside = folder.resolve().parent
    uri = tracking or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{beside / 'mlflow.db'}"
    return Place(uri, beside / "artifacts")


def look_command(folder: Path, tracking: str | None) -> str:
    """The command that shows a sweep's trials in a browser."""
    where = ["--tracking", without_secrets(tracking)] if tracking else []
    return shlex.join(["pct", "ui", str(folder), *where])
