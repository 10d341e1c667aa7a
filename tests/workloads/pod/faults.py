"""A proxy in front of the object store that does to chosen requests what a network or a busy store would do.

It must not invent answers of the store's own: what it does not spoil, the real store answers.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP = ("connection", "transfer-encoding", "content-length", "keep-alive", "host")


@dataclass(frozen=True)
class Fault:
    """What happens to a request.

    `status`: this answer instead of the store's. `reset`: the connection is torn before the store sees the
    request; `lost`: after it has carried it out; `cut`: in the middle of its answer. `slow`: seconds of delay.
    `hang`: nothing, until the proxy ends.
    """

    kind: str
    value: float = 0
    message: str = "injected"


Plan = Callable[[int, str], Fault | None]  # the request's number from 0, and "METHOD /path?query"


def rules(*entries: tuple[str, range, Fault]) -> Plan:
    """A plan by pattern: of the requests that match, those whose number from 0 is in the range get the fault."""
    seen = [0] * len(entries)

    def plan(number: int, request: str) -> Fault | None:
        found = None
        for index, (pattern, which, fault) in enumerate(entries):
            if re.search(pattern, request):
                found = fault if found is None and seen[index] in which else found
                seen[index] += 1
        return found

    return plan


class Proxy:
    """A running proxy: `endpoint` to talk to, `requests` that came, `spoilt` those among them that had a fault."""

    def __init__(self, upstream: str, plan: Plan) -> None:
        self.upstream = urlsplit(upstream)
        self.plan = plan
        self.lock = threading.Lock()
        self.requests: list[str] = []
        self.spoilt: list[tuple[str, str]] = []
        self.hanging = threading.Event()
        self.ended = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Bound", (_Handler,), {"found": self}))
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def fault_of(self, request: str) -> Fault | None:
        with self.lock:
            fault = self.plan(len(self.requests), request)
            self.requests.append(request)
            if fault is not None:
                self.spoilt.append((fault.kind, request))
        return fault

    def ask(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """Carry the request out; the store's own address in the answer is replaced by the proxy's."""
        connection = http.client.HTTPConnection(self.upstream.hostname or "", self.upstream.port, timeout=60)
        try:
            headers = {name: value for name, value in handler.headers.items() if name.lower() not in HOP}
            with suppress(BrokenPipeError):  # the store may answer before it has read all
                connection.request(handler.command, handler.path, body, {**headers, "Content-Length": str(len(body))})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def mine(self, text: str) -> str:
        return text.replace(f"http://{self.upstream.netloc}", self.endpoint)


@contextmanager
def proxy(upstream: str, plan: Plan) -> Iterator[Proxy]:
    """A proxy that serves until the end of the block."""
    found = Proxy(upstream, plan)
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield found
    finally:
        found.ended.set()
        found.server.shutdown()
        thread.join()
        found.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One connection; `found` is set by the proxy that it belongs to."""

    found: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self) -> None:
        body = self._body()
        fault = self.found.fault_of(f"{self.command} {self.path}")
        if fault is None or fault.kind in ("slow", "lost", "cut"):
            self._pass_on(body, fault or Fault(""))
        elif fault.kind == "status":
            self._answer(int(fault.value), {}, _error(int(fault.value), fault.message))
        else:
            if fault.kind == "hang":
                self.found.hanging.set()
                self.found.ended.wait()
            self._tear()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def _pass_on(self, body: bytes, fault: Fault) -> None:
        time.sleep(fault.value)
        answer, content = self.found.ask(self, body)
        if fault.kind == "lost":
            self._tear()
            return
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in HOP}
        if "json" in headers.get("Content-Type", ""):
            content = self.found.mine(content.decode()).encode()
        self._answer(answer.status, headers, content, cut=fault.kind == "cut")

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, self.found.mine(value))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self._tear()

    def _tear(self) -> None:
        """End the connection by RST, as a crashed peer does."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _error(status: int, message: str) -> bytes:
    return json.dumps({"error": {"code": status, "message": message, "errors": [{"message": message}]}}).encode()
