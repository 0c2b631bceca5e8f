"""Reports of sweeps of 3, 20 and 60 trials, 70 epochs: python benchmarks/report.py [TRIALS ...].

Made-up folders with all tables, slices of two cases, histograms, and volumes with noise of 20 HU in
the head, which compress no better than a network's. Seconds of CPU and of the clock to write;
bytes; milliseconds until the page is read (DOMContentLoaded) and until its first figure stands, in
a headless Chromium, the middle one of several openings after a first one that is given apart.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "dashboards"))

import numpy as np
from big_sweep import write_big_sweep
from looks_folder import write_histograms, write_looks
from volumes_folder import head_hu, pseudo_ct, write_volume, write_volumes

from dashboards.load import load_sweep
from dashboards.page import write_report
from tests.browser import CHROMIUM, FIRST_FIGURE, Page, browser

OPENINGS = 5
READ = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
DRAWN = "performance.getEntriesByName('first plot')[0].startTime"


def main(sizes: list[int]) -> None:
    print(f"{'trials':>6} {'to write':>18} {'size':>8}  {'first opening':>16} {'later':>16}")
    for num_trials in sizes:
        with tempfile.TemporaryDirectory() as folder:
            sweep = Path(folder) / "sweep"
            write_big_sweep(sweep, num_trials=num_trials)
            write_pictures(sweep)
            clock, cpu = time.perf_counter(), time.process_time()
            path = write_report(load_sweep(sweep))
            clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
            size = path.stat().st_size / 1e6
            line = f"{num_trials:6} {clock:6.1f} s ({cpu:4.1f} CPU) {size:5.1f} MB"
            print(line, *openings(path.as_uri()))


def write_pictures(folder: Path) -> None:
    """Slices, histograms and volumes of every run."""
    runs = [run.trial for run in load_sweep(folder).runs]
    write_looks(folder, trials=runs, cases=("p00", "p01"), epochs=(10, 40, 41, 70))
    write_histograms(folder, trials=runs, cases=("p00", "p01"))
    write_volumes(folder, {}, case="p00")
    rng, inside = np.random.default_rng(0), head_hu()[1]
    for run in runs:
        noisy = pseudo_ct(-1000.0) + inside * rng.normal(0, 20, inside.shape)
        write_volume(folder / "volumes" / run / "p00.nii.gz", noisy, np.int16)


def openings(url: str) -> tuple[str, str]:
    """Of a browser with an empty profile: its first, and the middle of the later ones."""
    if CHROMIUM is None:
        return "no Chromium", ""
    with browser() as page:
        first, *later = (opening(page, url) for _ in range(1 + OPENINGS))
    return spelt(first), spelt((median(read for read, _ in later), median(t for _, t in later)))


def opening(page: Page, url: str) -> tuple[float, float]:
    page.open(url, until=FIRST_FIGURE)
    times = page.run(READ), page.run(DRAWN)
    page.open("about:blank")
    return times


def spelt(times: tuple[float, float]) -> str:
    return f"{times[0]:6.0f} {times[1]:6.0f} ms"


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [3, 20, 60])
