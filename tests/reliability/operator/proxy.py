"""The HTTP proxy between one operator and the API server: it counts what passes and does one fault to it.

What it does not spoil the real API server answers; it invents no object.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

import aiohttp
from aiohttp import web
from yarl import URL

from tests.reliability.operator.calls import ANSWERS, CUTS, KILLS, WATCHES, Call, Fault, call_of

FOREVER = 600.0
LISTS_AT_START = 2  # the operator's own, and the one before its watch
HOP = ("host", "accept-encoding", "connection", "content-length", "transfer-encoding", "content-encoding")
REASONS = {
    "409": "Conflict",
    "422": "Invalid",
    "429": "TooManyRequests",
    "500": "InternalError",
    "503": "ServiceUnavailable",
    "504": "Timeout",
}


class Proxy:
    """A running proxy. `calls` has every call in order, `answers` their number by call and status."""

    def __init__(self, session: aiohttp.ClientSession, server: str, trust: ssl.SSLContext) -> None:
        self._session, self._server, self._trust = session, server, trust
        self.fault: Fault | None = None
        self.kill: Callable[[], None] = lambda: None
        self.calls: list[Call] = []
        self.answers: Counter[tuple[Call, str]] = Counter()
        self.refusals: list[str] = []  # the API server's words about what the operator may not do
        self.writes = 0
        self.met = 0  # how often the fault was done
        self._matched = 0
        self._lists: dict[tuple[str, str], str] = {}
        self._snapshot: dict[tuple[str, str], bytes] = {}
        self._stale: dict[tuple[str, str], int] = {}
        self._held = asyncio.Lock()  # no write passes while a snapshot is taken
        self._runner: web.ServerRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen on a free port of the loopback address; `url` is the address."""
        self._runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True, access_log=None), shutdown_timeout=0
        )
        await self._runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Close all connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    def replay(self) -> None:
        """Answer the lists of the next start as they were before the write that the fault names."""
        self._stale = dict.fromkeys(self._snapshot, LISTS_AT_START)
        self.met += bool(self._snapshot)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._serve(request)
        except ConnectionError:  # the operator has gone
            return _tear(request)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        call = call_of(request.method, request.path, request.query)
        body = await request.read()
        self.calls.append(call)
        number = self.writes
        self.writes += call.writes
        if call.verb == "watch":
            return await self._watch(request, call)
        fault = self._due(call, number)
        if fault in ANSWERS:
            self.answers[call, f"injected {fault}"] += 1
            return _status(fault)
        if fault in ("hang", "reset"):
            await asyncio.sleep(FOREVER if fault == "hang" else 0)
            return _tear(request)
        if fault == "kill-before":
            self.kill()
            return _tear(request)
        if call.writes:
            async with self._held:
                if fault == "replay":
                    await self._take_snapshot(request.headers)
        answer = await asyncio.shield(self._forward(request, call, body))
        if fault in ("lost", "kill-unanswered"):
            if fault != "lost":
                self.kill()
            return _tear(request)
        if fault == "kill-answered":
            await answer.prepare(request)
            await answer.write_eof()
            self.kill()
        return answer

    def _note(self, call: Call, status: int, content: bytes) -> None:
        self.answers[call, str(status)] += 1
        if status == 403:
            self.refusals.append(str(json.loads(content)["message"]))

    def _due(self, call: Call, number: int) -> str:
        """The kind of the fault that is to be done to this call, or ""."""
        fault = self.fault
        if fault is None:
            return ""
        if fault.kind in KILLS or fault.kind == "replay":
            if not call.writes or number != fault.at:
                return ""
            self.met += fault.kind in KILLS
            return fault.kind
        return fault.kind if fault.kind in (*ANSWERS, *CUTS) and self._hits(fault, call) else ""

    def _hits(self, fault: Fault, call: Call) -> bool:
        if call != fault.call:
            return False
        self._matched += 1
        hit = fault.skip < self._matched <= fault.skip + fault.times
        self.met += hit
        return hit

    async def _forward(self, request: web.BaseRequest, call: Call, body: bytes) -> web.Response:
        if call.verb == "list" and "fieldSelector" not in request.query:  # of one name it is a read, and never old
            collection = (request.path, request.query.get("labelSelector", ""))
            if self._stale.get(collection, 0):
                self._stale[collection] -= 1
                return web.Response(body=self._snapshot[collection], content_type="application/json")
            self._lists[collection] = request.raw_path
        async with self._ask(request.method, request.raw_path, request.headers, body) as answer:
            content = await answer.read()
            self._note(call, answer.status, content)
            return web.Response(status=answer.status, body=content, headers=_kept(answer.headers))

    def _ask(
        self, method: str, raw_path: str, headers: Mapping[str, str], body: bytes = b"", seconds: float | None = 60
    ) -> aiohttp.client._RequestContextManager:
        address, timeout = URL(self._server + raw_path, encoded=True), aiohttp.ClientTimeout(total=seconds)
        return self._session.request(
            method, address, headers=_kept(headers), data=body or None, ssl=self._trust, timeout=timeout
        )

    async def _take_snapshot(self, headers: Mapping[str, str]) -> None:
        for collection, raw_path in list(self._lists.items()):
            async with self._ask("GET", raw_path, {"Authorization": headers["Authorization"]}) as answer:
                self._snapshot[collection] = await answer.read()

    async def _watch(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        out = web.StreamResponse(headers={"Content-Type": "application/json"})
        async with self._ask("GET", request.raw_path, request.headers, seconds=None) as answer:
            if answer.status != 200:
                content = await answer.read()
                self._note(call, answer.status, content)
                return web.Response(status=answer.status, body=content, headers=_kept(answer.headers))
            await out.prepare(request)
            with suppress(aiohttp.ClientPayloadError):
                async for line in _lines(answer.content):
                    spoilt = self._due_event(call, line)
                    if spoilt == "hide":
                        continue
                    if spoilt == "gone":
                        await out.write(_gone())
                    elif spoilt == "truncate":
                        await out.write(line[: len(line) // 2])
                    elif spoilt == "stall":
                        await asyncio.sleep(FOREVER)
                    if spoilt == "truncate":
                        return _tear(request)
                    if spoilt:
                        break
                    await out.write(line)
        await out.write_eof()
        return out

    def _due_event(self, call: Call, line: bytes) -> str:
        fault = self.fault
        if fault is None or fault.kind not in (*WATCHES, "hide") or b'"type":"BOOKMARK"' in line[:40]:
            return ""
        return fault.kind if self._hits(fault, call) else ""


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP}


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for part in content.iter_any():
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line + b"\n"


def _status(code: str) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "injected by the fault proxy",
        "reason": REASONS[code],
        "code": int(code),
    }
    headers = {"Retry-After": "1"} if code == "429" else {}
    return web.json_response(body, status=int(code), headers=headers)


def _gone() -> bytes:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
    return json.dumps({"type": "ERROR", "object": {**status, "message": "too old resource version"}}).encode() + b"\n"


def _tear(request: web.BaseRequest) -> web.StreamResponse:
    """End the connection by RST, as a crashed peer does."""
    transport = request.transport
    if transport is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()
