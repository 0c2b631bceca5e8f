"""`pct ui`: a sweep's trials in the MLflow UI, and the links that open them well."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from data_prep.errors import PctError
from sweeps.server import Address, serving
from sweeps.tracking import NoTracking, Place
from sweeps.views import (
    Tracked,
    logged_by,
    order_of,
    paint,
    plain_link,
    share,
    shared_link,
    trials_of,
)

Server = subprocess.Popen[bytes]

CONNECT_SECONDS = 10
"""A database that does not answer is given up then."""


class NothingToShow(PctError):
    """A folder without a sweep, or a tracking place that does not know it."""


@dataclass(frozen=True)
class Links:
    """What `pct ui` prints."""

    sweep: str
    trials: int
    order: str
    table: str
    charts: str
    note: str
    """Something the user should know, or ""."""


@contextmanager
def shown(folder: Path, place: Place, address: Address) -> Iterator[tuple[Links, Server | None]]:
    """The links to a sweep's trials, and the server that was started for them.

    Where the tracking place is a server, none is started.
    """
    refuse_empty(folder, place)
    if place.is_server:
        yield links_to(folder, _client_of(place), _without_user(place.uri)), None
        return
    with serving(place, address) as process:
        client = MlflowClient(tracking_uri=address.near_root)
        yield links_to(folder, client, address.root), process


def refuse_empty(folder: Path, place: Place) -> None:
    """Before anything is started: is there a sweep, and its database?"""
    if not any((folder / name).exists() for name in ("sweep.json", "jobs.json")):
        raise NothingToShow(f"{folder}: no sweep here. Run pct sweep --to {folder}.")
    database = Path(place.uri.removeprefix("sqlite:///"))
    if place.uri.startswith("sqlite:///") and not database.exists():
        raise NothingToShow(
            f"{database}: no tracking database. Say where the sweep was tracked: --tracking URI."
        )
    if not place.uri.startswith("sqlite:") and not place.is_server:
        _refuse_away(place)


def _refuse_away(place: Place) -> None:
    """One attempt at the database: MLflow's own go on for two minutes, and end in a traceback."""
    try:
        postgres = make_url(place.uri).get_backend_name() == "postgresql"
        limit = {"connect_timeout": CONNECT_SECONDS} if postgres else {}
        create_engine(place.uri, connect_args=limit).connect().close()
    except (SQLAlchemyError, ImportError) as error:
        raise NoTracking(
            f"{place.shown}: cannot be reached ({place.hide(error)}). Start the database, or "
            "correct --tracking: postgresql+psycopg://USER:PASSWORD@HOST/DATABASE, with "
            "pip install 'pct-sweeps[postgres]'."
        ) from None  # the chain would show the password


def links_to(folder: Path, client: MlflowClient, root: str) -> Links:
    """Lay out the sweep's view at the server and return what opens it.

    A server that does not take the view gives links to a plain sorted table.
    """
    tracked = find(folder, client)
    runs = trials_of(client, tracked)
    if not runs:
        raise NothingToShow(
            f"{folder}: the tracking place has no trial of {tracked.sweep}. "
            "Say where the sweep was tracked: --tracking URI."
        )
    logged = logged_by(client, runs)
    order = order_of(tracked, logged)
    try:
        paint(client, runs)
        key = share(client, tracked, logged)
        table, charts = (shared_link(root, tracked, key, charts=c) for c in (False, True))
    except MlflowException:
        table, charts = (plain_link(root, tracked, order, charts=c) for c in (False, True))
    return Links(tracked.sweep, len(runs), order, table, charts, _lost_artifacts(client, tracked))


def _client_of(place: Place) -> MlflowClient:
    """A client of a server that runs already."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # or minutes of silence
    client = MlflowClient(tracking_uri=place.uri)
    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise NoTracking(
            f"{place.shown}: cannot be reached ({place.hide(error)}). Start the server there."
        ) from None  # the chain would show the password
    return client


def find(folder: Path, client: MlflowClient) -> Tracked:
    """The sweep of a folder, finished or under way."""
    path = folder / "sweep.json"
    if not path.exists():
        return _find_by_trial(folder, client)
    summary = json.loads(path.read_text(encoding="utf-8"))
    metric = summary["select"]["metric"]
    return Tracked(summary["sweep"], str(summary["experiment_id"]), metric)


def _find_by_trial(folder: Path, client: MlflowClient) -> Tracked:
    """Before its first summary a sweep is known by a trial's run."""
    from sweeps.changed import read_environment
    from sweeps.job import read_jobs
    from sweeps.labels import place_name

    job = read_jobs(folder)[0]
    experiments = [e.experiment_id for e in client.search_experiments()]
    mine = f"tags.`pct.trial` = '{job.leaf}' and tags.`pct.key` = '{job.last_key}'"
    runs = client.search_runs(experiments, mine)
    ending = f"-{place_name(folder, read_environment(folder).get('data', ''))}"
    found = [run for run in runs if run.data.tags["pct.sweep"].endswith(ending)]
    if not found:
        raise NothingToShow(
            f"{folder}: the tracking place does not know its trial {job.leaf}. Wait until the "
            "sweep has begun, or say where it is tracked: --tracking URI."
        )
    run = found[0]
    return Tracked(run.data.tags["pct.sweep"], run.info.experiment_id, job.run.select.metric)


def _lost_artifacts(client: MlflowClient, tracked: Tracked) -> str:
    """A database that was moved still looks for its pictures where it was made."""
    location = str(client.get_experiment(tracked.experiment_id).artifact_location)
    folder = unquote(urlsplit(location).path)
    if location.startswith("file:") and not Path(folder).exists():
        return f"pictures and models were written to {folder}, which is not here: none will show."
    return ""


def _without_user(uri: str) -> str:
    """The links carry no user and no password."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")
