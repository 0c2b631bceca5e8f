"""The tables of a sweep's folder: what the report, and anyone with pandas, reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from data_prep.atomic import renamed
from sweeps import spool
from sweeps.job import Job, NoSweep, Outcome, write_json
from sweeps.recipe import Recipe
from sweeps.tree import Stage


def write_jobs(folder: Path, jobs: Sequence[Job]) -> None:
    """`jobs.json`: every trial as its workers receive it."""
    write_json(folder / "jobs.json", [job.model_dump(mode="json") for job in jobs])


def write_recipe(folder: Path, recipe: Recipe, jobs: Sequence[Job]) -> None:
    """`recipe.yaml`: every trial with its settings resolved."""
    content = {
        "recipe": recipe.name,
        "base": recipe.base,
        "trials": {job.leaf: job.run.model_dump(mode="json") for job in jobs},
    }
    yaml = YAML()
    yaml.default_flow_style = None
    with renamed(folder / "recipe.yaml") as temporary:
        yaml.dump(content, temporary)


def read_summary(folder: Path) -> dict[str, Any]:
    """`sweep.json`; one that is absent or damaged is a `NoSweep`."""
    path = folder / "sweep.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        content["data"]["digest"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise NoSweep(
            f"{path}: is absent or damaged ({type(error).__name__}). Run the same pct sweep again: "
            "it writes the file anew, and trains nothing that is done."
        ) from error
    return content


def write_history(folder: Path, jobs: Sequence[Job]) -> pd.DataFrame:
    """`history.parquet`: a row a trial, epoch and metric, with `carried` for shared epochs."""
    rows = [
        (job.leaf, line["epoch"], metric, float(value), bool(line["carried"]))
        for job in jobs
        for line in spool.epochs(job.spool)
        for metric, value in line["metrics"].items()
    ]
    table = pd.DataFrame(rows, columns=["trial", "epoch", "metric", "value", "carried"])
    _write(table, folder / "history.parquet")
    return table


def write_scores(folder: Path, jobs: Sequence[Job]) -> None:
    """`scores.parquet`: the validation scores of all trials; rows of the test set are kept."""
    path = folder / "scores.parquet"
    parts = [pd.read_parquet(job.scores) for job in jobs if job.scores.exists()]
    if path.exists():
        old = pd.read_parquet(path)
        parts.append(old[old["split"] == "test"])
    if parts:
        _write(pd.concat(parts, ignore_index=True), path)


def write_cases(folder: Path, data: Path) -> None:
    """`cases.parquet`: the data folder's, with what is known of each case and who was refused."""
    with renamed(folder / "cases.parquet") as temporary:
        temporary.write_bytes((data / "cases.parquet").read_bytes())


def write_trials(
    folder: Path,
    jobs: Sequence[Job],
    outcomes: Mapping[str, Outcome],
    paths: Mapping[str, Sequence[Stage]],
    same: Mapping[str, str],
    run_ids: Mapping[str, str],
) -> None:
    """`trials.parquet`: a row a trial, with its stages as JSON."""
    rows = []
    for job in jobs:
        outcome, path = outcomes[job.leaf], paths[job.leaf]
        lines = spool.epochs(job.spool)
        carried = [line["epoch"] for line in lines if line["carried"]]
        source = _forked_from(job.leaf, path, carried)
        rows.append(
            {
                "trial": job.leaf,
                "status": outcome.status,
                "reason": outcome.reason,
                "epochs": outcome.epochs,
                "own_epochs": len(lines) - len(carried),
                "forked_from": source,
                "forked_at": max(carried) if source else None,
                "same_as": same[job.leaf] if same[job.leaf] != job.leaf else None,
                "run_id": run_ids[job.leaf],
                "best_epoch": outcome.best_epoch,
                "best_value": outcome.best_value,
                "seconds": outcome.seconds,
                "last_stage": outcome.last_stage,
                "stages": json.dumps([_stage(s) for s in path]),
            }
        )
    table = pd.DataFrame(rows).astype({"forked_at": "Int64"})
    _write(table, folder / "trials.parquet")


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """`sweep.json`; what promotion added to an earlier one is kept."""
    path = folder / "sweep.json"
    old = json.loads(path.read_text()) if path.exists() else {"champion": None}
    created = {"created_utc": old["created_utc"]} if "created_utc" in old else {}
    write_json(path, {**old, **summary, **created})


def add_to_summary(folder: Path, **facts: Any) -> None:
    """Lay facts over `sweep.json`."""
    path = folder / "sweep.json"
    write_json(path, {**json.loads(path.read_text()), **facts})


def _forked_from(leaf: str, path: Sequence[Stage], carried: Sequence[int]) -> str | None:
    """A leaf that trained the last shared epoch for this one, or None where nothing was shared."""
    if not carried:
        return None
    shared = next((s for s in reversed(path) if s.last <= max(carried)), None)
    return next((other for other in shared.leaves if other != leaf), None) if shared else None


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "first": stage.first,
        "last": stage.last,
        "stage": stage.key,
        "values": dict(stage.values),
    }


def _write(table: pd.DataFrame, path: Path) -> None:
    with renamed(path) as temporary:
        table.to_parquet(temporary)
