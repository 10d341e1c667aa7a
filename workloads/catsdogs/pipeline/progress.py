"""How far a stage is: written to a small file by the process that works, served over HTTP by the one that waits.
It must not import torch or DVC, and must never make a stage fail."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from catsdogs.pipeline.workspace import STATE, write_json

FILE = STATE / "progress.json"
LIMIT = 1024
INTERVAL = 0.5


class Progress:
    """Reports of one stage: at most two a second go to the file, a line a report to stderr on `say`."""

    def __init__(self, stage: str, file: Path | None = None) -> None:
        self.file = (file or FILE).absolute()
        self.stage = stage
        self.last = 0.0

    def report(self, done: int, total: int, *, at_once: bool = False, **values: Any) -> None:
        """`done` of `total` parts are done; `values` are epoch, epochs, valAccuracy, trainLoss, etaSeconds."""
        now = time.monotonic()
        if done < total and now - self.last < INTERVAL and not at_once:
            return
        self.last = now
        percent = round(100 * done / max(total, 1))
        content = {"stage": self.stage, "percent": percent, **values}
        with contextlib.suppress(OSError):
            write_json(self.file, {name: value for name, value in content.items() if value is not None})

    def say(self, text: str) -> None:
        """One line for the log."""
        print(f"{self.stage}: {text}", file=sys.stderr, flush=True)


def read(file: Path) -> dict[str, Any]:
    """The last report, or {} when there is none yet."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def serve(stage: str, file: Path, port: int) -> ThreadingHTTPServer | None:
    """Answer GET /progress on all addresses in a thread of its own; None when the port can't be had."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            if self.path != "/progress":
                self.send_error(404)
                return
            content = read(file)
            content = content if content.get("stage") == stage else {"stage": stage}
            body = json.dumps(content).encode()[:LIMIT]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing: one poll every few seconds would bury the stage's own log."""

    try:
        server = ThreadingHTTPServer(("", port), Handler)
    except OSError as error:
        print(f"{stage}: no progress on port {port}: {error}", file=sys.stderr, flush=True)
        return None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
