"""The driver's link to MLflow: spools are drained into runs. Trials never open the database.

Parent run = sweep, one child a trial, step = epoch. Sending may be late, it never stops training:
what cannot be sent stays in the spool and is tried again.
"""

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from data_prep.errors import PctError
from sweeps import spool
from sweeps.job import Job, Outcome

log = logging.getLogger(__name__)

BATCH = 1000
"""Most metrics that MLflow takes in one call."""


class NoTracking(PctError):
    """The tracking server cannot be reached, or lacks something."""


@dataclass(frozen=True)
class Place:
    """Where runs go: a tracking URI, and the folder of artifacts for experiments made here."""

    uri: str
    artifacts: Path


def client_at(place: Place) -> MlflowClient:
    """A client; the first contact makes the schema, so it happens once, before any trial."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    try:
        with _alone(place):  # of several programs that make the schema at once all but one fail
            _make_whole(place)
            client = MlflowClient(tracking_uri=place.uri)
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise NoTracking(
            f"{place.uri}: cannot be reached ({error}). Start the server, "
            "or leave out --tracking for a local file."
        ) from error
    return client


class Tracker:
    """The sweep's runs in MLflow: `register` each leaf, `drain` often, `close` each outcome."""

    def __init__(
        self, place: Place, *, experiment: str, sweep: str, tags: Mapping[str, str]
    ) -> None:
        self.client = client_at(place)
        self.experiment_id = _experiment(self.client, place, experiment)
        self._sweep, self._tags = sweep, dict(tags)
        self.parent_id = self._run("sweep", sweep, {**tags, "pct.kind": "sweep"})
        self._runs: dict[str, str] = {}
        self._jobs: dict[str, Job] = {}
        self._drained: dict[str, int] = {}  # a spool only grows while its sweep runs
        self._lock = threading.Lock()

    def register(self, job: Job, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Find or make the run of a leaf; parameters are fixed at its start. Returns the run id."""
        own = {
            **self._tags,
            **tags,
            "pct.kind": "trial",
            "pct.trial": job.leaf,
            "mlflow.parentRunId": self.parent_id,
            "pct.key": job.last_key,
        }
        run_id = self._run(job.leaf, job.leaf, own, params)
        with self._lock:
            self._runs[job.leaf], self._jobs[job.leaf] = run_id, job
        return run_id

    @property
    def run_ids(self) -> dict[str, str]:
        """Run of each registered leaf."""
        return dict(self._runs)

    def drain(self) -> None:
        """Send what the spools have gained. On failure the rest waits for the next call."""
        with self._lock:
            for leaf, job in self._jobs.items():
                size = job.spool.stat().st_size if job.spool.exists() else 0
                if size == self._drained.get(leaf, 0):
                    continue  # asking the database costs more than all else here
                try:
                    self._drain(job, self._runs[leaf])
                    self._drained[leaf] = size
                except (MlflowException, SQLAlchemyError, OSError) as error:
                    log.warning("tracking of %s is late: %s", leaf, error)

    def close(self, job: Job, outcome: Outcome) -> None:
        """Log a leaf's final metrics and end its run."""
        run_id = self._runs[job.leaf]
        final = {
            **outcome.final,
            "best/epoch": float(outcome.best_epoch),
            f"best/{job.run.select.metric.removeprefix('val/')}": outcome.best_value,
        }
        self._log(run_id, final.items(), step=outcome.epochs, timestamp=_now_ms())
        self.client.set_tag(run_id, "pct.reason", outcome.reason[:500])
        self.client.set_terminated(run_id, outcome.status)

    def close_sweep(self, *, failed: bool) -> None:
        """End the parent run."""
        self.client.set_terminated(self.parent_id, "FAILED" if failed else "FINISHED")

    def _drain(self, job: Job, run_id: str) -> None:
        tags = self.client.get_run(run_id).data.tags
        spool_id, last = spool.identity(job.spool), int(tags.get("pct.last_epoch", 0))
        sent_id, _, sent = tags.get("pct.spool_sent", "").partition(":")
        offset = int(sent) if sent_id == spool_id and sent else 0
        lines, end = spool.read_lines(job.spool, offset=offset)
        metrics: list[Metric] = []
        for line in lines:
            if line["kind"] == "image":
                self._log_image(job, run_id, line)
            elif line["kind"] == "epoch" and line["epoch"] > last:
                last = line["epoch"]
                metrics += _metrics(line["metrics"].items(), last, int(line["time"] * 1000))
        for at in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[at : at + BATCH])
        if end > offset:
            self.client.log_batch(
                run_id,
                tags=[
                    RunTag("pct.spool_sent", f"{spool_id}:{end}"),
                    RunTag("pct.last_epoch", str(last)),
                ],
            )

    def _log_image(self, job: Job, run_id: str, line: Mapping[str, Any]) -> None:
        from PIL import Image

        with Image.open(Path(job.folder) / line["path"]) as image:
            self.client.log_image(run_id, image, key=line["key"], step=line["epoch"])

    def _log(
        self, run_id: str, items: Iterable[tuple[str, float]], *, step: int, timestamp: int
    ) -> None:
        self.client.log_batch(run_id, metrics=_metrics(items, step, timestamp))

    def _run(
        self,
        key: str,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any] | None = None,
    ) -> str:
        """The run of this sweep with this key, set running again, or a new one."""
        found = self.client.search_runs(
            [self.experiment_id],
            f"tags.`pct.sweep` = '{self._sweep}' and tags.`pct.run` = '{key}'"
            + (f" and tags.`pct.key` = '{tags['pct.key']}'" if "pct.key" in tags else ""),
        )
        if found:
            run_id: str = found[0].info.run_id
            self.client.update_run(run_id, status="RUNNING")
            return run_id
        own = {**tags, "pct.sweep": self._sweep, "pct.run": key}
        run_id = self.client.create_run(self.experiment_id, run_name=name, tags=own).info.run_id
        self.client.log_batch(run_id, params=[Param(k, str(v)) for k, v in (params or {}).items()])
        return run_id


