"""Headless Chromium driven through a pipe, without any package: for the tests of reports.

What the pages ask for and say is noted: requests, console messages, exceptions, and refusals of
the content security policy.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_PATIENCE = 180.0  # seconds for one answer; a busy machine is slow


class NoAnswerError(Exception):
    """The browser was silent for too long."""


class Browser:
    """One page of a browser; `events` holds what has been told since it was last emptied."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self._in, self._out = ours_in, ours_out
        self._buffer = b""
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

        def descriptors() -> None:
            # by way of other numbers: the pipes may lie at 3 and 4 themselves
            for found, wanted in [(os.dup(theirs_in), 3), (os.dup(theirs_out), 4)]:
                os.dup2(found, wanted)

        self._process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=descriptors,  # noqa: PLW1509 - nothing of ours runs beside it
            close_fds=False,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        target = next(
            t for t in self._ask("Target.getTargets")["targetInfos"] if t["type"] == "page"
        )
        attached = self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session: str | None = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the page's protocol."""
        return self._ask(method, session=self._session, **parameters)

    def open(self, address: str) -> None:
        """Load an address and wait until it has been loaded."""
        self._go("about:blank", "location.href === 'about:blank'")
        self._go(address, "location.href !== 'about:blank'")

    def _go(self, address: str, arrived: str) -> None:
        """Navigate, again where nothing comes of it: one that meets another is never answered."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            self.events.clear()
            self._send("Page.navigate", self._session, {"url": address})
            again = time.monotonic() + _PATIENCE / 6
            while time.monotonic() < again:
                try:
                    if self.run(f"{arrived} && document.readyState === 'complete'", patience=5.0):
                        return
                except (NoAnswerError, RuntimeError):
                    continue  # asked of a page that was just leaving
                time.sleep(0.02)
        raise NoAnswerError(address)

    def run(self, script: str, *, patience: float = _PATIENCE) -> Any:
        """The value of an expression in the page."""
        answer = self._ask(
            "Runtime.evaluate",
            session=self._session,
            patience=patience,
            expression=script,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            try:
                if self.run(condition, patience=5.0):
                    return
            except (NoAnswerError, RuntimeError):
                continue  # asked of a page that was just leaving
            time.sleep(0.02)
        raise NoAnswerError(condition)

    def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text
            )

    def size(self, width: int, height: int = 900) -> None:
        """Set the width and height of the page."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """The page as a PNG."""
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self) -> bytes:
        """The page as it would be printed."""
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"])

    def requests(self) -> list[str]:
        """Addresses that were asked for since `open`, what lies in the page itself left out."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
            and not event["params"]["request"]["url"].startswith("data:")
        ]

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, exceptions and refusals since `open`."""
        return [
            json.dumps(event["params"])
            for event in self.events
            if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")
            or (
                event["method"] == "Runtime.consoleAPICalled"
                and event["params"]["type"] in ("error", "warning", "assert")
            )
        ]

    def dialogs(self) -> int:
        """How many alerts a page has opened."""
        return sum(e["method"] == "Page.javascriptDialogOpening" for e in self.events)

    def _ask(
        self,
        method: str,
        session: str | None = None,
        patience: float = _PATIENCE,
        **parameters: Any,
    ) -> dict[str, Any]:
        number = self._send(method, session, parameters)
        until = time.monotonic() + patience
        while True:
            answer = self._next(until)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            if "method" in answer:
                self.events.append(answer)

    def _send(self, method: str, session: str | None, parameters: dict[str, Any]) -> int:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        return number

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise NoAnswerError("the browser does not answer")
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer
