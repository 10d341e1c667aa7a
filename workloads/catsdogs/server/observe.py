"""Around every request: an id, the model's headers, one JSON line in the log, one observation, perhaps a span.
It must not log what a picture shows, its name, or any header that a client sent but the ids of request and trace."""

from __future__ import annotations

import contextlib
import logging
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catsdogs.server.metrics import Metrics
from catsdogs.server.state import State
from catsdogs.server.tracing import Tracing

access = logging.getLogger("catsdogs.access")
logger = logging.getLogger("catsdogs.server")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# W3C Trace Context, and the header that Google's load balancer writes.
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_CLOUD_TRACE = re.compile(r"([0-9a-f]{32})(?:/([0-9]{1,20}))?(?:;o=([01]))?")


class Observed:
    """Wraps an ASGI application; `routes` has the path of each endpoint, which becomes a label of a metric.

    `project` is the Google Cloud project whose traces the log lines name.
    """

    def __init__(
        self,
        app: ASGIApp,
        state: State,
        metrics: Metrics,
        routes: Mapping[Any, str],
        tracing: Tracing | None = None,
        project: str = "",
    ) -> None:
        self.app, self.state, self.metrics, self.routes = app, state, metrics, routes
        self.tracing, self.project = tracing, project

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        status = 499  # the client left before an answer, in nginx's numbering

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(MutableHeaders(scope=message), request_id)
            await send(message)

        around = self.tracing.request(scope, method) if self.tracing else contextlib.nullcontext()
        with around as span:
            trace = self.tracing.trace_of(span) if self.tracing else _trace(headers)
            fields = {"request_id": request_id, **self._trace_fields(trace)}
            try:
                await self.app(scope, receive, sending)
            except Exception:
                # The answer, a 500 in JSON, is already sent by the application's own handler.
                logger.exception("request %s failed", request_id, extra={"fields": fields})
            finally:
                # The router leaves the endpoint here, also when the method is wrong.
                route = self.routes.get(scope.get("endpoint"), "other")
                if self.tracing:
                    self.tracing.end(span, method, route, status)
                seconds = time.perf_counter() - begin
                error = str(status) if status >= 500 else ""
                self.metrics.requests.labels(method, scope["scheme"], route, str(status), error).observe(seconds)
                if access.isEnabledFor(logging.INFO):
                    _log(method, route, status, seconds, fields)

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

    def _trace_fields(self, trace: tuple[str, str, bool] | None) -> dict[str, Any]:
        """The special fields by which Cloud Logging shows a line within its trace."""
        if trace is None:
            return {}
        trace_id, span_id, sampled = trace
        name = f"projects/{self.project}/traces/{trace_id}" if self.project else trace_id
        fields = {"trace": name, "spanId": span_id, "trace_sampled": sampled}
        return {f"logging.googleapis.com/{name}": value for name, value in fields.items()}


def _log(method: str, route: str, status: int, seconds: float, fields: Mapping[str, Any]) -> None:
    """One line; `httpRequest` is the form that Cloud Logging knows."""
    request = {"requestMethod": method, "requestUrl": route, "status": status, "latency": f"{seconds:.6f}s"}
    level = logging.INFO
    if status in (429, 503):
        level = logging.WARNING
    elif status >= 500:
        level = logging.ERROR
    access.log(level, "%s %s %d", method, route, status, extra={"fields": {"httpRequest": request, **fields}})


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    """The client's own id when it is harmless to repeat, else a fresh one."""
    text = headers.get(b"x-request-id", b"").decode("latin-1")
    return text if _REQUEST_ID.fullmatch(text) else uuid.uuid4().hex


def _trace(headers: Mapping[bytes, bytes]) -> tuple[str, str, bool] | None:
    """Trace id, span id (hex) and whether it is sampled, as a load balancer or client says; None for neither."""
    if found := _TRACEPARENT.fullmatch(headers.get(b"traceparent", b"").decode("latin-1")):
        return found[1], found[2], bool(int(found[3], 16) & 1)
    if found := _CLOUD_TRACE.fullmatch(headers.get(b"x-cloud-trace-context", b"").decode("latin-1")):
        return found[1], f"{int(found[2] or 0) % 2**64:016x}", found[3] == "1"
    return None
