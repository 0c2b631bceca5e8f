"""Tracking's cost an epoch for the process that trains: python benchmarks/tracking.py [EPOCHS].

20 metrics an epoch: a line in the spool and one of the worker's use, as trials do, against
`MlflowClient.log_batch` on sqlite and to a local server over HTTP. Wall time, all four in turn in
each epoch; then what the driver's sender needs for as many epochs at once, and one by one.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

from mlflow import MlflowClient
from mlflow.entities import Metric

from sweeps import spool, usage
from sweeps.runner import set_environment
from sweeps.sweep import prepare_sweep
from sweeps.tracking import Place, client_at
from sweeps.tracking.best import Best
from sweeps.tracking.feed import Feed
from tests.data_folder import SIZE, make_data
from tests.sweeps.tracking_server import server_in

METRIC = "val/psnr_masked"
NAMES = [METRIC, *(f"loss/{number}" for number in range(19))]


def main(epochs: int) -> None:
    set_environment()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        file = client_at(Place(f"sqlite:///{folder}/mlflow.db", folder / "artifacts"))
        with server_in(folder) as door:
            http = MlflowClient(tracking_uri=f"http://127.0.0.1:{door.behind}")
            ways = {"spool": spool_way(folder), "sqlite": direct(file), "http": direct(http)}
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for epoch in range(1, epochs + 1):
                for name, log in ways.items():
                    seconds[name].append(timed(lambda log=log, epoch=epoch: log(epoch)))
            show(seconds)
            for name, client in (("sqlite", file), ("http", http)):
                show_sender(name, client, folder)


def row_of(epoch: int) -> dict[str, float]:
    return {"epoch": epoch, "time": 1e9 + epoch, **dict.fromkeys(NAMES, 0.5 * epoch)}


def spool_way(folder: Path) -> Callable[[int], None]:
    """As a trial's rank 0 tells its epochs."""
    from sweeps.recipe import Recipe
    from sweeps.search.space import Search

    recipe = Recipe("t", "smoke", {"data": {"size": SIZE}}, {"only": {}}, (), {}, Search())
    sweep = prepare_sweep(recipe, data=make_data(folder / "heads"), folder=folder / "sweep")
    (job,) = sweep.jobs
    job.spool.parent.mkdir(parents=True)
    spool.begin(job.spool, job.last_key)
    note_use = usage.meter(job, 0)

    def log(epoch: int) -> None:
        note_use(epoch)
        spool.add_epochs(job.spool, [row_of(epoch)], carried=False)

    return log


def direct(client: MlflowClient) -> Callable[[int], None]:
    run_id = client.create_run("0").info.run_id

    def log(epoch: int) -> None:
        now = int(time.time() * 1000)
        client.log_batch(run_id, metrics=[Metric(name, 0.5, now, epoch) for name in NAMES])

    log(0)  # the first call makes the connection
    return log


def show(seconds: dict[str, list[float]]) -> None:
    print("way      median ms     p95     max   median against the spool")
    base = statistics.median(seconds["spool"])
    for name, values in seconds.items():
        values.sort()
        middle, late = statistics.median(values), values[int(0.95 * len(values))]
        print(f"{name:<8} {1e3 * middle:9.2f} {1e3 * late:7.1f} {1e3 * values[-1]:7.1f}   "
              f"{middle / base:6.1f}x")  # fmt: skip
    print(f"{len(seconds['spool'])} epochs of {len(NAMES)} metrics")


def show_sender(name: str, client: MlflowClient, folder: Path) -> None:
    """In the driver, beside training: 70 epochs that have waited, and 10 as they come."""
    path = folder / f"{name}.jsonl"
    spool.begin(path, "key")
    feed = Feed(path, metric=METRIC, bests=(Best(),))
    run_id = client.create_run("0").info.run_id
    spool.add_epochs(path, [row_of(epoch) for epoch in range(1, 71)], carried=False)
    waited = timed(lambda: feed.send(client, run_id, folder))
    singly = []
    for epoch in range(71, 81):
        spool.add_epochs(path, [row_of(epoch)], carried=False)
        singly.append(timed(lambda: feed.send(client, run_id, folder)))
    print(f"sender to {name}: 70 epochs at once {1e3 * waited:.0f} ms, "
          f"one {1e3 * statistics.median(singly):.0f} ms")  # fmt: skip


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 70)
