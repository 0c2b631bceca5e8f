"""Picture a sweep in the MLflow UI for docs/mlflow.md: python docs/mlflow_pictures.py [DIR].

Needs Chromium. Starts `pct ui`, opens its two links in a fresh browser, and fails where a curve or
a panel is missing, so that the pictures show what a user sees.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from palette import save

from tests.browser import Page, browser

PLACE = Path(__file__).parent
QUIETER = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
"""A fresh browser opens an assistant's panel over a third of the page."""
TOP = (
    "[...document.querySelectorAll('*')].filter(e => e.textContent.startsWith({text!r})).pop()"
    ".getBoundingClientRect().top"
)
"""Where the innermost element with this text begins."""
PANELS = "[...document.querySelectorAll('img')].filter(i => i.src.includes('get-artifact'))"


def main() -> None:
    """Make the three pictures."""
    folder = sys.argv[1] if len(sys.argv) > 1 else "out/demo/sweep"
    with ui_of(folder) as (table, charts):
        pictures(table, charts)


@contextlib.contextmanager
def ui_of(folder: str) -> Iterator[tuple[str, str]]:
    """A running `pct ui`: its links to the table and to the charts."""
    command = [sys.executable, "-m", "pct", "ui", folder, "--port", "5087"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            links = {}
            for line in program.stdout or ():
                name, _, link = line.strip().partition(" ")
                links[name] = link.strip()
                if "Ctrl-C" in line:
                    break
            if "charts" not in links:
                raise SystemExit(f"pct ui {folder} did not start")
            yield links["table"], links["charts"]
        finally:
            program.send_signal(signal.SIGINT)


def pictures(table: str, charts: str) -> None:
    """Open both links and picture the table, the curves and the panels."""
    with browser(width=1840, height=620) as page:
        open_link(page, table)
        page.wait("document.querySelectorAll('.ag-center-cols-container .ag-row').length > 1")
        time.sleep(2)
        save(page.picture(), PLACE / "mlflow-table.png")
    with browser(width=1400, height=1200) as page:
        open_link(page, charts)
        page.wait("document.querySelectorAll('.scatterlayer .trace').length > 8")
        time.sleep(2)
        save(page.picture(), PLACE / "mlflow-curves.png", part=(0, 0, 1400, 996))
    with browser(width=1700, height=3200) as page:
        open_link(page, charts)
        page.wait(f"({PANELS}).length > 2 && ({PANELS}).every(i => i.naturalWidth > 0)")
        time.sleep(2)
        top = round(page.run(TOP.format(text="Panels:"))) - 24
        save(page.picture(), PLACE / "mlflow-panels.png", part=(500, top, 1690, top + 920))


def open_link(page: Page, link: str) -> None:
    """In a browser that has seen this server once."""
    page.open(link.partition("#")[0] + "health")
    page.run(QUIETER)
    page.open(link)


if __name__ == "__main__":
    main()
