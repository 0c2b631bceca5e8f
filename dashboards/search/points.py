"""The points of a search, as the sweep wrote them, and what its study knows of the space."""

import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from dashboards.load import NoSweep, Sweep
from data_prep.errors import PctError
from sweeps.search.front import FILE
from sweeps.search.study import usable

STUDY = "study.db"
MIN_POINTS = 8
"""Complete points from which importances are computed."""

BEST_SHARE = 0.25
"""Share of the points that PED-ANOVA calls good; its usual tenth is a point or two here."""


@dataclass(frozen=True)
class Points:
    """`points.parquet`: a row a point."""

    table: pd.DataFrame
    minimise: tuple[str, ...]
    maximise: tuple[str, ...]
    constrain: dict[str, float]

    @property
    def aims(self) -> tuple[str, ...]:
        """What the search was for, in the order of its study's values."""
        return (*self.minimise, *self.maximise)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Columns of the searched quantities, `$` before their names."""
        return tuple(name for name in map(str, self.table) if name.startswith("$"))

    @property
    def complete(self) -> pd.DataFrame:
        """Points that have values."""
        return self.table[self.table["state"] == "COMPLETE"]


def read_points(sweep: Sweep) -> Points | None:
    """The search's points; None for a sweep without a search."""
    path = sweep.folder / FILE
    if not path.exists():
        return None
    try:
        table = pd.read_parquet(path)
        aims = table.attrs
        told = tuple(aims["minimise"]), tuple(aims["maximise"])
        return Points(table, *told, constrain=dict(aims["constrain"]))
    except (OSError, ValueError, KeyError) as error:
        raise NoSweep(f"{path} cannot be used: {error}. `pct sweep` writes it anew.") from error


@dataclass(frozen=True)
class StudyFacts:
    """What only the study knows."""

    logarithmic: frozenset[str]
    """Columns of the dimensions that are searched by their logarithm."""
    importances: dict[str, dict[str, float]]
    """Aim -> dimension -> share; empty where there are none."""
    why_not: str = ""
    """Why there are none."""


def study_facts(sweep: Sweep, points: Points) -> StudyFacts:
    """Read a copy of study.db, so that nothing is written to or locked."""
    path = sweep.folder / STUDY
    if not path.exists():
        return StudyFacts(frozenset(), {}, f"{STUDY} is missing.")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(path, folder))
        try:
            return _read(copy, points)
        except PctError as error:
            return StudyFacts(frozenset(), {}, str(error).replace(str(copy), STUDY))


def _read(path: Path, points: Points) -> StudyFacts:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with usable(path):
        storage = RDBStorage(f"sqlite:///{path}")
        name = optuna.get_all_study_names(storage)[0]
        study = optuna.load_study(study_name=name, storage=storage)
        trials = study.get_trials(states=(TrialState.COMPLETE,))
        storage.engine.dispose()
    kinds = {name: kind for trial in trials for name, kind in trial.distributions.items()}
    logarithmic = frozenset(f"${name}" for name, kind in kinds.items() if kind.log)
    if len(trials) < MIN_POINTS:
        few = f"{len(trials)} of the {MIN_POINTS} complete points that importances need"
        return StudyFacts(logarithmic, {}, f"No importances: {few}.")
    if len(kinds) < 2:
        return StudyFacts(logarithmic, {}, "No importances: the study samples one dimension.")
    return StudyFacts(logarithmic, importances(trials, points))


def importances(
    trials: Sequence[optuna.trial.FrozenTrial], points: Points
) -> dict[str, dict[str, float]]:
    """Aim -> dimension -> share of the differences that set the best quarter apart (PED-ANOVA)."""
    study = optuna.create_study(directions=["minimize"] * len(points.aims))
    study.add_trials(trials)
    judge = PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
    found = {}
    for index, aim in enumerate(points.aims):
        sign = 1.0 if aim in points.minimise else -1.0
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*to achieve low `target` values")  # it does
            shares = get_param_importances(
                study, evaluator=judge, target=lambda t, i=index, s=sign: s * t.values[i]
            )
        found[aim] = {f"${name}": float(share) for name, share in shares.items()}
    return found
