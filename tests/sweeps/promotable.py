"""A finished sweep whose trials may be given any scores, promoted by the command line."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

from pct.__main__ import main
from sweeps.job import Job, read_jobs
from sweeps.promotion.registry import NAME, Version, version_at, version_by
from sweeps.runner import Where
from sweeps.session import run_sweep
from sweeps.tracking import Place, client_at
from sweeps.tracking.contact import experiment_at
from tests.sweeps.small_sweep import sweep_of

TRIALS = {"one": {}, "two": {"seed": 2}}

BESIDE = ("case-b", "case-c")
"""Made up, beside the one validation case of the phantoms: the gate wants three."""

GOOD = {
    "mae_head": 100.0, "edge_bone": 200.0, "ssim_masked": 0.8, "dice_hu250": 0.7, "mr_leak": 0.1,
}  # fmt: skip


@dataclass(frozen=True)
class Promotable:
    """The folder of a finished sweep, its tracking place and its data."""

    folder: Path
    place: Place
    data: Path

    @property
    def client(self) -> MlflowClient:
        return client_at(self.place)

    def copied(self, to: Path) -> "Promotable":
        """Folder, data and database copied; stages and uploaded files stay where they are."""
        other = Promotable(
            to / "OUT", Place(f"sqlite:///{to / 'mlflow.db'}", to / "x"), to / "DATA"
        )
        shutil.copytree(self.folder, other.folder)
        shutil.copytree(self.data, other.data)
        shutil.copy(self.place.uri.removeprefix("sqlite:///"), to / "mlflow.db")
        jobs = other.folder / "jobs.json"
        text = jobs.read_text().replace(f'"{self.folder}"', f'"{other.folder}"')
        jobs.write_text(text.replace(f'"{self.data}"', f'"{other.data}"'))
        for trial in TRIALS:
            other.score(trial)
        return other

    def tracked_at(self, place: Place) -> "Promotable":
        """The same folder, as if its trials had been tracked there; that registry is emptied."""
        client = client_at(place)
        if client.search_registered_models(f"name = '{NAME}'"):
            client.delete_registered_model(NAME)
        experiment = experiment_at(client, place, "promotable")
        path = self.folder / "trials.parquet"
        trials = pd.read_parquet(path)
        runs = [client.create_run(experiment).info.run_id for _ in range(len(trials))]
        trials.assign(run_id=runs).to_parquet(path)
        return Promotable(self.folder, place, self.data)

    def pct(self, *words: str) -> int:
        """`pct promote OUT` and more words, tracked in its own place; the exit code."""
        return main(["promote", str(self.folder), "--tracking", self.place.uri, *words])

    def job(self, trial: str) -> Job:
        return next(job for job in read_jobs(self.folder) if job.leaf == trial)

    def score(self, trial: str, **level: float) -> None:
        """Give a trial these means over three cases, and what is good where none is said."""
        path = self.job(trial).scores
        table = pd.read_parquet(path)
        table = table[~table["case"].isin(BESIDE)]
        parts = [table, *(table.assign(case=case) for case in BESIDE)]
        for part, share in zip(parts, (0.9, 1.0, 1.1), strict=True):
            for metric, mean in {**GOOD, **level}.items():
                part.loc[part["metric"] == metric, "value"] = mean * share
        pd.concat(parts, ignore_index=True).to_parquet(path)

    def at(self, alias: str) -> str | None:
        """The trial that an alias points to."""
        version = version_by(self.client, alias)
        return version.tags["pct.trial"] if version else None

    def version(self, number: int) -> Version:
        found = version_at(self.client, str(number))
        assert found, f"no version {number}"
        return found

    def numbers(self) -> list[int]:
        found = self.client.search_model_versions(f"name = '{NAME}'")
        return sorted(int(version.version) for version in found)


def finished_sweep(folder: Path, data: Path) -> Promotable:
    place = Place(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    sweep = sweep_of(folder / "OUT", data, TRIALS, epochs=1)
    run_sweep(sweep, place, Where(here=True))
    return Promotable(folder / "OUT", place, data)
