"""Picture a sweep in the MLflow UI for docs/mlflow.md: python docs/mlflow_pictures.py [DIR].

Needs Chromium. Starts `pct ui`, opens its two links in a fresh browser, and fails where a curve or
a panel is missing, so that the pictures show what a user sees.
"""

import asyncio
import contextlib
import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from browser import Page, browser
from PIL import Image

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
        asyncio.run(pictures(table, charts))


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


async def pictures(table: str, charts: str) -> None:
    """Open both links and picture the table, the curves and the panels."""
    async with browser(width=1840, height=620) as page:
        await open_link(page, table)
        await page.until(
            "document.querySelectorAll('.ag-center-cols-container .ag-row').length > 1"
        )
        await asyncio.sleep(2)
        save(await page.picture(), "mlflow-table.png")
    async with browser(width=1400, height=1200) as page:
        await open_link(page, charts)
        await page.until("document.querySelectorAll('.scatterlayer .trace').length > 8")
        await asyncio.sleep(2)
        save(await page.picture(area(0, 0, 1400, 996)), "mlflow-curves.png")
    async with browser(width=1700, height=3200) as page:
        await open_link(page, charts)
        await page.until(f"({PANELS}).length > 2 && ({PANELS}).every(i => i.naturalWidth > 0)")
        await asyncio.sleep(2)
        top = float(await page.run(TOP.format(text="Panels:")))
        save(await page.picture(area(500, top - 24, 1190, 920)), "mlflow-panels.png")


def area(left: float, top: float, width: float, height: float) -> dict[str, float]:
    """A part of a page, in pixels."""
    return {"x": left, "y": top, "width": width, "height": height}


async def open_link(page: Page, link: str) -> None:
    """In a browser that has seen this server once."""
    await page.ask("Page.enable")
    await page.ask("Page.navigate", url=link.partition("#")[0] + "health")
    await page.until("location.pathname == '/health' && document.readyState == 'complete'")
    await page.run(QUIETER)
    await page.ask("Page.navigate", url=link)


def save(png: bytes, name: str) -> None:
    """With a palette of its own colours, so that a trial's colour stays what it is."""
    with Image.open(io.BytesIO(png)) as picture:
        small = picture.convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE)
        small.save(PLACE / name, optimize=True)


if __name__ == "__main__":
    main()
