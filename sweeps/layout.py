"""What a leaf asks of a cluster, and how many fit: a sweep that could never start is refused."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from data_prep.errors import PctError
from pct.config import Run

Resources = Mapping[str, float]


class Cramped(PctError):
    """A cluster on which a sweep would wait for ever."""


@dataclass(frozen=True)
class Layout:
    """How a cluster is shared out."""

    gpus: float
    """A worker's; 0 on a cluster without."""
    slots: int
    """Leaves at once."""

    def worker(self, run: Run) -> dict[str, float]:
        """What a worker of a run holds: CPUs for its threads, and its GPUs if there are any."""
        return {"CPU": float(run.threads)} | ({"GPU": self.gpus} if self.gpus else {})


def lay_out_workers(
    nodes: Sequence[Resources], runs: Collection[Run], *, gpus: float = 1.0
) -> Layout:
    """How many of these runs fit on `nodes` at once; one that never does: `Cramped`, with numbers.

    A worker fits on one node or not at all. `gpus`, a share of one or a whole number, is what a
    worker gets where the cluster has GPUs.
    """
    held = gpus if any(node.get("GPU") for node in nodes) else 0.0
    if held > 1 and not float(held).is_integer():
        raise Cramped(f"--gpus-per-worker {held:g}: give a share of one GPU, or a whole number.")
    slots = [_slots(nodes, run, Layout(held, 0).worker(run)) for run in runs]
    return Layout(held, min(slots))


def _slots(nodes: Sequence[Resources], run: Run, each: dict[str, float]) -> int:
    gpus = each.get("GPU", 1.0)
    if gpus < 1 and run.workers > 1:
        raise Cramped(
            f"--gpus-per-worker {gpus:g} with workers={run.workers}: nccl refuses two workers of "
            "one leaf on one GPU. Set workers=1; several leaves share a GPU instead."
        )
    fits = [_workers_on(node, each) for node in nodes]
    if sum(fits) < run.workers:
        asked = " and ".join(f"{count:g} {kind}" for kind, count in each.items())
        found = "; ".join(_spell(node, each) for node in nodes) or "no node"
        raise Cramped(
            f"a leaf needs {run.workers} workers with {asked} each; the cluster's nodes have "
            f"{found}: room for {sum(fits)}. It would wait for ever. Lower workers, threads or "
            "--gpus-per-worker, or join a larger cluster by --address."
        )
    return sum(fits) // run.workers


def _workers_on(node: Resources, each: Resources) -> int:
    """Workers that fit on a node; a share of a GPU cannot straddle two."""
    room = [math.floor(node.get("CPU", 0.0) / each["CPU"] + 1e-9)]
    if share := each.get("GPU"):
        whole = math.floor(node.get("GPU", 0.0) + 1e-9)
        room.append(whole * math.floor(1 / share + 1e-9) if share <= 1 else int(whole // share))
    return min(room)


def _spell(node: Resources, each: Resources) -> str:
    return " + ".join(f"{node.get(kind, 0.0):g} {kind}" for kind in each)
