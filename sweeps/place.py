"""Where a sweep is tracked: the same rule for sweeping, promoting and `models:/`."""

import os
from pathlib import Path
from urllib.parse import quote

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


def link(place: Place, experiment_id: str, *, sweep: str, order_by: str) -> str:
    """Opens a sweep's trials as a flat sorted table; sorted by creation the charts stay empty."""
    root = place.uri if place.uri.startswith("http") else "http://127.0.0.1:5000"
    mine = quote(f'tags.`pct.kind`="trial" and tags.`pct.sweep`="{sweep}"')
    order = quote(f"metrics.`{order_by}`", safe="")
    return (
        f"{root}/#/experiments/{experiment_id}/runs?searchFilter={mine}"
        f"&orderByKey={order}&orderByAsc=false&compareRunsMode=CHART"
    )
