"""Where a sweep is tracked: the same rule for sweeping, promoting and `models:/`."""

import os
from pathlib import Path

from sweeps.tracking import Place


def tracking_place(folder: Path, tracking: str | None) -> Place:
    """`tracking`, else MLFLOW_TRACKING_URI, else sqlite and artifacts beside the sweep's folder."""
    beside = folder.resolve().parent
    uri = tracking or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{beside / 'mlflow.db'}"
    return Place(uri, beside / "artifacts")


def server_command(place: Place) -> str:
    """The command that shows the runs in a browser."""
    if not place.uri.startswith("sqlite:"):
        return f"(the server at {place.uri} is running)"
    return f"mlflow server --backend-store-uri {place.uri} --host 127.0.0.1 --port 5000"


def link(place: Place, experiment_id: str, *, order_by: str) -> str:
    """Opens the trials as a flat sorted table; sorted by creation the charts stay empty."""
    root = place.uri if place.uri.startswith("http") else "http://127.0.0.1:5000"
    kind = "tags.%60pct.kind%60%3D%22trial%22"
    order = f"metrics.%60{order_by.replace('/', '%2F')}%60"
    return (
        f"{root}/#/experiments/{experiment_id}/runs?searchFilter={kind}"
        f"&orderByKey={order}&orderByAsc=false&compareRunsMode=CHART"
    )
