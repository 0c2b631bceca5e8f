"""What is shown of a sweep: which runs, which of their epochs, which two beside each other."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dashboards.load import Sweep, Trial
from dashboards.pictures.looks import kept_epochs
from data_prep.errors import PctError
from pct.scoring.declared import declared_in

MOST_RUNS = 6
EARLY = 10
MOST_FORKS = 2


class NoSuchTrial(PctError):
    """A trial was asked for that the sweep does not hold."""


@dataclass(frozen=True)
class Branch:
    """Runs that share the stage in which the epochs lie: a trunk, or one run alone."""

    runs: tuple[Trial, ...]
    epochs: tuple[int, ...]
    final: int | None
    """The last of them where it is also the last that is shown of the one run."""


def shown_runs(sweep: Sweep, *, limit: int = MOST_RUNS) -> tuple[Trial, ...]:
    """The best runs by the sweep's rule, then such without a best value, in the recipe's order."""
    unranked = [run for run in sweep.runs if run not in sweep.ranked]
    chosen = [*sweep.ranked, *unranked][:limit]
    return tuple(run for run in sweep.runs if run in chosen)


def left_out(sweep: Sweep, shown: Sequence[Trial], *, where: str) -> str:
    """A sentence on the runs that are not shown and where theirs lies; "" where all are."""
    if len(shown) == len(sweep.runs):
        return ""
    return (
        f"Shown are the best {len(shown)} of {len(sweep.runs)} runs by "
        f"{sweep.info['select']['metric']}; the others lie in {sweep.folder / where}."
    )


def shown_epochs(sweep: Sweep, run: Trial, *, forks: Iterable[int]) -> tuple[int, ...]:
    """A few kept epochs: nearest to epoch 10, to each fork, to the run's end; and just after forks.

    In the thesis' sweep 10, 40, 41 and 70. Shorter runs begin at a seventh of their length;
    without forks four sevenths of it stand for one. Of equally near ones the earlier is taken.
    """
    kept = kept_epochs(sweep.folder, run.trial)
    if not kept:
        return ()
    early = min(EARLY, round(run.epochs / 7))
    middle = [fork for fork in forks if fork < run.epochs] or [round(run.epochs * 4 / 7)]
    wanted = [early, *middle, run.epochs]
    chosen = {_nearest(kept, to) for to in wanted}
    return tuple(sorted(chosen | ({fork + 1 for fork in forks} & set(kept))))


def branches(sweep: Sweep, runs: Sequence[Trial]) -> list[Branch]:
    """The shown epochs of the runs, each once: those in a shared stage stand with all its runs.

    A branch before those that part from it, runs in the order given.
    """
    forks = _ends(sweep.fork_epochs)
    shown = {run.trial: shown_epochs(sweep, run, forks=forks) for run in runs}
    owners: dict[tuple[str, int], list[str]] = {}
    for run in runs:
        for epoch in shown[run.trial]:
            owners.setdefault((stage_key(run, epoch), epoch), []).append(run.trial)
    epochs: dict[tuple[str, ...], list[int]] = {}
    for (_, epoch), together in owners.items():
        epochs.setdefault(tuple(together), []).append(epoch)
    place = {run.trial: place for place, run in enumerate(runs)}
    order = sorted(epochs, key=lambda names: (place[names[0]], -len(names)))
    return [
        Branch(
            runs=tuple(runs[place[name]] for name in names),
            epochs=tuple(sorted(epochs[names])),
            final=shown[names[0]][-1] if names == (names[0],) else None,
        )
        for names in order
    ]


def stage_key(run: Trial, epoch: int) -> str:
    """The key of the stage that holds an epoch; runs that know none share nothing."""
    keys = (stage.key for stage in run.stages if stage.first <= epoch <= stage.last)
    return next(keys, f"of {run.trial}")


def family(trial: str) -> str:
    """The name before branch and seed: exp3 of exp3.drop and of exp3@s1."""
    return re.split(r"[.@]", trial, maxsplit=1)[0]


def two_to_compare(sweep: Sweep, asked: tuple[str, str] | None) -> tuple[Trial, Trial] | None:
    """The runs asked for; else the arms of the declared claim; else the best two.

    These are of different families where there are two. A setting that was run with several seeds
    or branches stands for its best one. None where fewer than two runs finished. Raises
    `NoSuchTrial` for a name that is asked for and not there.
    """
    if asked:
        first, second = (_found(sweep, name) for name in asked)
        if first == second:
            raise NoSuchTrial(f"--compare {','.join(asked)}: both are the run {first.trial}.")
        return first, second
    question = declared_in(sweep.folder)
    arms = [_best_named(sweep, name) for name in ((question.a, question.b) if question else ())]
    if len(arms) == 2 and arms[0] and arms[1] and arms[0] != arms[1]:
        return arms[0], arms[1]
    if len(sweep.ranked) < 2:
        return None
    best, *others = sweep.ranked
    apart = [run for run in others if family(run.trial) != family(best.trial)]
    return best, (apart or others)[0]


def _found(sweep: Sweep, name: str) -> Trial:
    found = _best_named(sweep, name)
    if found is None:
        names = ", ".join(trial.trial for trial in sweep.trials)
        raise NoSuchTrial(f"--compare {name}: no trial of that name finished. There are {names}.")
    return found


def _best_named(sweep: Sweep, name: str) -> Trial | None:
    """The run of a trial's name, or the best run of a setting with seeds or branches."""
    runs = {trial.trial: trial.same_as or trial.trial for trial in sweep.trials}
    exact = [run for run in sweep.runs if run.trial == runs.get(name)]
    below = {run for one, run in runs.items() if one.startswith((f"{name}.", f"{name}@"))}
    return next(iter([*exact, *(run for run in sweep.ranked if run.trial in below)]), None)


def _nearest(kept: Sequence[int], wanted: int) -> int:
    return min(kept, key=lambda epoch: (abs(epoch - wanted), epoch))


def _ends(forks: tuple[int, ...]) -> tuple[int, ...]:
    """The first and the last of many."""
    return forks if len(forks) <= MOST_FORKS else (forks[0], forks[-1])
