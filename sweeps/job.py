"""A leaf as a worker receives it, and what it leaves behind in the sweep's folder. Light."""

import json
import logging
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from data_prep.atomic import renamed
from data_prep.errors import PctError
from pct.config import Run
from pct.frozen import Frozen
from sweeps.courses import course_of
from sweeps.tree import Course

log = logging.getLogger(__name__)


class NoSweep(PctError):
    """A folder that holds no sweep."""


class Job(Frozen):
    """One leaf to train: plain values, passed to workers as JSON."""

    leaf: str
    run: Run
    base: str
    """Identity of everything but the schedule."""
    data: str
    store: str
    folder: str
    """The sweep's own folder."""
    snapshots: tuple[int, ...]
    """Finished epochs kept in the store: forks, tens, the last one."""
    looks: tuple[int, ...] = ()
    """Finished epochs whose validation slices are kept for people: those, and one after a fork."""

    @cached_property
    def trial(self) -> str:
        """The recipe's trial: `exp3` of the leaves `exp3.drop` and `exp3.drop@s1`."""
        return re.split(r"[.@]", self.leaf)[0]

    @cached_property
    def course(self) -> Course:
        """What the engine has to know of it."""
        return course_of(self.leaf, self.run, self.base)

    @property
    def config(self) -> dict[str, Any]:
        """Itself, as its trial receives it."""
        return {"leaf": self.leaf, "job": self.model_dump_json()}

    def key(self, finished: int) -> str:
        """Key of the state after `finished` epochs."""
        return self.course.key(finished)

    @property
    def last_key(self) -> str:
        """Key of the state after all its epochs: whether two leaves of one name are one run."""
        return self.key(self.run.epochs)

    @property
    def spool(self) -> Path:
        """Its lines of history, for tracking."""
        return Path(self.folder) / "spool" / f"{self.leaf}.jsonl"

    @property
    def panels(self) -> Path:
        """Its pictures."""
        return Path(self.folder) / "panels" / self.leaf

    @property
    def slices(self) -> Path:
        """Its pseudo-CT slices, an npz an epoch."""
        return Path(self.folder) / "looks" / self.leaf

    @property
    def cases_looked_at(self) -> Path:
        """MR, CT and head of those slices, the same for all leaves."""
        return Path(self.folder) / "looks" / "cases.npz"

    @property
    def histograms(self) -> Path:
        """Voxels by tissue and HU of its best pseudo-CTs."""
        return Path(self.folder) / "histograms" / f"{self.leaf}.parquet"

    @property
    def volumes(self) -> Path:
        """Its best pseudo-CT of the first case, small, for a viewer."""
        return Path(self.folder) / "volumes" / self.leaf

    def case_volume(self, case: str, name: str) -> Path:
        """`ct`, `mr`, `head` or `skull` of a case, small, the same for all leaves."""
        return Path(self.folder) / "volumes" / f"{case}_{name}.nii.gz"

    @property
    def scores(self) -> Path:
        """Its 3D scores on validation cases."""
        return Path(self.folder) / "scores" / f"{self.leaf}.parquet"

    @property
    def outcome(self) -> Path:
        """Its `Outcome`."""
        return Path(self.folder) / "outcomes" / f"{self.leaf}.json"


class Outcome(Frozen):
    """How a leaf ended."""

    leaf: str
    status: Literal["FINISHED", "FAILED"]
    reason: str
    key: str
    """Of the leaf's last planned epoch: with `ending`, whether this outcome is of the same run."""
    ending: str = ""
    """The rules that could end it before."""
    last_stage: str
    """Key of the last committed state."""
    epochs: int
    best_epoch: int
    best_value: float
    seconds: float
    final: dict[str, float]
    """Cohort means of the 3D metrics, `val3d/...`."""


def read_jobs(folder: Path) -> list[Job]:
    """The jobs of a sweep's folder."""
    path = folder / "jobs.json"
    if not path.exists():
        raise NoSweep(
            f"{folder}: no sweep here (jobs.json is missing). Run pct sweep --to {folder}."
        )
    try:
        return [Job.model_validate(item) for item in json.loads(path.read_text())]
    except (ValueError, TypeError) as error:  # torn, or of another version
        raise NoSweep(
            f"{path}: is damaged or of another version ({type(error).__name__}). Run the same pct "
            "sweep again: it writes the file anew, and trains nothing that is done."
        ) from error


def read_outcome(job: Job) -> Outcome | None:
    """The outcome of this very run, or None where it has none yet or was another run's."""
    if not job.outcome.exists():
        return None
    try:
        outcome = Outcome.model_validate_json(job.outcome.read_text())
    except ValidationError as error:
        log.warning("%s cannot be read (%s): taken for none", job.outcome, error)
        return None
    same = (outcome.key, outcome.ending) == (job.last_key, job.course.ending)
    return outcome if same else None


def write_outcome(job: Job, outcome: Outcome) -> None:
    """Write it under a temporary name, then rename."""
    write_json(job.outcome, outcome.model_dump(mode="json"))


def failed(job: Job, reason: str, epochs: int = 0) -> Outcome:
    """The outcome of a leaf that broke off after `epochs` finished epochs."""
    return Outcome(
        leaf=job.leaf, status="FAILED", reason=reason, key=job.last_key, ending=job.course.ending,
        last_stage=job.key(epochs) if epochs else "", epochs=epochs, best_epoch=0,
        best_value=float("nan"), seconds=0.0, final={},
    )  # fmt: skip


def write_json(path: Path, content: Any) -> None:
    """Indented JSON, under a temporary name, then renamed."""
    with renamed(path) as temporary, temporary.open("w") as file:
        file.write(json.dumps(content, indent=1))
        file.flush()
        os.fsync(file.fileno())  # else a power cut may leave the name without the content
