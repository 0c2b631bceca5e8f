"""Collecting what nobody needs: counted by references, listed first, COMMIT removed first."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sweeps.store.commit import COMMIT, is_committed, stored_names
from sweeps.store.files import Seen
from sweeps.store.leases import FOLDER
from sweeps.store.needs import needs
from sweeps.store.refs import REFS, listed
from sweeps.store.store import SET_ASIDE, Damaged, Missing, Store

YOUNG_SECONDS = 3600.0
"""A stage so young may belong to a sweep whose refs are on their way; a file so young to a writer
at work."""

YOUNG = "committed less than an hour ago"


@dataclass(frozen=True)
class Holding:
    """A committed stage and whether it must stay."""

    key: str
    bytes: int
    committed: float
    """Unix time."""
    why: str
    """It must stay because of this; empty for what is nobody's."""


@dataclass(frozen=True)
class Survey:
    """All that lies in a store, at one moment."""

    holdings: tuple[Holding, ...]
    """By time of commit."""
    leftovers: tuple[Seen, ...]
    """Of killed writers, and stages set aside; none younger than an hour."""
    total_bytes: int

    @property
    def collectable_bytes(self) -> int:
        """What may go."""
        stages = sum(holding.bytes for holding in self.holdings if not holding.why)
        return stages + sum(seen.bytes for seen in self.leftovers)

    @property
    def kept_bytes(self) -> int:
        """What must stay."""
        return self.total_bytes - self.collectable_bytes


@dataclass(frozen=True)
class Waste:
    """A survey's share that goes."""

    leftovers: tuple[Seen, ...]
    stages: tuple[Holding, ...]

    @property
    def bytes(self) -> int:
        """The room that is won."""
        return sum(seen.bytes for seen in self.leftovers) + sum(h.bytes for h in self.stages)


def survey(store: Store) -> Survey:
    """What there is and what must stay. Looks at the stages first: later ones are not in it."""
    folders, beside = store.folders(), _beside(store)
    why, now = needs(store), time.time()
    holdings, leftovers = [], [seen for seen in beside if _is_old(seen, now)]
    for key, found in folders.items():
        named = _named(store, key, found)
        unnamed = [seen for seen in found if seen.name not in named]
        leftovers += [seen for seen in unnamed if _is_old(seen, now)]
        if is_committed(found):
            committed = next(seen.modified for seen in found if seen.name == COMMIT)
            reason = why.get(key) or (YOUNG if now - committed < YOUNG_SECONDS else "")
            size = sum(seen.bytes for seen in found if seen.name in named)
            holdings.append(Holding(key, size, committed, reason))
    total = sum(seen.bytes for found in (beside, *folders.values()) for seen in found)
    by_time = sorted(holdings, key=lambda holding: (holding.committed, holding.key))
    return Survey(tuple(by_time), tuple(leftovers), total)


def choose(found: Survey, *, budget: int | None = None) -> Waste:
    """What goes: all that may or, with a budget in bytes, the oldest until the rest fits it.

    Leftovers go before stages. Where what must stay is above the budget, all goes that may.
    """
    excess = math.inf if budget is None else found.total_bytes - budget
    leftovers: list[Seen] = []
    stages: list[Holding] = []
    for seen in found.leftovers:
        if excess > 0:
            leftovers.append(seen)
            excess -= seen.bytes
    for holding in found.holdings:
        if excess > 0 and not holding.why:
            stages.append(holding)
            excess -= holding.bytes
    return Waste(tuple(leftovers), tuple(stages))


def collect(store: Store, waste: Waste) -> Iterator[Seen | Holding]:
    """Remove it, giving each thing once it is gone.

    A sweep that starts meanwhile says what it needs before it looks for stages; so needs are asked
    for anew whenever they have changed, and what is needed by then stays.
    """
    for seen in waste.leftovers:
        store.remove(seen.path)
        yield seen
    state, why = _state_of_needs(store), needs(store)
    for holding in waste.stages:
        if (now := _state_of_needs(store)) != state:
            state, why = now, needs(store)
        if holding.key not in why:
            store.drop(holding.key)
            yield holding


def _state_of_needs(store: Store) -> tuple[Seen, ...]:
    return (*listed(store, REFS), *listed(store, FOLDER))


def _named(store: Store, key: str, found: list[Seen]) -> set[str]:
    """The files of a stage. Of a damaged one all count, so that none is taken for a leftover."""
    try:
        return stored_names(store.commit(key)) | {COMMIT}
    except Missing:
        return set()
    except Damaged:
        return {seen.name for seen in found}


def _beside(store: Store) -> list[Seen]:
    """What is no stage and may be left over: set aside, or a temporary file."""

    def look() -> list[Seen]:
        tops = (store.files.listing(folder, below=False) for folder in ("", REFS, FOLDER))
        temporary = [seen for top in tops for seen in top if seen.name.endswith(".tmp")]
        found = store.files.listing(SET_ASIDE) + temporary
        store.reached()
        return found

    return store.patiently(look, "list what lies beside the stages")


def _is_old(seen: Seen, now: float) -> bool:
    return now - seen.modified >= YOUNG_SECONDS
