"""A model folder into the registry: upload, version, aliases; each call may be the last.

A kill between any two calls leaves the champion that was. The same promotion again finds what is
whole and goes on from there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException

from sweeps.promotion.gate import Refused
from sweeps.promotion.registry import (
    CHAMPION,
    NAME,
    OURS,
    PREVIOUS,
    STAGE,
    TRIAL,
    Version,
    version_by,
    versions,
)
from sweeps.tracking.contact import FAILURES

ABOUT = (
    "MR to pseudo-CT generators, in HU. `champion` is the one in use, `previous` the one that it "
    "replaced; `pct promote` and `pct promote --rollback` move them. Research only."
)
MODEL_TYPE = "pseudo-CT generator"
FORBIDDEN = str.maketrans(dict.fromkeys("/:.%\"'", "-"))
"""What MLflow refuses in a logged model's name."""


@dataclass(frozen=True)
class Entry:
    """What is registered: a model folder, the run that it comes from, and what is said of it."""

    folder: Path
    run_id: str
    tags: Mapping[str, str]
    """`pct.*`, which tell whether an earlier, interrupted promotion was this one."""
    description: str


def register(client: MlflowClient, entry: Entry) -> str:
    """Upload a model folder as a logged model of its run and make it a version; its number."""
    for version in versions(client) if _is_named(client) else ():
        if _is_of(version.tags, entry.tags):
            return version.number
    model = _uploaded(client, entry)
    made = client.create_model_version(
        NAME, source=model.artifact_location, run_id=entry.run_id, tags=dict(entry.tags),
        description=entry.description, model_id=model.model_id, await_creation_for=None,
    )  # fmt: skip
    known_as = json.dumps([{"name": NAME, "version": made.version}])
    client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": known_as})
    return str(made.version)


def crown(client: MlflowClient, number: str, *, over: Version | None) -> None:
    """Make a version the champion, and the one that it replaces the previous one."""
    refuse_changed(client, over)
    if over:
        client.set_registered_model_alias(NAME, PREVIOUS, over.number)
    point(client, CHAMPION, number)


def point(client: MlflowClient, alias: str, number: str) -> None:
    """Move an alias. A call whose answer is lost, but which was heard, has done its work."""
    try:
        client.set_registered_model_alias(NAME, alias, number)
    except FAILURES:
        now = version_by(client, alias)
        if now is None or now.number != number:
            raise


def refuse_changed(client: MlflowClient, seen: Version | None) -> None:
    """Raise `Refused` where the champion is another than was `seen`: somebody else's work."""
    now = version_by(client, CHAMPION)
    if (now and now.number) != (seen and seen.number):
        raise Refused(
            f"the champion has changed meanwhile: it is {now.shown if now else 'gone'}, and was "
            f"{seen.shown if seen else 'none'}. It stays. Run the same command again."
        )


def _is_named(client: MlflowClient) -> bool:
    """Whether the registered model was there; it is made if not."""
    try:
        client.create_registered_model(NAME, description=ABOUT)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return True
    return False


def _uploaded(client: MlflowClient, entry: Entry) -> LoggedModel:
    """The entry's logged model, READY: an earlier one, or a new one.

    A failed upload ends FAILED; one that was killed stays PENDING until the next promotion.
    """
    experiment = client.get_run(entry.run_id).info.experiment_id
    query = f"tags.`{TRIAL}` = '{entry.tags[TRIAL]}' AND tags.`{STAGE}` = '{entry.tags[STAGE]}'"
    for model in client.search_logged_models([experiment], filter_string=query):
        if model.source_run_id != entry.run_id or not _is_of(model.tags, entry.tags):
            continue
        if model.status == LoggedModelStatus.READY:
            return model
        if model.status == LoggedModelStatus.PENDING:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
    model = client.create_logged_model(
        experiment, name=entry.folder.name.translate(FORBIDDEN), source_run_id=entry.run_id,
        tags={**entry.tags, "mlflow.note.content": entry.description}, model_type=MODEL_TYPE,
    )  # fmt: skip
    status = LoggedModelStatus.FAILED
    try:
        client.log_model_artifacts(model.model_id, str(entry.folder))
        client.log_outputs(entry.run_id, [LoggedModelOutput(model.model_id, step=0)])
        status = LoggedModelStatus.READY
    finally:
        model = client.finalize_logged_model(model.model_id, status)
    return model


def _is_of(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether the tags that are ours are those of this promotion."""
    return {tag: value for tag, value in found.items() if tag.startswith(OURS)} == dict(wanted)
