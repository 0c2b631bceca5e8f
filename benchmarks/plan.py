"""What planning costs against the number of leaves: python benchmarks/plan.py [LEAVES ...].

Three recipes, written to a file and planned by `pct plan FILE` in a process of its own each time:
a search that runs every switch epoch at each point, seeds of a trial with two forks, and forks
within forks. Printed are CPU seconds, start and reading of the file included, the same in
microseconds a leaf, and the process's peak memory. Some minute of one core.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEAVES = (100, 1_000, 10_000, 100_000)


def main(counts: list[int]) -> None:
    print("recipe                       leaves   CPU s  us a leaf  peak MB")
    for title, recipe in RECIPES.items():
        for count in counts:
            seconds, peak_mb = measure(recipe(count))
            each = seconds / count * 1e6
            print(f"{title:<26}{count:>9,}{seconds:>8.2f}{each:>11.0f}{peak_mb:>9.0f}", flush=True)


def search(leaves: int) -> str:
    """Points of three quantities; at each, 5 switch epochs, kept and dropped."""
    shipped = (ROOT / "sweeps" / "recipes" / "search_ngf.yaml").read_text(encoding="utf-8")
    return shipped.replace("points: 12", f"points: {leaves // 10}")


def seeds(leaves: int) -> str:
    """One trial with two forks of two, under many seeds."""
    numbers = ",".join(str(seed) for seed in range(leaves // 4))
    return (
        f"base: resize\nseeds: '{numbers}'\ntrials:\n  forked:\n    schedule:\n"
        "      lambda_ngf: {0: 20, 40: {keep: 20, drop: 0}}\n"
        "      lambda_bg: {0: 10, 50: {same: 10, less: 1}}\n"
    )


def nested(leaves: int) -> str:
    """A fork of ten; from 100 leaves on each forks again, then later forks of ten cross them."""
    within = [f"b{n}: {{10: {n}, 20: {{{branches('c')}}}}}" for n in range(1, 11)]
    first = ", ".join(within) if leaves >= 100 else branches("b")
    lines = [f"lambda_ngf: {{0: 20, 10: {{{first}}}}}"]
    for at, name in enumerate(
        ("lambda_bg", "lambda_idt", "lambda_l1")[: max(len(str(leaves)) - 3, 0)]
    ):
        lines.append(f"{name}: {{0: 20, {30 + 10 * at}: {{{branches(chr(ord('d') + at))}}}}}")
    return "base: resize\ntrials:\n  t:\n    schedule:\n" + "".join(f"      {x}\n" for x in lines)


def branches(letter: str) -> str:
    return ", ".join(f"{letter}{value}: {value}" for value in range(1, 11))


def measure(recipe: str) -> tuple[float, float]:
    """CPU seconds and peak memory of `pct plan` on a recipe."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(recipe, encoding="utf-8")
        command = [sys.executable, "-m", "pct", "plan", str(path)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


RECIPES: dict[str, Callable[[int], str]] = {
    "search, 10 leaves a point": search,
    "seeds of a trial of forks": seeds,
    "forks within forks": nested,
}

if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]] or list(LEAVES))
