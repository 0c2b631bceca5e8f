"""What is shown of a sweep: which runs, which of their epochs, which two beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dashboards.families import family_of
from dashboards.load import Sweep, Trial
from dashboards.pictures.looks import kept_epochs
from data_prep.errors import PctError
from pct.scoring.declared import declared_in

MOST_RUNS = 6
EARLY = 10


class NoSuchTrial(PctError):
    """A trial was asked for that the sweep does not hold."""


Moments = tuple[int | None, int | None, int | None, int | None]
"""Kept epochs: early, at the fork (or midway), just after it, last; None where there is none."""


@dataclass(frozen=True)
class Branch:
    """Moments of runs that share the stages in which they lie: a trunk's, or one run's own."""

    runs: tuple[Trial, ...]
    moments: Moments


def shown_runs(sweep: Sweep, *, limit: int = MOST_RUNS) -> tuple[Trial, ...]:
    """The best runs by the sweep's rule, then such without a best value, in the recipe's order."""
    chosen = {run.trial for run in best_first(sweep)[:limit]}
    return tuple(run for run in sweep.runs if run.trial in chosen)


def best_first(sweep: Sweep) -> list[Trial]:
    """All runs: the ranked ones, then such without a best value, in the recipe's order."""
    ranked = {run.trial for run in sweep.ranked}
    return [*sweep.ranked, *(run for run in sweep.runs if run.trial not in ranked)]


def left_out(sweep: Sweep, shown: Sequence[Trial], *, where: str) -> str:
    """A sentence on the runs that are not shown and where theirs lies; "" where all are."""
    if len(shown) == len(sweep.runs):
        return ""
    return (
        f"Shown are the best {len(shown)} of {len(sweep.runs)} runs by "
        f"{sweep.info['select']['metric']}; the others lie in {sweep.folder.name}/{where}."
    )


def moments_of(sweep: Sweep, run: Trial) -> Moments:
    """The kept epochs nearest to epoch 10, to the run's last fork, to its end; one after the fork.

    In the thesis' sweep 10, 40, 41 and 70. Shorter runs begin at a seventh of their length; one
    that no other parts from is seen when others fork, or after four sevenths. Of equally near
    ones the earlier is taken. An epoch that would be shown twice keeps its later place.
    """
    kept = kept_epochs(sweep.folder, run.trial)
    if not kept:
        return None, None, None, None
    forks = own_forks(sweep, run) or [fork for fork in sweep.fork_epochs if fork < run.epochs]
    early = min(EARLY, round(run.epochs / 7))
    middle = forks[-1] if forks else round(run.epochs * 4 / 7)
    near = [_nearest(kept, epoch) for epoch in (early, middle, run.epochs)]
    after = middle + 1 if forks and middle + 1 in kept else None
    wanted = (near[0], near[1], after, near[2])
    first, second, third, last = (
        epoch if epoch not in wanted[place + 1 :] else None for place, epoch in enumerate(wanted)
    )
    return first, second, third, last


def own_forks(sweep: Sweep, run: Trial) -> tuple[int, ...]:
    """Finished epochs after which another run parts from this one."""
    after = {before.key: later.key for before, later in pairwise(run.stages)}
    parted = {
        before.last
        for other in sweep.runs
        for before, later in pairwise(other.stages)
        if after.get(before.key, later.key) != later.key
    }
    return tuple(sorted(parted))


def branches(sweep: Sweep, runs: Sequence[Trial]) -> list[Branch]:
    """The moments of the runs, each once: those in a shared stage stand with all runs they are of.

    A branch before those that part from it, runs in the order given.
    """
    moments = {run.trial: moments_of(sweep, run) for run in runs}
    owners: dict[tuple[str, int, int], list[str]] = {}
    for run in runs:
        for place, epoch in enumerate(moments[run.trial]):
            if epoch is not None:
                owners.setdefault((stage_key(run, epoch), place, epoch), []).append(run.trial)
    found: dict[tuple[str, ...], dict[int, int]] = {}
    for (_, place, epoch), together in owners.items():
        found.setdefault(tuple(together), {})[place] = epoch
    order = {run.trial: number for number, run in enumerate(runs)}
    return [
        Branch(
            runs=tuple(runs[order[name]] for name in names),
            moments=(at.get(0), at.get(1), at.get(2), at.get(3)),
        )
        for names, at in sorted(found.items(), key=lambda one: (order[one[0][0]], -len(one[0])))
    ]


def stage_key(run: Trial, epoch: int) -> str:
    """The key of the stage that holds an epoch; runs that know none share nothing."""
    keys = (stage.key for stage in run.stages if stage.first <= epoch <= stage.last)
    return next(keys, f"of {run.trial}")


def parse_pair(text: str) -> tuple[str, str]:
    """Read `A,B`, as given to `--compare`, into two names of trials or settings."""
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names):
        raise NoSuchTrial(f"--compare {text}: expected two trials, as in exp1,exp3.drop.")
    return names[0], names[1]


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
    arms = [best_named(sweep, name) for name in ((question.a, question.b) if question else ())]
    if len(arms) == 2 and arms[0] and arms[1] and arms[0] != arms[1]:
        return arms[0], arms[1]
    if len(sweep.ranked) < 2:
        return None
    best, *others = sweep.ranked
    apart = [run for run in others if family_of(run.trial) != family_of(best.trial)]
    return best, (apart or others)[0]


def _found(sweep: Sweep, name: str) -> Trial:
    found = best_named(sweep, name)
    if found is None:
        names = ", ".join(trial.trial for trial in sweep.trials)
        raise NoSuchTrial(f"--compare {name}: no trial of that name finished. There are {names}.")
    return found


def best_named(sweep: Sweep, name: str) -> Trial | None:
    """The run of a trial's name, or the best run of a setting with seeds or branches."""
    runs = {trial.trial: trial.same_as or trial.trial for trial in sweep.trials}
    exact = [run for run in sweep.runs if run.trial == runs.get(name)]
    below = {run for one, run in runs.items() if one.startswith((f"{name}.", f"{name}@"))}
    return next(iter([*exact, *(run for run in sweep.ranked if run.trial in below)]), None)


def _nearest(kept: Sequence[int], wanted: int) -> int:
    return min(kept, key=lambda epoch: (abs(epoch - wanted), epoch))
