"""The MLflow registry read: who is champion, who was before, and the folder of a version."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from pct.model import BadModel
from sweeps.place import tracking_place
from sweeps.tracking import NoTracking, Place, client_at
from sweeps.tracking.contact import FAILURES, FILE, be_impatient

NAME = "pct"
CHAMPION, PREVIOUS = "champion", "previous"
ADDRESS = f"models:/{NAME}@{CHAMPION}"

OURS = "pct."
"""How our tags begin."""
TRIAL, STAGE, DIGEST = "pct.trial", "pct.stage", "pct.digest"
REPLACES = "pct.replaces"
"""Tag of a version: the number of the champion that it replaced; the first has none."""
ROLLED_BACK, ROLLED_BACK_NOTE = "pct.rolled_back_utc", "pct.rolled_back_note"
"""Tags of a version that was champion and is no more: when, and why."""
TESTED = "pct.tested_utc"
"""Tag of a version: when the test set was first opened for it."""

NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""How MLflow answers for no such model or version, and for no such alias."""


@dataclass(frozen=True)
class Version:
    """A version of the registered model."""

    number: str
    tags: Mapping[str, str]
    source: str
    """Where its files lie: a logged model's artifacts, or a run's in earlier releases."""
    description: str

    @property
    def address(self) -> str:
        """As `pct predict` takes it."""
        return f"models:/{NAME}/{self.number}"

    @property
    def shown(self) -> str:
        """Number and trial."""
        return f"version {self.number} ({self.tags.get(TRIAL, 'not by pct promote')})"


def find_champion(address: str, *, tracking: str | None = None) -> Path:
    """The model folder of `models:/NAME@ALIAS` or `models:/NAME/VERSION`, downloaded if need be.

    Without `tracking` and MLFLOW_TRACKING_URI it looks into ./mlflow.db.
    """
    place = known_place(Path("here"), tracking, wanted=address)
    client = client_at(place)
    try:
        source = _version(client, address).source
        folder = download_artifacts(artifact_uri=source, tracking_uri=place.uri)
    except (MlflowException, OSError, ValueError) as error:
        raise BadModel(
            f"{address}: not in the registry at {place.shown} ({place.hide(error)}). "
            "Promote a model first, or say where: --tracking URI."
        ) from None
    return Path(folder)


def known_place(folder: Path, tracking: str | None, *, wanted: str) -> Place:
    """Where a sweep's folder is tracked; a database file that is not there holds nothing wanted."""
    be_impatient()
    place = tracking_place(folder, tracking)
    database = place.uri.removeprefix(FILE)
    if database != place.uri and not Path(database).exists():
        raise BadModel(f"{wanted}: there is no {database}. Say where: --tracking URI.")
    return place


def version_by(client: MlflowClient, alias: str) -> Version | None:
    """The version that an alias points to, if any."""
    return _if_there(lambda: client.get_model_version_by_alias(NAME, alias))


def version_at(client: MlflowClient, number: str) -> Version | None:
    """A version by its number, if it is there."""
    return _if_there(lambda: client.get_model_version(NAME, number))


def versions(client: MlflowClient) -> list[Version]:
    """All versions, the newest first."""
    found = [_read(one) for one in client.search_model_versions(f"name = '{NAME}'")]
    return sorted(found, key=lambda version: -int(version.number))


@contextmanager
def answering(place: Place) -> Iterator[None]:
    """Calls to a registry: one that fails is told without a password, with what to do."""
    try:
        yield
    except FAILURES as error:
        raise NoTracking(
            f"{place.shown}: a call failed ({place.hide(error)}). Nothing is half done that "
            "the same command does not finish: run it again."
        ) from None


def _if_there(ask: Any) -> Version | None:
    try:
        return _read(ask())
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise  # a registry that is away must not look like an empty one
        return None


def _read(found: Any) -> Version:
    text = found.description or ""
    return Version(str(found.version), dict(found.tags), str(found.source), text)


def _version(client: MlflowClient, address: str) -> Any:
    name, at, alias = address.removeprefix("models:/").partition("@")
    if at:
        return client.get_model_version_by_alias(name, alias)
    name, _, number = name.partition("/")
    return client.get_model_version(name, number)
