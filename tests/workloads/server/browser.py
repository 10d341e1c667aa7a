"""A real headless Chromium, driven by the DevTools protocol over a pipe: no driver, no port, no other library.
It must not reach another host: all that a page asks for is recorded, and the tests look at it."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    "--remote-debugging-pipe",
)
SECONDS = 60.0


def program() -> str:
    """The browser on this machine; Debian's package is installed where there is none, which needs root."""
    if found := next(filter(None, map(shutil.which, PROGRAMS)), None):
        return found
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    packages = ["chromium", "fonts-dejavu-core"]
    for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"no Chromium here, and apt-get {command[0]} failed: {done.stderr[-300:]}"
    found = shutil.which("chromium")
    assert found, "apt-get installed chromium, and there is no program of that name"
    return found


class Browser:
    """One process of Chromium; `page` opens a tab in it."""

    def __init__(self, process: subprocess.Popen[bytes], reading: int, writing: int) -> None:
        self.process, self.reading, self.writing = process, reading, writing
        self.number, self.rest = 0, b""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """A command's result; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        os.write(self.writing, json.dumps({**message, "sessionId": session} if session else message).encode() + b"\0")
        end = time.monotonic() + SECONDS
        while True:
            answer = self._receive(end)
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)

    def _receive(self, end: float) -> dict[str, Any]:
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.reading], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"Chromium did not answer within {SECONDS:.0f} s"
            data = os.read(self.reading, 1 << 20)
            assert data, f"Chromium ended: {self.process.poll()}"
            self.rest += data
        message, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a profile of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        # Chromium reads commands from descriptor 3 and writes to 4; high numbers can't be in their way.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (*os.pipe(), *os.pipe())]
        theirs = f'exec "$0" "$@" 3<&{ends[0]} 4>&{ends[3]}'
        command = ["bash", "-c", theirs, program(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(
            command, pass_fds=(ends[0], ends[3]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for end in (ends[0], ends[3]):
            os.close(end)
        try:
            yield Browser(process, ends[2], ends[1])
        finally:
            process.kill()
            process.wait()
            for end in (ends[1], ends[2]):
                os.close(end)


class Page:
    """A tab. `requests` are the addresses it asked for, `complaints` its errors and refusals by the policy."""

    def __init__(self, opened: Browser, address: str, *, dark: bool = False, width: int = 1100) -> None:
        self.browser = opened
        target = opened.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = str(opened.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Network", "Runtime", "Log", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait(self, expression: str) -> None:
        end = time.monotonic() + SECONDS
        while not self.run(expression):
            assert time.monotonic() < end, f"not so within {SECONDS:.0f} s: {expression}; {self.text('body')}"
            time.sleep(0.05)

    def text(self, selector: str) -> str:
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def press(self, name: str) -> None:
        """A key, as from a keyboard."""
        code = {"Tab": 9, "Enter": 13}[name]
        text = {"text": "\r"} if name == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=code)

    def choose(self, *files: Path) -> None:
        """Files for the page's file input, as chosen in the system's dialog."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(file) for file in files], nodeId=node)

    def screenshot(self, path: Path) -> None:
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _events(self, method: str) -> list[dict[str, Any]]:
        mine = [event for event in self.browser.events if event.get("sessionId") == self.session]
        return [event["params"] for event in mine if event["method"] == method]

    @property
    def requests(self) -> list[str]:
        return [str(event["request"]["url"]) for event in self._events("Network.requestWillBeSent")]

    @property
    def complaints(self) -> list[str]:
        thrown = [str(event["exceptionDetails"]) for event in self._events("Runtime.exceptionThrown")]
        return thrown + [str(event["entry"]["text"]) for event in self._events("Log.entryAdded")]
