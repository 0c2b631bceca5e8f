"""Where a sweep on Ray spends time besides training: python benchmarks/times.py [ROUNDS].

A small fork is swept with the environment that `pct sweep` gives its workers, and with Ray's and
glibc's defaults, in turn. Printed are medians over all rounds, and the load of the machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.sweeps.inside import when_imported

ROOT = Path(__file__).parent.parent
DEFAULTS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_TOP_PAD_": "131072",
}
"""Of those that ENVIRONMENT sets, the ones that cost or save time."""

LOG = "PCT_TIMES_LOG"
FORK_EPOCH, EPOCHS = 3, 8
TRIALS = {
    "ngf": {
        "epochs": EPOCHS,
        "schedule": {"lambda_ngf": {0: 20, FORK_EPOCH: {"keep": 20, "drop": 0}}},
    }
}
ROWS = {
    "start": "from `run_on_ray` to the first epoch, s",
    "sibling": "from the commit of the fork to its sibling's first epoch, s",
    "fork": "between the epochs around the fork, for the leaf that goes on, s",
    "gap": "between two other epochs, s",
    "epoch": "an epoch, s",
    "serialise": "a stage to bytes, its panels drawn, s",
    "commit": "a stage committed, s",
    "report": "a report, for the worker, s",
    "end": "from the last epoch to the end of the sweep, s",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rounds", nargs="?", type=int, default=3)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    arms: dict[str, list[dict[str, list[float]]]] = {"tuned": [], "defaults": []}
    for _ in range(options.rounds):
        for arm, found in arms.items():
            found.append(in_a_child(DEFAULTS if arm == "defaults" else {}))
    print(f"{options.rounds} rounds; load {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores")
    print(f"{'':68}{'tuned':>9}{'defaults':>10}")
    for name, what in ROWS.items():
        tuned, plain = (pooled(rounds, name) for rounds in arms.values())
        print(f"{what:68}{tuned:9.3f}{plain:10.3f}")


def pooled(rounds: list[dict[str, list[float]]], name: str) -> float:
    return statistics.median(value for found in rounds for value in found[name])


def in_a_child(variables: dict[str, str]) -> dict[str, list[float]]:
    """One sweep in a process of its own, whose environment Ray reads at import."""
    from sweeps.runner import ENVIRONMENT

    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
        environment |= {
            "RAY_RUNTIME_ENV_HOOK": "benchmarks.times.into_workers",
            "PYTHONPATH": str(ROOT), "PCT_CACHE": f"{folder}/cache", LOG: f"{folder}/times.log",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, __file__, "--one", folder],
            env=environment | variables, check=True, capture_output=True, text=True,
        )  # fmt: skip
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def into_workers(runtime_env: dict[str, Any]) -> dict[str, Any]:
    """Called by `ray.init`: workers note how long things take."""
    own = {name: os.environ[name] for name in (LOG, "PYTHONPATH")}
    variables = {**runtime_env["env_vars"], **own}
    hook = f"{__name__}.install"
    return {**runtime_env, "env_vars": variables, "worker_process_setup_hook": hook}


def install() -> None:
    """Called in each worker as it starts."""
    when_imported("sweeps.trial", _timed)


def _timed(module: ModuleType) -> None:
    train_leaf, commits = module.train_leaf, module.Commits
    module.stage_files = _noting("serialise", module.stage_files)
    module.Commits = lambda *given, **named: _noting("commit", commits(*given, **named))
    module.train_leaf = lambda job, *, report, **named: train_leaf(
        job, report=_noting("report", report), **named
    )


def _noting(name: str, action: Callable[..., Any]) -> Callable[..., Any]:
    def act(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        result = action(*given, **named)
        with Path(os.environ[LOG]).open("a") as log:
            log.write(f"{name} {time.perf_counter() - began}\n")
        return result

    return act


def measure(folder: Path) -> dict[str, list[float]]:
    """Sweep once, two leaves at once; how long things took. Its imports are not its workers'."""
    from sweeps import spool
    from sweeps.runner import run_on_ray, set_environment
    from sweeps.source import Listed
    from tests.data_folder import make_data
    from tests.sweeps.survival import forked_sweep, job_of

    set_environment()
    sweep = forked_sweep(folder / "sweep", make_data(folder), TRIALS)
    sweep.folder.mkdir()
    began = time.time()
    run_on_ray(Listed(sweep.jobs), sweep.store, sweep.folder, runs=[sweep.jobs[0].run])
    ended = time.time()
    lines = {job.leaf: spool.epochs(job.spool) for job in sweep.jobs}
    (first, second) = sorted(lines, key=lambda leaf: lines[leaf][FORK_EPOCH]["time"])
    gaps = [
        begin(later) - float(earlier["time"])
        for earlier, later in zip(lines[first], lines[first][1:], strict=False)
    ]
    forked = sweep.store.info(job_of(sweep, first).key(FORK_EPOCH)).committed
    found = {
        "start": [begin(lines[first][0]) - began],
        "sibling": [begin(lines[second][FORK_EPOCH]) - forked],
        "fork": [gaps.pop(FORK_EPOCH - 1)],
        "gap": gaps,
        "epoch": [line["metrics"]["time/epoch_s"] for line in lines[first]],
        "end": [ended - max(line["time"] for rows in lines.values() for line in rows)],
    }
    for line in Path(os.environ[LOG]).read_text().splitlines():
        name, seconds = line.split()
        found.setdefault(name, []).append(float(seconds))
    return found


def begin(line: dict[str, Any]) -> float:
    """When an epoch began."""
    return float(line["time"]) - float(line["metrics"]["time/epoch_s"])


if __name__ == "__main__":
    main()
