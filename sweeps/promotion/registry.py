"""Models in the MLflow registry: the champion in, a folder out."""

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from pct.model import BadModel
from sweeps.place import tracking_place
from sweeps.tracking import client_at

NAME = "pct"
ALIAS = "champion"
FOLDER = "pct-model"
"""The model folder's name among a run's artifacts."""


def find_champion(address: str, *, tracking: str | None = None) -> Path:
    """The model folder of `models:/NAME@ALIAS` or `models:/NAME/VERSION`, downloaded if need be.

    Without `tracking` and MLFLOW_TRACKING_URI it looks into ./mlflow.db.
    """
    place = tracking_place(Path("here"), tracking)
    database = place.uri.removeprefix("sqlite:///")
    if database != place.uri and not Path(database).exists():
        raise BadModel(f"{address}: there is no {database}. Say where: --tracking URI.")
    client = client_at(place)
    try:
        version = _version(client, address)
        folder = download_artifacts(artifact_uri=version.source, tracking_uri=place.uri)
    except (MlflowException, OSError, ValueError) as error:
        raise BadModel(
            f"{address}: not in the registry at {place.shown} ({place.hide(error)}). "
            "Promote a model first, or say where: --tracking URI."
        ) from None
    return Path(folder)


def _version(client: MlflowClient, address: str) -> Any:
    name, at, alias = address.removeprefix("models:/").partition("@")
    if at:
        return client.get_model_version_by_alias(name, alias)
    name, _, number = name.partition("/")
    return client.get_model_version(name, number)


def register(client: MlflowClient, run_id: str, folder: Path, *, tags: dict[str, str]) -> str:
    """Log a model folder to its run, register it, move the alias; the version's number."""
    if not client.search_registered_models(f"name = '{NAME}'"):
        client.create_registered_model(NAME, description="MR to pseudo-CT generators, in HU")
    client.log_artifacts(run_id, str(folder), FOLDER)
    source = f"{client.get_run(run_id).info.artifact_uri}/{FOLDER}"
    version = client.create_model_version(NAME, source=source, run_id=run_id, tags=tags)
    client.set_registered_model_alias(NAME, ALIAS, version.version)
    return str(version.version)


def champion_tags(client: MlflowClient) -> dict[str, str] | None:
    """Tags of the champion's version, with its `version`; None before the first promotion."""
    try:
        version = client.get_model_version_by_alias(NAME, ALIAS)
    except MlflowException:
        return None
    return {**version.tags, "version": str(version.version), "run_id": str(version.run_id)}
