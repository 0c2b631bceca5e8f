"""One spool on its way into one run: every epoch once, whoever was killed in between.

MLflow takes the metrics of one `log_batch` whole or not at all, and passes over a point that it
has (same step, time and value: `SqlAlchemyStore._log_metrics_once`). Tags come after them in a
transaction of their own, so no tag can say what has arrived: where it is in doubt the run is asked.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric

from sweeps import spool
from sweeps.tracking.best import Best
from sweeps.tracking.pictures import Picture, send_pictures

MOST = 1000
"""Metrics that MLflow takes in one call."""


class Feed:
    """How much of a spool has arrived in its run.

    `metric` stands in every line and tells which epochs the run has; `bests` follow its values.
    """

    def __init__(self, path: Path, *, metric: str, bests: tuple[Best, ...] = ()) -> None:
        self._path, self._metric, self._bests_at_start = path, metric, bests
        self._begin("")

    def _begin(self, identity: str) -> None:
        self._identity, self._offset = identity, 0
        self._last: int | None = None
        self._bests = self._bests_at_start
        self._times: dict[int, int] = {}
        self._pictures: list[Picture] = []
        self.carried, self.ray_trial = False, ""

    def doubt(self) -> None:
        """After a failed call: ask again what has arrived."""
        self._last = None

    def send(self, client: MlflowClient, run_id: str, folder: Path) -> None:
        """Send what the spool has gained. After an error, the next call sends the same again."""
        if not self._path.exists():
            return
        settled = self._last is not None and not self._ready()
        if settled and self._path.stat().st_size == self._offset:
            return  # asking the server costs more than all else here
        identity = spool.identity(self._path)
        if identity != self._identity:
            self._begin(identity)
        self._send_epochs(client, run_id)
        if ready := self._ready():
            send_pictures(client, run_id, ready, folder)
            self._pictures = [p for p in self._pictures if p.epoch not in self._times]

    def _ready(self) -> list[Picture]:
        """Pictures of epochs whose line has come: it holds their time."""
        return [
            Picture(p.key, p.epoch, p.path, self._times[p.epoch])
            for p in self._pictures
            if p.epoch in self._times
        ]

    def _send_epochs(self, client: MlflowClient, run_id: str) -> None:
        lines, end = spool.read_lines(self._path, offset=self._offset)
        if self._last is None:
            self._last = last_step(client, run_id, self._metric)
        bests, points, last = self._bests, [], self._last
        for line in (line for line in lines if line["kind"] == "epoch"):
            epoch, values = line["epoch"], dict(line["metrics"])
            grown = tuple(best.after(epoch, values[self._metric]) for best in bests)
            for old, new in zip(bests, grown, strict=True):
                values |= new.metrics(self._metric) if new != old else {}
            bests = grown
            if epoch > last:
                points.append(metrics_at(epoch, values, _milliseconds(line)))
        for batch in _together(points):
            client.log_batch(run_id, metrics=batch)
            self._last = max(self._last, batch[-1].step)
        self._bests, self._offset = bests, end
        self._remember(lines)

    def _remember(self, lines: Iterable[Mapping[str, Any]]) -> None:
        for line in lines:
            if line["kind"] == "image":
                self._pictures.append(Picture(line["key"], line["epoch"], line["path"], 0))
            elif line["kind"] == "ray":
                self.ray_trial = line["trial"]
            elif line["kind"] == "epoch":
                self._times[line["epoch"]] = _milliseconds(line)
                self.carried |= line["carried"]


def last_step(client: MlflowClient, run_id: str, metric: str) -> int:
    """The highest step that a run has of a metric; 0 where it has none."""
    return max((point.step for point in client.get_metric_history(run_id, metric)), default=0)


def metrics_at(step: int, values: Mapping[str, float], timestamp: int) -> list[Metric]:
    """Finite values only: MLflow would store infinity as 1.8e308 and wreck the axis."""
    return [
        Metric(name, float(value), timestamp, step)
        for name, value in values.items()
        if math.isfinite(value)
    ]


def _together(epochs: Iterable[list[Metric]]) -> Iterator[list[Metric]]:
    """Whole epochs, as many as go into one call."""
    batch: list[Metric] = []
    for points in epochs:
        if batch and len(batch) + len(points) > MOST:
            yield batch
            batch = []
        batch = batch + points
    if batch:
        yield batch


def _milliseconds(line: Mapping[str, Any]) -> int:
    return int(line["time"] * 1000)
