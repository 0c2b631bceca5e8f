"""Kill a sweep again and again: python benchmarks/chaos.py [--kills 50] [--ray 5] [--seed N].

A forked sweep of phantoms is run by `pct sweep` and killed by SIGKILL at random moments: in one
process (`--here`), and `--ray` of the kills through Ray Train, where the victim is the driver, the
trial or a training worker. The same command goes on each time. When it ends, all that must hold is
looked at (see `Check`), and compared with a sweep that nothing disturbed. Some 6 minutes of one
core, and one to two more for each kill through Ray.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil
import torch

from pct import train as training
from pct.__main__ import main as run_pct
from sweeps import cli, session, trial  # noqa: F401  for the forks: loaded once
from sweeps.promotion import promote  # noqa: F401
from tests.data_folder import SIZE, make_data
from tests.sweeps.unhurt import Unhurt, problems_of
from tests.sweeps.watched import environment

RECIPE = f"""
base: smoke
epochs: 14
batch: 6
data: {{size: {SIZE}}}
val: {{slices: 1}}
trials:
  ngf:
    schedule:
      lambda_ngf: {{0: 20, 5: {{keep: 20, drop: {{5: 0, 11: {{stay: 0, back: 20}}}}}}}}
  never: {{schedule: {{lambda_ngf: 0}}, epochs: 3}}
"""
VICTIMS = {"driver": "pct sweep", "trial": "ray::ImplicitFunc", "worker": "RayTrainWorker"}


AT_ONCE = 2
"""Leaves that a driver's death breaks off on 2 CPUs."""


@dataclass
class Tally:
    """What has happened so far."""

    sweeps: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    epochs_again: int = 0
    problems: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--ray", type=int, default=5, help="of these, through Ray Train")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, tally = random.Random(options.seed), Tally()
    with tempfile.TemporaryDirectory(prefix="pct-chaos-") as place:
        folder = Path(place)
        os.environ["PCT_CACHE"] = str(folder / "cache")
        arena = prepare(folder)
        kill_many(arena, folder / "here", rng, tally, options.kills - options.ray, kill_here)
        kill_many(arena, folder / "ray", rng, tally, options.ray, kill_on_ray)
    report(tally)
    sys.exit(bool(tally.problems))


@dataclass(frozen=True)
class Arena:
    """What every campaign shares."""

    data: Path
    recipe: Path
    undisturbed: Unhurt
    seconds: float
    """Of a sweep in one process that nothing disturbs."""


