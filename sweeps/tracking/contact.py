"""First contact with a tracking place: schema and experiment are made once, by the driver."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from data_prep.errors import PctError
from sweeps.tracking.place import POSTGRES, Place

FAILURES = (MlflowException, SQLAlchemyError, OSError)
"""What a call to a place that is away, or refuses, may raise."""

BEHAVIOUR = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "PGCONNECT_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""MLflow would try a call for 4 minutes, and print a line for each run that ends.

We try again a second later, with all that has come meanwhile.
"""

LINK = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "20000",
}
"""Of libpq, in seconds, but the last in milliseconds: how soon a dead link is given up."""

STATEMENT = "statement_timeout"
STATEMENT_MS = 10_000
"""How long Postgres works, or waits for a lock, on one statement."""

FILE = "sqlite:///"

LOCK = 0x70637473
"""Of the Postgres advisory lock that is held at first contact."""


class NoTracking(PctError):
    """The tracking server cannot be reached, or lacks something."""


def be_impatient() -> None:
    """Bound what one call may take, and be quiet; what the user has set stays."""
    for name, value in BEHAVIOUR.items():
        os.environ.setdefault(name, value)


def bounded(uri: str) -> str:
    """A Postgres URI whose calls end in time; what its query or PGOPTIONS sets stays."""
    if not uri.startswith("postgresql"):
        return uri
    url = make_url(uri)
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return uri
    given = url.query.get("options", os.environ.get("PGOPTIONS", ""))
    options = given if isinstance(given, str) else " ".join(given)
    if STATEMENT not in options:
        options = f"{options} -c {STATEMENT}={STATEMENT_MS}".strip()
    more = {**LINK, **url.query, "options": options}
    return url.set(query=more).render_as_string(hide_password=False)


def client_at(place: Place) -> MlflowClient:
    """A client; the first contact makes the schema, so it happens once, before any trial."""
    _require_driver(place)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    try:
        with _alone(place):  # of several programs that make the schema at once all but one fail
            _make_whole(place)
            client = MlflowClient(tracking_uri=bounded(place.uri))
            client.search_experiments(max_results=1)
    except (*FAILURES, ImportError) as error:
        raise NoTracking(
            f"{place.shown}: cannot be reached ({place.hide(error)}). Start the server, "
            "or leave out --tracking for a local file."
        ) from None  # the chain would show the error with its password
    return client


def experiment_at(client: MlflowClient, place: Place, name: str) -> str:
    """Id of the experiment of that name, made if need be: through a server, or with our folder."""
    try:
        with _alone(place):
            return _experiment(client, place, name)
    except FAILURES as error:
        raise NoTracking(
            f"{place.shown}: no experiment {name!r} could be had there ({place.hide(error)}). "
            "Run the same command again."
        ) from None


def _experiment(client: MlflowClient, place: Place, name: str) -> str:
    location = None if place.is_server else place.artifacts.resolve().as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another driver was faster
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise NoTracking(
            f"{place.shown}: the experiment {name!r} was deleted there. Restore it: "
            f"mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return str(found.experiment_id)


def _require_driver(place: Place) -> None:
    if place.uri.startswith(POSTGRES) and find_spec("psycopg") is None:
        raise NoTracking(
            f"{place.shown}: a Postgres database needs the package psycopg. "
            "pip install 'pct-sweeps[postgres]'"
        )


def _make_whole(place: Place) -> None:
    """Make a database in a file under another name: a kill leaves no half of a schema behind."""
    path = Path(place.uri.removeprefix(FILE))
    if not place.uri.startswith(FILE) or path.exists():
        return
    new = path.with_name(f".{path.name}.new")
    for stale in path.parent.glob(f"{new.name}*"):  # a journal would be played into the new one
        stale.unlink()
    MlflowClient(tracking_uri=f"{FILE}{new}").search_experiments(max_results=1)
    new.replace(path)


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Hold a database, whatever other programs of ours want to begin in it."""
    if place.uri.startswith(FILE):
        path = Path(place.uri.removeprefix(FILE))
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            yield
    elif place.uri.startswith("postgresql"):
        with _advisory_lock(place):
            yield
    else:  # a server looks after itself
        yield


@contextmanager
def _advisory_lock(place: Place) -> Iterator[None]:
    """Postgres frees it with the connection, so a killed holder holds nothing."""
    engine = sqlalchemy.create_engine(place.uri, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:  # unbounded: another may make the schema for long
        connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({LOCK})"))
        yield
