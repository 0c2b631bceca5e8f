"""Where a sweep is tracked: the same rule for sweeping, promoting, looking and `models:/`."""

import os
import re
import shlex
from pathlib import Path

from sweeps.tracking import Place


def tracking_place(folder: Path, tracking: str | None) -> Place:
    """`tracking`, else MLFLOW_TRACKING_URI, else sqlite and artifacts beside the sweep's folder."""
    beside = folder.resolve().parent
    uri = tracking or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{beside / 'mlflow.db'}"
    return Place(uri, beside / "artifacts")


def look_command(folder: Path, tracking: str | None) -> str:
    """The command that shows a sweep's trials in a browser."""
    where = ["--tracking", masked(tracking)] if tracking else []
    return shlex.join(["pct", "ui", str(folder), *where])


def masked(text: str) -> str:
    """Without the passwords of the URIs in it."""
    text = re.sub(r"(?<=://)([^\s:/@]*):[^\s]*@", r"\1:***@", text)
    return re.sub(r"(?i)(password|passwd|pwd|token|secret)=[^\s&;]+", r"\1=***", text)
