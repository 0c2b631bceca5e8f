"""One trial and its run in MLflow: made when the place can be reached, fed, and ended."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from sweeps import spool, usage
from sweeps.job import Job, Outcome, read_outcome
from sweeps.tracking.best import Best
from sweeps.tracking.card import Card
from sweeps.tracking.feed import Feed, last_step, metrics_at

LONGEST_REASON = 500


class TrialRun:
    """A trial that is tracked. Its folder is the truth; here stands what of it has arrived."""

    def __init__(self, job: Job, card: Card) -> None:
        self.job, self.run_id = job, ""
        self._card = card
        bests = (Best(), Best(card.forked_at)) if card.forked_at else (Best(),)
        self._main = Feed(job.spool, metric=job.run.select.metric, bests=bests)
        self._feeds = [self._main] + [
            Feed(usage.path_of(job, worker), metric=usage.metric_of(worker))
            for worker in range(job.run.workers)
        ]
        self._sure = self._ended = False
        self._told: dict[str, str] = {}
        self._source: str | None = None

    @property
    def tags(self) -> Mapping[str, str]:
        """What is written on the run when it is made."""
        return self._card.tags

    @property
    def is_sure(self) -> bool:
        """Whether its run was seen since the last failed call."""
        return self._sure

    def doubt(self) -> None:
        """After a failed call: look for everything anew."""
        self._sure, self._ended, self._told = False, False, {}
        for feed in self._feeds:
            feed.doubt()

    def take(self, client: MlflowClient, run: Run) -> None:
        """Go on with a run that is there: what it lacks is added, what it has stays."""
        run_id, data = run.info.run_id, run.data
        params = [Param(k, str(v)) for k, v in self._card.params.items() if k not in data.params]
        tags = [RunTag(k, v) for k, v in self._card.tags.items() if k not in data.tags]
        if params or tags:
            client.log_batch(run_id, params=params, tags=tags)
        if self._card.data and not run.inputs.dataset_inputs:
            client.log_inputs(run_id, datasets=[self._card.data])
        if read_outcome(self.job) is None:
            resume(client, run)
        self.run_id, self._sure = run_id, True

    def send(self, client: MlflowClient, run_of: Callable[[str], str]) -> None:
        """Send what is new; `run_of` knows the runs of other trials.

        A damaged spool is told of with all else done: `DamagedSpool`.
        """
        damaged = [error for feed in self._feeds if (error := self._feed(client, feed))]
        if (learnt := self._learnt(run_of)) != self._told:
            set_tags(client, self.run_id, learnt)
            self._told = learnt
        if not self._ended and (outcome := read_outcome(self.job)):
            self._end(client, outcome)
            self._ended = True
        if damaged:
            raise damaged[0]

    def _feed(self, client: MlflowClient, feed: Feed) -> spool.DamagedSpool | None:
        try:
            feed.send(client, self.run_id, Path(self.job.folder))
        except spool.DamagedSpool as error:
            return error
        return None

    def _learnt(self, run_of: Callable[[str], str]) -> dict[str, str]:
        """What only its spool tells: its name in Ray, and who trained its beginning."""
        tags = {"pct.ray_trial_id": self._main.ray_trial} if self._main.ray_trial else {}
        if self._main.carried:
            tags["pct.history"] = "carried"
            if self._source is None:
                self._source = self._find_source()
            if run_id := run_of(self._source) if self._source else "":
                tags["pct.forked_from_run"] = run_id
        return tags

    def _find_source(self) -> str:
        """The branch that trained the last shared epoch itself; "" where another sweep did."""
        for sibling in self._card.siblings:
            try:
                lines = spool.epochs(sibling.spool)
            except spool.DamagedSpool:  # that trial tells of it
                continue
            if any(line["epoch"] == self._card.forked_at and not line["carried"] for line in lines):
                return sibling.leaf
        return ""

    def _end(self, client: MlflowClient, outcome: Outcome) -> None:
        """Log the final metrics and end the run, as of when the trial ended."""
        now = int(self.job.outcome.stat().st_mtime * 1000)
        final = metrics_at(outcome.epochs, outcome.final, now)
        if final and last_step(client, self.run_id, final[0].key) < outcome.epochs:
            client.log_batch(self.run_id, metrics=final)
        found = client.get_run(self.run_id)
        if lacking := self._best_of(outcome, found, now):
            client.log_batch(self.run_id, metrics=lacking)
        reason = outcome.reason[:LONGEST_REASON]
        if (found.info.status, found.data.tags.get("pct.reason")) != (outcome.status, reason):
            set_tags(client, self.run_id, {"pct.reason": reason})
            client.set_terminated(self.run_id, outcome.status, end_time=now)

    def _best_of(self, outcome: Outcome, run: Run, now: int) -> list[Metric]:
        """`best/...` where the run lacks it: sent by an earlier version only at the very end."""
        best = Best(value=outcome.best_value, epoch=outcome.best_epoch)
        metrics = best.metrics(self.job.run.select.metric)
        lacking = {name: v for name, v in metrics.items() if name not in run.data.metrics}
        return metrics_at(outcome.best_epoch, lacking, now)


def resume(client: MlflowClient, run: Run) -> None:
    """Set a run RUNNING again that an earlier session ended, and forget why."""
    if run.info.status != "RUNNING":
        client.update_run(run.info.run_id, status="RUNNING")
    if "pct.reason" in run.data.tags:
        client.delete_tag(run.info.run_id, "pct.reason")


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Several tags in one call."""
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
