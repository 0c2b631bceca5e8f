"""What is written on a sweep: names, tags, parameters and the summary."""

import hashlib
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pct.config import Run
from pct.schedule import value_at
from sweeps.job import Job
from sweeps.tracking.card import Card
from sweeps.tracking.data_set import data_input
from sweeps.tree import shared_epochs

if TYPE_CHECKING:
    from sweeps.session import Result
    from sweeps.sweep import Sweep


def sweep_name(sweep: "Sweep") -> str:
    """Stable over resumption, different for another recipe, folder or data."""
    return f"{sweep.recipe.name}-{place_name(sweep.folder, sweep.manifest.digest)}"


def place_name(folder: Path, digest: str) -> str:
    """How the names of all sweeps in a folder end, on data with this digest."""
    place = f"{folder.resolve()} {digest}"
    shown = re.sub(r"[^\w.-]", "_", folder.resolve().name)
    return f"{shown}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def sweep_tags(sweep: "Sweep") -> dict[str, str]:
    """Tags that all runs of a sweep share."""
    return {
        "pct.recipe": sweep.recipe.name,
        "pct.data_digest": sweep.manifest.digest,
        "pct.split_sha": sweep.manifest.split_sha,
        "pct.mask_backend": ",".join(sweep.manifest.mask_backends),
        "pct.code": code(),
    }


MOST_NAMES = 5
"""Branches that a note names."""


def card(job: Job, sweep: "Sweep") -> Card:
    """What is written on a trial's run."""
    at, siblings = fork_of(job, sweep.jobs_of[job.trial])
    return Card(
        params=run_params(job.run, at, [sibling.run for sibling in siblings]),
        tags=trial_tags(job, sweep, at, siblings),
        data=data_input(sweep.manifest, sweep.data.resolve().name),
        forked_at=at,
        siblings=siblings,
    )


def fork_of(job: Job, jobs: Sequence[Job]) -> tuple[int, tuple[Job, ...]]:
    """Finished epochs at a trial's last fork, and the branches it parted from; (0, ()) if none.

    Another trial that happens to begin alike is no branch of this one.
    """
    shared = [
        (shared_epochs(job.course, other.course), other)
        for other in jobs
        if other.leaf != job.leaf and other.trial == job.trial
    ]
    at = max((epochs for epochs, _ in shared if epochs < job.run.epochs), default=0)
    return at, tuple(other for epochs, other in shared if at and epochs >= at)


def trial_tags(job: Job, sweep: "Sweep", at: int, siblings: Sequence[Job]) -> dict[str, str]:
    """Tags of one trial: its lineage, its note in the UI."""
    stages = " > ".join(
        f"{stage.first}-{stage.last}:{stage.key[:8]}" for stage in sweep.paths[job.leaf]
    )
    return {
        "pct.lineage": job.leaf.replace(".", "/"),
        "pct.stages": stages,
        "pct.config_sha": job.base,
        **({"pct.forked_at_epoch": str(at)} if at else {}),
        "mlflow.note.content": _note(job, sweep, at, siblings),
    }


def _note(job: Job, sweep: "Sweep", at: int, siblings: Sequence[Job]) -> str:
    """A paragraph for who meets the run in MLflow."""
    run, same = job.run, sweep.same[job.leaf]
    text = (
        f"Trial {job.leaf} of the recipe {sweep.recipe.name}: {run.epochs} epochs on "
        f"{sweep.data.resolve().name} ({sweep.manifest.num_cases['train']} training cases), "
        f"seed {run.seed}, the best generator chosen by {run.select.metric}."
    )
    if at:
        others = ", ".join(sibling.leaf for sibling in siblings[:MOST_NAMES])
        more = len(siblings) - MOST_NAMES
        others += f" and {more} more" if more > 0 else ""
        text += f" A branch: epochs 1-{at} are shared with {others} and trained once."
    at = at or _last_change(run)
    changed = [
        f"{name} {_shown(value_at(steps, at - 1))} -> {_shown(value_at(steps, at))}"
        for name, steps in run.schedule
        if at and value_at(steps, at - 1) != value_at(steps, at)
    ]
    if changed:
        text += f" From epoch {at + 1}: {', '.join(changed)}."
    return text + (f" The same run as {same}." if same != job.leaf else "")


def run_params(run: Run, at: int = 0, siblings: Sequence[Run] = ()) -> dict[str, Any]:
    """Fixed at the start: schedules by their first value, size of the run, seed.

    What changes at the fork `at` (or, without one, at the last change) is given once more as
    `NAME_after`, with `switch_epoch`; a schedule of several steps as text, `20, 0 from 41`.
    """
    at = at or _last_change(run)
    values: dict[str, Any] = {}
    for name, steps in run.schedule:
        values[name] = _shown(value_at(steps, 0))
        if len(steps) > 1:
            values[f"{name}_schedule"] = ", ".join(_spell(step) for step in steps)
        others = [getattr(other.schedule, name) for other in siblings]
        if at and any(value_at(s, at) != value_at(s, at - 1) for s in (steps, *others)):
            values |= {f"{name}_after": _shown(value_at(steps, at)), "switch_epoch": at}
    return {
        **values,
        "epochs": run.epochs,
        "batch": run.batch,
        "seed": run.seed,
        "workers": run.workers,
        "generator": "-".join(map(str, run.generator.channels)),
        "warmup_epochs": run.warmup_epochs,
        **run.loss.model_dump(mode="json"),
    }


def _last_change(run: Run) -> int:
    """Finished epochs after which a schedule changes for the last time; 0 where none does."""
    last: int = max(key for _, steps in run.schedule for key, _ in steps if key < run.epochs)
    return last


def _spell(step: tuple[int, float | str]) -> str:
    """`20`, or `0 from 41` for a later step."""
    finished, value = step
    return f"{_shown(value)} from {finished + 1}" if finished else _shown(value)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


@cache
def code() -> str:
    """The package's version, and the commit where it lies in a checkout."""
    root, found = Path(__file__).parents[1], version("pct-sweeps")
    if not (root / ".git").exists():
        return found
    command = [
        "git",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return found
    return f"{found}+{told.stdout.strip()}" if told.returncode == 0 else found


def summary(sweep: "Sweep", result: "Result") -> dict[str, Any]:
    """`sweep.json`."""
    manifest = sweep.manifest
    return {
        "sweep": sweep_name(sweep), "recipe": sweep.recipe.name, "preset": sweep.recipe.base,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "epochs_written": result.written_epochs, "epochs_planned": result.unique_epochs,
        "epochs_trained": result.trained_epochs,
        "data": {"folder": str(sweep.data.resolve()), "digest": manifest.digest,
                 "split_sha": manifest.split_sha, "grid": asdict(manifest.grid),
                 "num_cases": manifest.num_cases, "mask_backends": list(manifest.mask_backends)},
        "select": {"metric": result.selected_by, "mode": "max"},
        "store": sweep.store.root, "experiment_id": result.experiment_id,
        "versions": {name: version(name) for name in ("torch", "monai", "kornia", "ray", "mlflow")}
        | {"python": platform.python_version(), "pct-sweeps": version("pct-sweeps")},
    }  # fmt: skip
