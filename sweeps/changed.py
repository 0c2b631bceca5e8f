"""What makes leaves of an earlier session train anew: other data, other code, other settings."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeps.courses import settings_of
from sweeps.job import Job, read_outcome, write_json
from sweeps.stages import Which, committed_epochs
from sweeps.tree import shared_epochs

FILE = "environment.json"
GONE = "trained anew from epoch 1: the store holds none of its stages any more"
MEANING = {
    "data": "the data set (its digest)",
    "numerics": "pct's arithmetic (NUMERICS)",
    "torch": "torch",
}


def write_environment(folder: Path, environment: Mapping[str, Any]) -> None:
    """Keep what, beside the runs, decides this session's numbers."""
    write_json(folder / FILE, dict(environment))


def read_environment(folder: Path) -> dict[str, Any]:
    """What decided the numbers of the folder's last session; {} where there was none."""
    path = folder / FILE
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def why_anew(
    folder: Path, jobs: Sequence[Job], environment: Mapping[str, Any], which: Which
) -> list[str]:
    """A line for each reason why leaves that were in `folder` share nothing, or less, with then.

    `which` tells what the store still holds.
    """
    path = folder / "jobs.json"
    if not path.exists():
        return []
    before = {plain["leaf"]: Job.model_validate(plain) for plain in json.loads(path.read_text())}
    old = read_environment(folder)
    reasons: dict[str, list[str]] = {}
    for job in jobs:
        was = before.get(job.leaf)
        if was is None:
            continue
        reason = _reason(was, job, old, environment)
        if not reason and job.last_key != was.last_key and read_outcome(was):
            gone = not committed_epochs(job.course, which)
            reason = GONE if gone else ""
        if reason:
            reasons.setdefault(reason, []).append(job.leaf)
    return [f"{_names(leaves)}: {reason}" for reason, leaves in reasons.items()]


def has_other_data(folder: Path, environment: Mapping[str, Any]) -> bool:
    """Whether the folder was last used with another data set."""
    before = read_environment(folder)
    return bool(before) and before["data"] != environment["data"]


def _reason(was: Job, job: Job, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if was.base == job.base:
        shared = shared_epochs(was.course, job.course)
        if shared == min(was.run.epochs, job.run.epochs):
            return ""
        return f"another schedule from epoch {shared + 1}; what was trained after it is not used"
    differences = [
        f"{MEANING.get(name, name)} {_short(old.get(name))} -> {_short(new[name])}"
        for name in new
        if old and old.get(name) != new[name]
    ]
    differences += _settings(settings_of(was.run), settings_of(job.run))
    return f"trained anew from epoch 1: {'; '.join(differences) or 'its identity differs'}"


def _settings(was: Any, now: Any, name: str = "") -> list[str]:
    """Settings that differ, by their dotted names."""
    if isinstance(was, dict) and isinstance(now, dict):
        keys = list(dict.fromkeys([*was, *now]))
        return [
            line
            for key in keys
            for line in _settings(was.get(key), now.get(key), f"{name}.{key}" if name else key)
        ]
    return [] if was == now else [f"{name} {was} -> {now}"]


def _short(value: Any) -> str:
    return str(value)[:12]


def _names(leaves: Sequence[str]) -> str:
    return ", ".join(leaves) if len(leaves) <= 4 else f"{leaves[0]} and {len(leaves) - 1} more"
