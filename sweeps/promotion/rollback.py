"""The way back: the version that the champion replaced is champion again."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient

from pct.model import load_model
from sweeps.promotion.gate import Refused
from sweeps.promotion.register import point, refuse_changed
from sweeps.promotion.registry import (
    ADDRESS,
    CHAMPION,
    NAME,
    PREVIOUS,
    REPLACES,
    ROLLED_BACK,
    ROLLED_BACK_NOTE,
    Version,
    answering,
    find_champion,
    known_place,
    version_at,
    version_by,
)
from sweeps.tracking import client_at

MARK = "Rolled back on"


@dataclass(frozen=True)
class RolledBack:
    """What `pct promote --rollback` did."""

    champion: Version
    """That of now."""
    left: Version


def roll_back(folder: Path, *, tracking: str | None, note: str) -> RolledBack:
    """Make the version that the champion replaced the champion; the one left is tagged with why.

    It follows the tags: whatever call is the last before a kill, the same command again ends alike.
    """
    place = known_place(folder, tracking, wanted=ADDRESS)
    client = client_at(place)
    with answering(place):
        left = version_by(client, CHAMPION)
        if left is None:
            raise Refused(
                f"no model is champion at {place.shown}: nothing to roll back. "
                "Promote one, or say where: --tracking URI."
            )
        target = _replaced_by(client, left)
        load_model(find_champion(target.address, tracking=place.uri))
        refuse_changed(client, left)
        _mark(client, left, note)
        _point_previous(client, target)
        point(client, CHAMPION, target.number)
    return RolledBack(target, left)


def _replaced_by(client: MlflowClient, left: Version) -> Version:
    """The champion before this one; by its alias where there is no tag."""
    number = left.tags.get(REPLACES)
    alias = version_by(client, PREVIOUS) if number is None else None
    if alias and alias.number != left.number:
        number = alias.number
    if not number:
        raise Refused(f"{left.shown} replaced no other champion: nothing to roll back to.")
    target = version_at(client, number)
    if target is None:
        raise Refused(
            f"version {number}, which {left.shown} replaced, is no more in the registry: nothing "
            "to roll back to. Promote a trial again, with --trial."
        )
    return target


def _mark(client: MlflowClient, left: Version, note: str) -> None:
    """Tags for the gate, and a first line for whoever looks at its page."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    tags = {ROLLED_BACK: now, ROLLED_BACK_NOTE: note} if note else {ROLLED_BACK: now}
    for tag, value in tags.items():
        client.set_model_version_tag(NAME, left.number, tag, value)
    told = left.description
    if told.startswith(MARK):  # by a way back that was cut short
        told = told.partition("\n\n")[2]
    why = f": {' '.join(note.split())}" if note else ""
    client.update_model_version(NAME, left.number, f"{MARK} {now}{why}.\n\n{told}")


def _point_previous(client: MlflowClient, target: Version) -> None:
    """To the champion before `target`, or nowhere."""
    number = target.tags.get(REPLACES)
    if number and version_at(client, number):
        client.set_registered_model_alias(NAME, PREVIOUS, number)
    else:
        client.delete_registered_model_alias(NAME, PREVIOUS)