def prepare(folder: Path) -> Arena:
    """Data, recipe, and the sweep that nothing disturbs."""
    torch.set_num_threads(1)
    recipe = folder / "chaos.yaml"
    recipe.write_text(RECIPE)
    data = make_data(folder)
    began = time.perf_counter()
    pid = fork(lambda: sweep(data, recipe, folder / "undisturbed" / "OUT", "--here"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "the undisturbed sweep failed"
    seconds = time.perf_counter() - began
    print(f"undisturbed: {seconds:.1f} s in one process", flush=True)
    return Arena(data, recipe, Unhurt.of(folder / "undisturbed" / "OUT"), seconds)


Kill = Callable[[Arena, Path, random.Random], str | None]
"""Runs a session and kills it: its victim, or None where it ended before."""


def kill_many(
    arena: Arena, folder: Path, rng: random.Random, tally: Tally, kills: int, kill: Kill
) -> None:
    """Sweep after sweep, until so many kills are done."""
    done = sum(tally.kills.values())
    while (left := kills + done - sum(tally.kills.values())) > 0:
        campaign(arena, folder / f"{tally.sweeps}", rng, tally, left, kill)


def campaign(
    arena: Arena, folder: Path, rng: random.Random, tally: Tally, most: int, kill: Kill
) -> None:
    """Kill one sweep until it ends by itself or `most` kills are done; then look at it."""
    killed = 0
    while killed < most:
        victim = kill(arena, folder, rng)
        if victim is None:
            break
        killed += 1
        tally.kills[victim] = tally.kills.get(victim, 0) + 1
        print(f"sweep {folder.name}: kill {killed}, of the {victim}", flush=True)
    code = run_here(arena, folder) if kill is kill_here else run_on_ray(arena, folder)
    tally.sweeps += 1
    if code:
        tally.problems.append(f"sweep {folder.name}: exit code {code}")
        return
    found = problems_of(folder / "OUT", arena.undisturbed)
    again = epochs_trained(folder) - arena.undisturbed.unique_epochs
    tally.epochs_again += max(again, 0)
    if again > killed * (1 if kill is kill_here else AT_ONCE):
        found.append(f"{again} epochs trained again after {killed} kills")
    tally.problems += [f"sweep {folder.name}: {problem}" for problem in found]


def run_here(arena: Arena, folder: Path) -> int:
    """The session that nobody kills, in a fork of this process: its exit code."""
    pid = fork(lambda: sweep(arena.data, arena.recipe, folder / "OUT", "--here"))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run_on_ray(arena: Arena, folder: Path) -> int:
    """The same through Ray; what it says is shown."""
    quiet = subprocess.DEVNULL
    return subprocess.run(
        command(arena, folder), env=watched_from(folder), stdout=quiet, check=False
    ).returncode


def kill_here(arena: Arena, folder: Path, rng: random.Random) -> str | None:
    """A session in a fork of this process, killed at a moment drawn from the length of a sweep."""
    pid = fork(lambda: sweep(arena.data, arena.recipe, folder / "OUT", "--here"))
    deadline = time.monotonic() + rng.uniform(0, 0.6 * arena.seconds)
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return None
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "process"


def kill_on_ray(arena: Arena, folder: Path, rng: random.Random) -> str | None:
    """A session of Ray of which one process is killed; a worker or trial is replaced by itself."""
    victim = rng.choice(list(VICTIMS))
    folder.mkdir(parents=True, exist_ok=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(command(arena, folder), env=watched_from(folder), **quiet)
    mine = psutil.Process(running.pid)
    before = epochs_trained(folder)
    wait_until(lambda: running.poll() is not None or epochs_trained(folder) > before, seconds=180)
    time.sleep(rng.uniform(0, 6))
    family = [mine, *mine.children(recursive=True)] if running.poll() is None else []
    targets = [process for process in family if is_victim(process, victim, mine)]
    for process in targets[:1]:
        process.kill()
    if victim != "driver":
        running.wait(timeout=600)
    running.wait(timeout=600)
    _, alive = psutil.wait_procs([p for p in family if p.pid != mine.pid], timeout=120)
    assert not alive, f"still running 2 min after its {victim} was killed: {alive}"
    return victim if targets else None


def is_victim(process: psutil.Process, victim: str, driver: psutil.Process) -> bool:
    """Whether this process is one of the kind to be killed."""
    if victim == "driver":
        return process.pid == driver.pid
    with contextlib.suppress(psutil.Error):
        return VICTIMS[victim] in " ".join(process.cmdline())
    return False


def sweep(data: Path, recipe: Path, out: Path, *how: str) -> int:
    """`pct sweep` in this process, quietly; every epoch really trained is a line beside `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    log, train_epoch = out.parent / "epochs.log", training.train_epoch

    def noted(*given: Any, **hooks: Any) -> dict[str, float]:
        terms = train_epoch(*given, **hooks)
        with log.open("a") as lines:
            lines.write("epoch\n")
        return terms

    training.train_epoch = noted
    quiet = contextlib.redirect_stdout, contextlib.redirect_stderr
    with Path(os.devnull).open("w") as null, quiet[0](null), quiet[1](null):
        return run_pct(["sweep", str(recipe), "--data", str(data), "--to", str(out), *how])


def epochs_trained(folder: Path) -> int:
    """Epochs really begun in a campaign: lines of its log."""
    log = folder / "epochs.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def watched_from(folder: Path) -> dict[str, str]:
    """The environment of a session whose Ray workers write a line for each epoch they begin."""
    return {**os.environ, **environment(folder / "epochs.log", pause=0.0)}


def command(arena: Arena, folder: Path) -> list[str]:
    """The same session as a command line."""
    out = str(folder / "OUT")
    program = [sys.executable, "-m", "pct", "sweep", str(arena.recipe)]
    return [*program, "--data", str(arena.data), "--to", out]


def fork(action: Callable[[], int]) -> int:
    """Start it in a fork of this process, so that nothing has to be imported again."""
    pid = os.fork()
    if pid:
        return pid
    os._exit(action())


def wait_until(holds: Callable[[], bool], *, seconds: float) -> None:
    """Look often."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)


def report(tally: Tally) -> None:
    """The tally, and every problem."""
    kills = ", ".join(f"{count} of the {victim}" for victim, count in tally.kills.items())
    print(f"{tally.sweeps} sweeps, {sum(tally.kills.values())} kills: {kills}")
    print(f"epochs trained again: {tally.epochs_again}")
    print(f"problems: {len(tally.problems)}")
    for problem in tally.problems:
        print(f"  {problem}")


if __name__ == "__main__":
    main()
