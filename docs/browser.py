"""A page in headless Chromium, driven through its DevTools protocol: open, click, wait, picture."""

import asyncio
import base64
import itertools
import json
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--hide-scrollbars", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--remote-debugging-port=0",
    # A machine with a mouse: on others Plotly lays its tools over the curves for good.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2",
]  # fmt: skip


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; events in between are passed over."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    async def until(self, script: str, *, seconds: float = 60) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not await self.run(script):
            if time.monotonic() > end:
                raise SystemExit(f"after {seconds:g} s still not true in the page: {script}")
            await asyncio.sleep(0.3)

    async def picture(self, clip: dict[str, float] | None = None) -> bytes:
        """The page as PNG, or the part `clip` (x, y, width, height)."""
        area = {"clip": {**clip, "scale": 1}} if clip else {}
        answer = await self.ask("Page.captureScreenshot", format="png", **area)
        return base64.b64decode(answer["data"])


@asynccontextmanager
async def browser(*, width: int, height: int) -> AsyncIterator[Page]:
    """A fresh browser of this size with one empty page; ended afterwards."""
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", *QUIET, f"--user-data-dir={profile}"]
        command += [f"--window-size={width},{height}", "about:blank"]
        program = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    tabs = json.loads(await answer.text())
                address = next(t for t in tabs if t["type"] == "page")["webSocketDebuggerUrl"]
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            program.terminate()
            program.wait()


async def _port(file: Path) -> int:
    for _ in range(200):
        if file.exists() and (lines := file.read_text().split()):
            return int(lines[0])
        await asyncio.sleep(0.1)
    raise SystemExit("chromium did not start; is it installed?")
