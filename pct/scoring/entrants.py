"""Who is scored: models, and folders of pseudo-CTs that other programs made, in one manner."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from data_prep.errors import PctError
from data_prep.schema import Split
from data_prep.shards import list_cases
from pct.config import Background, Geometry
from pct.model import Model, choose_device, find_model, load_model, predicting
from pct.scoring.cohort import GIVEN
from pct.scoring.ledger import Entrant
from pct.scoring.pseudo_cts import Found, find_pseudo_cts
from pct.scoring.pseudo_cts import entrant_of as entrant_of_files
from pct.scoring.score import entrant_of, score_cases, table
from pct.scoring.score_files import score_files

OnCase = Callable[[int, str], None]


class NothingToScore(PctError):
    """Neither a model nor a folder of pseudo-CTs, or two of one name."""


@dataclass(frozen=True)
class Scored:
    """The rows of one entrant, and what they do not say."""

    rows: pd.DataFrame
    notes: tuple[str, ...] = ()
    is_whole: bool = True
    """Whether every case was scored."""


@dataclass(frozen=True)
class Way:
    """Where models are found and how they predict; None is as their runs say."""

    geometry: Geometry | None = None
    background: Background | None = None
    device: str = "auto"
    tracking: str | None = None
    """MLflow's address, for models:/..."""


@dataclass(frozen=True)
class Candidate:
    """An entrant and how it is scored."""

    entrant: Entrant
    address: str
    """As it was given: a folder, or models:/..."""
    score: Callable[[str, OnCase], Scored]
    """From the name that tables shall call it."""
    geometry: str
    background: str


def candidates(
    models: Sequence[str],
    *,
    pred: Path | None,
    name: str | None,
    data: Path,
    split: Split,
    way: Way,
) -> list[Candidate]:
    """All that one command line names, models first, each under a name of its own.

    Models of one trial and epoch are called by their addresses instead. A missing or surplus name,
    a name in use, or nothing at all is `NothingToScore`.
    """
    if (pred is None) != (name is None):
        raise NothingToScore("--pred DIR and --name NAME go together: what shall tables call them?")
    found = [_of_model(address, data, split, way) for address in models]
    if pred is not None and name is not None:
        found.append(_of_folder(pred, name, data, split))
    if not found:
        raise NothingToScore("nothing to score. Give a model folder, or --pred DIR --name NAME.")
    names = Counter(each.entrant.name for each in found)
    found = [_by_address(each) if names[each.entrant.name] > 1 else each for each in found]
    twice = [name for name, num in Counter(e.entrant.name for e in found).items() if num > 1]
    if twice:
        raise NothingToScore(f"{', '.join(twice)}: named twice. Name each once.")
    return found


def _by_address(candidate: Candidate) -> Candidate:
    return replace(candidate, entrant=replace(candidate.entrant, name=candidate.address))


def _of_model(address: str, data: Path, split: Split, way: Way) -> Candidate:
    folder = find_model(address, tracking=way.tracking)
    model = load_model(folder, device=choose_device(way.device))
    model = predicting(model, geometry=way.geometry, background=way.background)
    run, score = model.run, partial(_score_model, model, data, split)
    return Candidate(entrant_of(model), address, score, run.geometry, run.background)


def _score_model(model: Model, data: Path, split: Split, name: str, on_case: OnCase) -> Scored:
    return Scored(table(score_cases(model, data, split, trial=name, on_case=on_case)))


def _of_folder(pred: Path, name: str, data: Path, split: Split) -> Candidate:
    splits: tuple[Split, ...] = ("train", "val", "test")
    known = [case for each in splits for case in list_cases(data, each)]
    found = find_pseudo_cts(pred, list_cases(data, split), known=known)
    entrant = entrant_of_files(name, found.files)
    return Candidate(entrant, str(pred), partial(_score_folder, found, data, split), GIVEN, GIVEN)


def _score_folder(found: Found, data: Path, split: Split, name: str, on_case: OnCase) -> Scored:
    given = score_files(found, data, split, name=name, on_case=on_case)
    notes = [*given.notes(name)]
    if found.extra:
        notes.append(f"{name}: not cases of the data, passed over: {', '.join(found.extra)}.")
    return Scored(table(given.scores), tuple(notes), given.is_whole)
