"""A headless Chromium, driven over its debugging pipe: no port, no package."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--hide-scrollbars",
    # A machine with a mouse: on others Plotly lays its tools over the curves for good.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2",
    "--remote-debugging-pipe",
)  # fmt: skip
NO_GPU = ("--disable-gpu",)
WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""WebGL without a graphics card; other pages open more slowly with it."""
READ, WRITE = 3, 4
"""Descriptors that Chromium reads commands from, and writes answers to."""
KEYS = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowUp": 38}
LOADED = "document.readyState === 'complete'"
FIRST_FIGURE = "performance.getEntriesByName('first plot').length > 0"
"""A report marks the moment at which its first figure stands."""

Area = dict[str, float]
"""A part of the page: x, y, width and height in pixels, from the page's upper left corner."""


class Page:
    """One tab. Commands and answers are JSON, each ended by a zero byte."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._number, self._rest, self._session = 0, b"", ""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")

    def listen(self) -> None:
        """From now on note in `complaints` what it logs or refuses, in `requests` what it asks for.

        Not by itself: pages open more slowly with it.
        """
        for domain in ("Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command's result; events on the way are noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def size(self, width: int, height: int) -> None:
        """Make the window so many pixels large."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def open(self, url: str, *, until: str = LOADED) -> None:
        """Go there, and come back when `until` is true there."""
        told = self.call("Page.navigate", url=url)
        if "errorText" in told:
            raise RuntimeError(f"{url}: {told['errorText']}")
        self.wait(until)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise's when it is kept."""
        done = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(f"{script}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def wait(self, condition: str, *, seconds: float = 60.0) -> None:
        """Until a JavaScript expression is true."""
        until = time.monotonic() + seconds
        while not self.run(condition):
            if time.monotonic() > until:
                raise RuntimeError(f"not true in {seconds:g} s: {condition}; {self.complaints}")
            time.sleep(0.05)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press one of `KEYS` and let it go."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=8 * shift,
                windowsVirtualKeyCode=KEYS[key], text="\r" if key == "Enter" else "",
            )  # fmt: skip

    def area(self, selector: str) -> Area:
        """Where the first element stands that `selector` finds."""
        area: Area = self.run(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return {x: r.x + scrollX, y: r.y + scrollY,"
            " width: r.width, height: r.height}; })()"
        )
        return area

    def picture(self, area: Area | None = None) -> bytes:
        """What the window shows, or a part of the page, as PNG."""
        part = {"clip": area | {"scale": 1}, "captureBeyondViewport": True} if area else {}
        return base64.b64decode(self.call("Page.captureScreenshot", **part)["data"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._from, 1 << 20)
            if not piece:
                raise RuntimeError("Chromium has ended")
            self._rest += piece
        line, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(line))

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])


@contextmanager
def browser(width: int = 1200, height: int = 900, *, webgl: bool = False) -> Iterator[Page]:
    """A page in a browser of its own with an empty profile, ended with the block."""
    if CHROMIUM is None:
        raise FileNotFoundError("neither chromium nor google-chrome is on the PATH: install one")
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = ["bash", "-c", f'exec "$0" "$@" {READ}<&{to_read} {WRITE}>&{from_write}']
        command += [CHROMIUM, *FLAGS, *(WEBGL if webgl else NO_GPU)]
        command += [f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(
            command, pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(from_write)
        try:
            page = Page(to_write, from_read)
            page.size(width, height)
            yield page
        finally:
            process.terminate()
            process.wait(timeout=20)
            os.close(to_write)
            os.close(from_read)