class Draining:
    """A thread that drains every `seconds` while the `with` block runs, and once after it."""

    def __init__(
        self, tracker: Tracker, *, seconds: float = 1.0, also: Callable[[], None] = lambda: None
    ) -> None:
        self._tracker, self._seconds, self._also = tracker, seconds, also
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Draining":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._tracker.drain()
        self._also()

    def _work(self) -> None:
        while not self._stop.wait(self._seconds):
            self._tracker.drain()
            self._also()


def _make_whole(place: Place) -> None:
    """Make a database in a file under another name: a kill leaves no half of a schema behind."""
    path = Path(place.uri.removeprefix("sqlite:///"))
    if str(path) == place.uri or path.exists():
        return
    new = path.with_name(f".{path.name}.new")
    for stale in path.parent.glob(f"{new.name}*"):  # a journal would be played into the new one
        stale.unlink()
    MlflowClient(tracking_uri=f"sqlite:///{new}").search_experiments(max_results=1)
    new.replace(path)


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Hold a database in a file; a server looks after itself."""
    if not place.uri.startswith("sqlite:///"):
        yield
        return
    path = Path(place.uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


def _experiment(client: MlflowClient, place: Place, name: str) -> str:
    with _alone(place):
        return _found_experiment(client, place, name)


def _found_experiment(client: MlflowClient, place: Place, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found:
        experiment_id: str = found.experiment_id
        return experiment_id
    local = place.uri.startswith("sqlite:")
    location = place.artifacts.resolve().as_uri() if local else None
    made: str = client.create_experiment(name, artifact_location=location)
    return made


def _metrics(items: Iterable[tuple[str, float]], step: int, timestamp: int) -> list[Metric]:
    """Finite values only: MLflow would store infinity as 1.8e308 and wreck the axis."""
    return [
        Metric(name, float(value), timestamp, step) for name, value in items if math.isfinite(value)
    ]


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
