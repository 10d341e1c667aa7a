"""Around every request: an id, the model's headers, one JSON line in the log and one observation.
It must not log what a picture shows, its name, or any header that a client sent but the request id."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catsdogs.server.metrics import Metrics
from catsdogs.server.state import State

access = logging.getLogger("catsdogs.access")
logger = logging.getLogger("catsdogs.server")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Observed:
    """Wraps an ASGI application; `routes` are the paths that may become a label of a metric."""

    def __init__(self, app: ASGIApp, state: State, metrics: Metrics, routes: frozenset[str]) -> None:
        self.app, self.state, self.metrics, self.routes = app, state, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()
        request_id = _request_id(scope)
        status = 499  # the client left before an answer, in nginx's numbering

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception:
            # The answer, a 500 in JSON, is already sent by the application's own handler.
            logger.exception("request %s failed", request_id)
        finally:
            self._record(scope, request_id, status, time.perf_counter() - begin)

    def _add_headers(self, headers: MutableHeaders, request_id: str) -> None:
        headers["X-Request-Id"] = request_id
        served = self.state.served
        if served is not None:
            headers["X-Model-Version"] = served.version
            headers["X-Model-Sha256"] = served.sha256
            headers["X-Training-Run"] = served.training_run
        if self.state.draining:
            # The client's next request then goes to another pod instead of a closed socket.
            headers["Connection"] = "close"

    def _record(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        path, method = scope["path"], scope["method"]
        route = path if path in self.routes else "other"
        label = method if method in ("GET", "HEAD", "POST") else "_OTHER"
        self.metrics.requests.labels(label, route, str(status)).observe(seconds)
        if access.isEnabledFor(logging.INFO):
            fields = {
                "request": request_id,
                "method": label,
                "route": route,
                "status": status,
                "milliseconds": round(seconds * 1000, 2),
            }
            access.info("%s %s %d", label, route, status, extra={"fields": fields})


def _request_id(scope: Scope) -> str:
    """The client's own id when it is harmless to repeat, else a fresh one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            if _REQUEST_ID.fullmatch(text):
                return text
    return uuid.uuid4().hex
