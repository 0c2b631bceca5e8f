"""A headless Chromium spoken to through a pipe: what a page takes to open, and how it looks."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
READ, WRITE = 3, 4
"""Descriptors that Chromium reads commands from, and writes answers to."""


class Page:
    """One tab. Commands and answers are JSON, each ended by a zero byte."""

    def __init__(self, to: int, answers: Any) -> None:
        self._to, self._answers, self._number, self._session = to, answers, 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        self.call("Page.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Do it and wait for the answer; what else is told in between is passed over."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(self._next())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _next(self) -> bytes:
        parts = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("Chromium has ended")
            parts += byte
        return bytes(parts)

    def size(self, width: int, height: int) -> None:
        """Make the window so many pixels large."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, once it is there."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        return found["result"].get("value")

    def open(self, url: str) -> None:
        """Go there, and come back when its first figure is drawn."""
        self.call("Page.navigate", url=url)
        until = time.monotonic() + 60
        while not self.run("performance.getEntriesByName('first plot').length"):
            if time.monotonic() > until:
                raise RuntimeError(f"{url}: no figure within 60 s")
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        code = {"Tab": 9, "Enter": 13}[key]
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=code, text="\r" if key == "Enter" else "")  # fmt: skip

    def picture(self, path: Path) -> None:
        """What the window shows, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def chromium(program: str = "chromium") -> Iterator[Page]:
    """A browser with an empty profile, ended with the block."""
    profile = tempfile.mkdtemp()
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    command = ["bash", "-c", f'exec "$0" "$@" {READ}<&{to_read} {WRITE}>&{from_write}']
    command += [program, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        command, pass_fds=(to_read, from_write), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_read)
    os.close(from_write)
    try:
        with os.fdopen(from_read, "rb", buffering=1 << 16) as answers:
            yield Page(to_write, answers)
    finally:
        process.terminate()
        process.wait(timeout=20)
        os.close(to_write)
        shutil.rmtree(profile, ignore_errors=True)
