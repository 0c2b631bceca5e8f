"""Picture a report for the README: python docs/report_pictures.py [REPORT [SECTION ...]].

Needs Chromium. REPORT is out/demo/sweep/report.html, as `make demo` leaves it. docs/report.png is
the top of the page, as many whole sections as fit; a SECTION, named as in the page's links
(`stage-tree`), becomes docs/report-SECTION.png.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from palette import save

from tests.browser import FIRST_FIGURE, Area, Page, browser

PLACE = Path(__file__).parent
WIDTH_PX, MOST_HEIGHT_PX = 1200, 1800
MARGIN_PX = 16
ALL_DRAWN = "[...document.querySelectorAll('.plot')].every(p => p.querySelector('.main-svg'))"
SECTIONS = "[...document.querySelectorAll('main > section')]"
BOTTOMS = f"{SECTIONS}.map(each => each.getBoundingClientRect().bottom + scrollY)"


def main(report: str = "out/demo/sweep/report.html", *sections: str) -> None:
    """Picture the top of the page, and each section that is named."""
    with browser(width=WIDTH_PX, height=MOST_HEIGHT_PX) as page:
        page.open(Path(report).resolve(strict=True).as_uri(), until=FIRST_FIGURE)
        page.run("dispatchEvent(new Event('beforeprint'))")  # draws what is not in view, too
        page.wait(ALL_DRAWN)
        save(page.picture(top(page)), PLACE / "report.png")
        for name in sections:
            save(page.picture(section(page, name)), PLACE / f"report-{name}.png")


def top(page: Page) -> Area:
    """From the heading to the end of the last section that fits."""
    height = max(bottom for bottom in page.run(BOTTOMS) if bottom <= MOST_HEIGHT_PX)
    return {"x": 0, "y": 0, "width": WIDTH_PX, "height": height}


def section(page: Page, name: str) -> Area:
    """One section with a margin."""
    if name not in (names := page.run(f"{SECTIONS}.map(each => each.id)")):
        raise SystemExit(f"the report has no section {name}; it has {', '.join(names)}")
    inner = page.area(f"[id={json.dumps(name)}]")
    return {
        "x": inner["x"] - MARGIN_PX,
        "y": inner["y"] - MARGIN_PX,
        "width": inner["width"] + 2 * MARGIN_PX,
        "height": inner["height"] + 2 * MARGIN_PX,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
