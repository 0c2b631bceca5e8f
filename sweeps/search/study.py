"""DIR/study.db: the Optuna study of a search, whole or not there, and only ever this search's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from data_prep.atomic import renamed
from data_prep.errors import PctError
from sweeps.search.judge import Verdict
from sweeps.search.space import Dimension, Point, Search

VERDICT, FACTS = "pct.verdict", "pct.search"
WAIT_S = 10
"""How long a lock of another program on the file is waited for."""


class StudyTrouble(PctError):
    """A study.db that cannot be used: locked, damaged, or of another search."""


class Study:
    """The points of one search on disk. Each is written at once with all its values, and told once.

    One process at a time: a sweep holds its folder.
    """

    def __init__(self, path: Path, *, name: str, search: Search, facts: Mapping[str, Any]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._path = path
        with usable(path):
            if not path.exists():
                _create(path, name, search, facts)
            self._storage = _storage(path)
            self._study = _load(self._storage, path, {"recipe": name, **facts})

    def trials(self) -> list[FrozenTrial]:
        """Every point that was opened, in order."""
        with usable(self._path):
            found: list[FrozenTrial] = self._study.get_trials()
        return found

    def open(self, trial: FrozenTrial) -> int:
        """Write a point that is to be run; its number."""
        with usable(self._path):
            self._study.add_trial(trial)
            return len(self._study.get_trials(deepcopy=False)) - 1

    def tell(self, number: int, verdict: Verdict, point: Point, search: Search) -> None:
        """Close a point. A kill on the way leaves it open, and it is judged again.

        One whose verdict is not final stays open too, with its reason.
        """
        content = {"leaf": verdict.leaf, "at": point, "values": verdict.values}
        values = [verdict.values[name] for name in search.objectives] if verdict.leaf else None
        state = TrialState.COMPLETE if verdict.leaf else TrialState.FAIL
        with usable(self._path):
            trial = self._study.get_trials(deepcopy=False)[number]
            self._storage.set_trial_user_attr(
                trial._trial_id, VERDICT, {**content, "reason": verdict.reason}
            )
            if verdict.final:
                self._study.tell(number, values, state=state)


def facts_of(search: Search, space: Mapping[str, Dimension], *, runs: str) -> dict[str, Any]:
    """What must not change in a study. `runs` stands for all that a point trains."""
    return {
        "objectives": [f"minimise {name}" for name in search.minimise]
        + [f"maximise {name}" for name in search.maximise],
        "constrain": {name: f"at most {most:g}" for name, most in search.constrain.items()},
        "space": {name: _in_words(dimension) for name, dimension in space.items()},
        "exhaust": sorted(search.exhaust),
        "runs": runs,
    }


def verdict_of(trial: FrozenTrial) -> dict[str, Any]:
    """What was told of a settled point: its leaf, that leaf's point and values, and the reason.

    Of an open one, why no leaf of it has finished so far; else nothing.
    """
    found: dict[str, Any] = trial.user_attrs.get(VERDICT, {})
    return found if trial.state.is_finished() or not found.get("leaf") else {}


def directions(search: Search) -> list[str]:
    """Optuna's word for each objective."""
    return ["minimize"] * len(search.minimise) + ["maximize"] * len(search.maximise)


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Say what is wrong with the file in one line."""
    try:
        yield
    except (OptunaError, SQLAlchemyError) as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        if "locked" in cause:
            raise StudyTrouble(
                f"{path}: locked by another program ({cause}). Close what reads it, as a "
                "dashboard of Optuna does, and run the same line again."
            ) from error
        raise _damaged(path, cause) from error


def _damaged(path: Path, cause: str) -> StudyTrouble:
    return StudyTrouble(
        f"{path}: damaged or no study ({cause}). Put a copy of it back, or move it away: the "
        "search then asks its points anew, and what they share with the store is not trained again."
    )


def _create(path: Path, name: str, search: Search, facts: Mapping[str, Any]) -> None:
    """Make the file whole under another name: a kill leaves no study without its facts."""
    with renamed(path) as temporary:
        temporary.unlink(missing_ok=True)
        storage = _storage(temporary)
        study = optuna.create_study(
            study_name=name, storage=storage, directions=directions(search), sampler=RandomSampler()
        )
        study.set_user_attr(FACTS, dict(facts))
        storage.engine.dispose()


def _storage(path: Path) -> RDBStorage:
    return RDBStorage(
        f"sqlite:///{path.resolve()}", engine_kwargs={"connect_args": {"timeout": WAIT_S}}
    )


def _load(storage: RDBStorage, path: Path, wanted: Mapping[str, Any]) -> optuna.Study:
    names = optuna.get_all_study_names(storage)
    if len(names) != 1:
        raise _damaged(path, f"it holds {len(names)} studies")
    # The sampler of this study never samples: `sweeps.search.ask` does, on a copy in memory.
    study = optuna.load_study(study_name=names[0], storage=storage, sampler=RandomSampler())
    if FACTS not in study.user_attrs:
        raise _damaged(path, "no record of its search")
    found = {"recipe": names[0], **study.user_attrs[FACTS]}
    differ = [line for key in wanted for line in _difference(key, found.get(key), wanted[key])]
    if found.get("runs") != wanted["runs"] and not differ:
        differ = ["What a point trains differs (trials, settings, seeds, data, or PyTorch)."]
    if differ:
        raise StudyTrouble(
            f"{path}: holds another search than the recipe. "
            + " ".join(differ)
            + " Points of both cannot be compared: choose another --to, or set it back."
        )
    return study


def _difference(key: str, found: Any, wanted: Any) -> list[str]:
    """What differs in one fact; of a mapping, by its names."""
    if found == wanted or key == "runs":
        return []
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return [
            f"{key}.{name}: there {found.get(name, 'nothing')}, here {wanted.get(name, 'nothing')}."
            for name in dict.fromkeys([*found, *wanted])
            if found.get(name) != wanted.get(name)
        ]
    return [f"{key}: there {_listed(found)}, here {_listed(wanted)}."]


def _listed(value: Any) -> str:
    return (", ".join(value) or "nothing") if isinstance(value, list) else str(value)


def _in_words(dimension: Dimension) -> str:
    words = f"{dimension.low:g} to {dimension.high:g}"
    how = f" by {dimension.step:g}" if dimension.step else ""
    return words + how + (" in log" if dimension.log else "")
