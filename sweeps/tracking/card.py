"""What is written on one trial's run, fixed when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow.entities import DatasetInput

from sweeps.job import Job


@dataclass(frozen=True)
class Card:
    """Parameters, tags and the data set of a trial's run; where it forked, and from whom."""

    params: Mapping[str, Any]
    tags: Mapping[str, str]
    data: DatasetInput | None = None
    forked_at: int = 0
    """Epochs shared with `siblings`; 0 where the trial is no branch."""
    siblings: tuple[Job, ...] = ()
    """The other branches of that fork: one of them trains what is shared."""
