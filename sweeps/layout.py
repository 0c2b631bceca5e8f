"""What a leaf asks of a cluster, and how many fit: a sweep that could never start is refused."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_prep.errors import PctError
from pct.config import Run

Resources = Mapping[str, float]


class Cramped(PctError):
    """A cluster on which a sweep would wait for ever."""


@dataclass(frozen=True)
class Layout:
    """How a cluster is shared out."""

    each: dict[str, float]
    """What a worker holds: CPUs for its threads, and a GPU or a share of one if there are any."""
    slots: int
    """Leaves at once."""


def lay_out_workers(nodes: Sequence[Resources], need: Run, *, gpus: float = 1.0) -> Layout:
    """How many leaves like `need` fit on `nodes` at once; none: `Cramped`, with the numbers.

    A worker fits on one node or not at all. `gpus`, a share of one or a whole number, is what a
    worker gets where the cluster has GPUs.
    """
    each = {"CPU": float(need.threads)}
    if any(node.get("GPU") for node in nodes):
        each["GPU"] = _checked(gpus, need)
    fits = [_workers_on(node, each) for node in nodes]
    slots = sum(fits) // need.workers
    if not slots:
        asked = " and ".join(f"{count:g} {kind}" for kind, count in each.items())
        found = "; ".join(_spell(node, each) for node in nodes) or "no node"
        raise Cramped(
            f"a leaf needs {need.workers} workers with {asked} each; the cluster's nodes have "
            f"{found}: room for {sum(fits)}. It would wait for ever. Lower workers, threads or "
            "--gpus-per-worker, or join a larger cluster by --address."
        )
    return Layout(each, slots)


def _checked(gpus: float, need: Run) -> float:
    if gpus > 1 and not float(gpus).is_integer():
        raise Cramped(f"--gpus-per-worker {gpus:g}: give a share of one GPU, or a whole number.")
    if gpus < 1 and need.workers > 1:
        raise Cramped(
            f"--gpus-per-worker {gpus:g} with workers={need.workers}: nccl refuses two workers of "
            "one leaf on one GPU. Set workers=1; several leaves share a GPU instead."
        )
    return float(gpus)


def _workers_on(node: Resources, each: Resources) -> int:
    """Workers that fit on a node; a share of a GPU cannot straddle two."""
    room = [math.floor(node.get("CPU", 0.0) / each["CPU"] + 1e-9)]
    if share := each.get("GPU"):
        whole = math.floor(node.get("GPU", 0.0) + 1e-9)
        room.append(whole * math.floor(1 / share + 1e-9) if share <= 1 else int(whole // share))
    return min(room)


def _spell(node: Resources, each: Resources) -> str:
    return " + ".join(f"{node.get(kind, 0.0):g} {kind}" for kind in each)
