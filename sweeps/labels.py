"""What is written on a sweep: names, tags, parameters and the summary."""

import hashlib
import platform
import re
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pct.config import Run
from sweeps.job import Job

if TYPE_CHECKING:
    from sweeps.session import Result
    from sweeps.sweep import Sweep


def sweep_name(sweep: "Sweep") -> str:
    """Stable over resumption, different for another recipe, folder or data."""
    place = f"{sweep.folder.resolve()} {sweep.manifest.digest}"
    folder = re.sub(r"[^\w.-]", "_", sweep.folder.resolve().name)
    return f"{sweep.recipe.name}-{folder}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def sweep_tags(sweep: "Sweep") -> dict[str, str]:
    """Tags that all runs of a sweep share."""
    return {
        "pct.recipe": sweep.recipe.name,
        "pct.data_digest": sweep.manifest.digest,
        "pct.split_sha": sweep.manifest.split_sha,
        "pct.mask_backend": ",".join(sweep.manifest.mask_backends),
    }


def trial_tags(job: Job, sweep: "Sweep") -> dict[str, str]:
    """Tags of one trial: its lineage, its note in the UI."""
    path = sweep.paths[job.leaf]
    lineage = " > ".join(f"{stage.first}-{stage.last}:{stage.key[:8]}" for stage in path)
    same = sweep.same[job.leaf]
    return {
        "pct.lineage": lineage,
        "pct.config_sha": job.base,
        "mlflow.note.content": f"Trial {job.leaf} of recipe {sweep.recipe.name}, {job.run.epochs} "
        f"epochs. Stages {lineage}." + (f" The same run as {same}." if same != job.leaf else ""),
    }


def run_params(job: Job) -> dict[str, Any]:
    """Fixed at the start: schedules as text (`20, 0 from 41`), size of the run, seed."""
    run: Run = job.run
    schedules = {name: ", ".join(_spell(step) for step in steps) for name, steps in run.schedule}
    return {
        **schedules,
        "epochs": run.epochs,
        "batch": run.batch,
        "seed": run.seed,
        "workers": run.workers,
        "generator": "-".join(map(str, run.generator.channels)),
        "warmup_epochs": run.warmup_epochs,
        **run.loss.model_dump(mode="json"),
    }


def _spell(step: tuple[int, float | str]) -> str:
    """`20`, or `0 from 41` for a later step."""
    finished, value = step
    shown = value if isinstance(value, str) else f"{value:g}"
    return f"{shown} from {finished + 1}" if finished else shown


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
