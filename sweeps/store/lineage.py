"""Who holds a stage: sweep, leaves and epoch of each key, from the refs."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sweeps.store.refs import Ref


@dataclass
class Lineage:
    """Where a stage lies on the paths of leaves."""

    epoch: int
    """Finished epochs: the same on every path, since it is part of the key."""
    leaves: dict[str, list[str]] = field(default_factory=dict)
    """Sweep -> its leaves that pass through."""


def lineages(refs: Iterable[Ref]) -> dict[str, Lineage]:
    """Key -> who holds it."""
    found: dict[str, Lineage] = {}
    for ref in refs:
        for name, leaf in ref.leaves.items():
            for epoch, key in enumerate(leaf.keys, 1):
                held = found.setdefault(key, Lineage(epoch))
                held.leaves.setdefault(ref.sweep, []).append(name)
    return found
