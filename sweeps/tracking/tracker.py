"""The sweep's runs in MLflow: one parent, one child a trial, step = epoch."""

import logging
import threading
import time
from collections.abc import Mapping
from types import TracebackType

from mlflow.entities import Run

from sweeps.every import ends
from sweeps.job import Job, read_outcome
from sweeps.spool import DamagedSpool
from sweeps.tracking.card import Card
from sweeps.tracking.contact import FAILURES, NoTracking, be_impatient, client_at, experiment_at
from sweeps.tracking.place import Place
from sweeps.tracking.trial_run import TrialRun, resume, set_tags

log = logging.getLogger(__name__)

LAST_TRY_SECONDS = 5.0
"""How long the end of a sweep waits for a place that is away."""

SILENT_SECONDS = 20.0
"""How long it waits for a call that does not return."""

AWAY = (
    "Tracking is behind: {place} is away ({why}). Nothing is lost: what waits stays in the "
    "sweep's folder, and the same pct sweep sends it once the server is back."
)
DAMAGED = "Tracking of {leaf} lacks what cannot be read: {why}"

TWICE = "made twice, for an answer came too late; the run of this trial is {run_id}"

GHOST = "its driver was killed; ended by the sweep's next session, which does not go on with it"


class Tracker:
    """`register` each trial, `drain` often, `finish`. Only the first contact may fail a sweep.

    What cannot be sent stays in the sweep's folder and is sent by a later call, or session.
    """

    def __init__(
        self, place: Place, *, experiment: str, sweep: str, tags: Mapping[str, str]
    ) -> None:
        be_impatient()
        self._place, self._sweep, self._tags = place, sweep, dict(tags)
        self.client = client_at(place)
        self.experiment_id = experiment_at(self.client, place, experiment)
        self._trials: dict[str, TrialRun] = {}
        self._known: dict[tuple[str, str], Run] | None = None
        """The sweep's runs by `pct.run` and `pct.key`; None when it is to be asked."""
        self._sending, self._registering = threading.Lock(), threading.Lock()
        self._late, self._failures = "", 0
        self._damaged: dict[str, str] = {}
        self._ghosts_ended, self._failed, self._status = False, False, "RUNNING"
        self._heard = time.monotonic()
        """When a trial was last turned to: as long as that moves, the end of a sweep waits."""
        try:
            self.parent_id = self._parent()
        except FAILURES as error:
            raise NoTracking(f"{place.shown}: {place.hide(error)}. Run it again.") from None

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """A session that breaks off leaves no run RUNNING."""
        if kind is not None:
            reason = f"broken off: {kind.__name__}; the same pct sweep goes on"
            ends(lambda: self._break_off(reason), seconds=SILENT_SECONDS, heard=lambda: self._heard)

    def register(self, job: Job, card: Card) -> None:
        """Tell of a trial; its run is found or made by the next `drain`."""
        own = {
            **self._tags, **card.tags, "pct.kind": "trial", "pct.trial": job.leaf,
            "mlflow.parentRunId": self.parent_id, "pct.key": job.last_key,
        }  # fmt: skip
        whole = Card(card.params, own, card.data, card.forked_at, card.siblings)
        with self._registering:
            self._trials[job.leaf] = TrialRun(job, whole)

    @property
    def run_ids(self) -> dict[str, str]:
        """Run of each registered trial; "" where it could not be made yet."""
        return {leaf: trial.run_id for leaf, trial in self._all()}

    def drain(self) -> bool:
        """Send what the trials have gained; whether all has arrived."""
        with self._sending:
            for leaf, trial in self._all():
                self._heard = time.monotonic()
                try:
                    self._make(trial)
                    trial.send(self.client, self._run_of)
                    self._damaged.pop(leaf, None)
                except DamagedSpool as error:
                    self._note_damage(leaf, error)
                except FAILURES as error:
                    self._note_late(leaf, error)
                    trial.doubt()
                    self._known = None
                    self._put_last(leaf)
                    return False
            return self._settle() and not self._damaged

    def finish(self, *, failed: bool) -> str:
        """Send the rest and end the parent run. What the user is told of what is behind, or ""."""
        self._status = "FAILED" if failed else "FINISHED"
        if not ends(self._send_rest, seconds=SILENT_SECONDS, heard=lambda: self._heard):
            return AWAY.format(place=self._place.shown, why="a call has not come to its end")
        if self._late:
            return AWAY.format(place=self._place.shown, why=self._late)
        return "\n".join(DAMAGED.format(leaf=n, why=why) for n, why in self._damaged.items())

    def _send_rest(self) -> None:
        deadline = time.monotonic() + LAST_TRY_SECONDS
        while not self.drain() and self._late and time.monotonic() <= deadline:
            time.sleep(1.0)

    def _run_of(self, leaf: str) -> str:
        """Run of a trial; "" where it has none yet, or the trial is not registered yet."""
        trial = self._trials.get(leaf)
        return trial.run_id if trial else ""

    def _put_last(self, leaf: str) -> None:
        """Lest a trial whose calls fail keeps all others waiting."""
        with self._registering:
            self._trials[leaf] = self._trials.pop(leaf)

    def _all(self) -> list[tuple[str, TrialRun]]:
        with self._registering:
            return list(self._trials.items())

    def _parent(self) -> str:
        tags = {**self._tags, "pct.kind": "sweep"}
        run = self._runs().get(("sweep", "")) or self._create("sweep", self._sweep, tags)
        resume(self.client, run)
        return str(run.info.run_id)

    def _make(self, trial: TrialRun) -> None:
        """Find or make a trial's run."""
        if trial.is_sure:
            return
        leaf, key = trial.job.leaf, trial.job.last_key
        run = self._runs().get((leaf, key)) or self._create(leaf, leaf, trial.tags)
        trial.take(self.client, run)

    def _runs(self) -> dict[tuple[str, str], Run]:
        if self._known is None:
            self._known = {_name_of(run): run for run in reversed(self._listed())}
        return self._known

    def _create(self, key: str, name: str, tags: Mapping[str, str]) -> Run:
        own = {**tags, "pct.sweep": self._sweep, "pct.run": key}
        return self.client.create_run(self.experiment_id, run_name=name, tags=own)

    def _listed(self, more: str = "") -> list[Run]:
        """The sweep's runs, the newest first."""
        wanted = f"tags.`pct.sweep` = '{self._sweep}'{more}"
        found: list[Run] = []
        token = None
        while token != "":
            page = self.client.search_runs([self.experiment_id], wanted, page_token=token)
            found, token = found + list(page), page.token or ""
        return found

    def _settle(self) -> bool:
        """With all trials sent: end ghosts, once, and the parent run when its time has come.

        A failed call may be carried out late: then ghosts are looked for again at the end.
        """
        self._heard, at_end = time.monotonic(), self._status != "RUNNING"
        try:
            if not self._ghosts_ended or (self._failed and at_end):
                self._end_ghosts()
            if at_end:
                self.client.set_terminated(self.parent_id, self._status)
        except FAILURES as error:
            self._note_late("the sweep", error)
            return False
        if self._failures > 1:
            log.info("tracking at %s is up to date again", self._place.shown)
        self._late, self._failures = "", 0
        return True

    def _end_ghosts(self) -> None:
        """Runs left RUNNING, but those that this session goes on with.

        A killed driver left them, or a call to make one that was answered too late.
        """
        mine = {("sweep", ""): self.parent_id}
        mine |= {(leaf, trial.job.last_key): trial.run_id for leaf, trial in self._all()}
        for run in self._listed(" and attributes.status = 'RUNNING'"):
            if run.info.run_id not in mine.values():
                own = mine.get(_name_of(run))
                self._kill(run.info.run_id, TWICE.format(run_id=own) if own else GHOST)
        self._ghosts_ended, self._known = True, None

    def _kill(self, run_id: str, reason: str) -> None:
        self._heard = time.monotonic()
        set_tags(self.client, run_id, {"pct.reason": reason})
        self.client.set_terminated(run_id, "KILLED")

    def _break_off(self, reason: str) -> None:
        with self._sending:
            going = [t.run_id for _, t in self._all() if t.run_id and read_outcome(t.job) is None]
            try:
                for run_id in (*going, self.parent_id):
                    self._kill(run_id, reason)
            except FAILURES as error:
                self._note_late("the sweep", error)

    def _note_late(self, what: str, error: Exception) -> None:
        """Told once for each stretch of being late; a call that fails once is no news."""
        self._late, self._failed = self._place.hide(error), True
        self._failures += 1
        if self._failures == 2:
            log.warning("tracking of %s is late: %s", what, self._late)

    def _note_damage(self, leaf: str, error: DamagedSpool) -> None:
        if leaf not in self._damaged:
            log.warning("tracking of %s is late: %s", leaf, error)
        self._damaged[leaf] = str(error)


def _name_of(run: Run) -> tuple[str, str]:
    """Trial and key; "sweep" and no key of the parent."""
    return run.data.tags["pct.run"], run.data.tags.get("pct.key", "")
