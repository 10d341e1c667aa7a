"""Optional OpenTelemetry traces, set up by the standard environment variables alone (extra `otel`).
It must not import OpenTelemetry where no exporter is named, and must not fail or hold up a request."""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger("catsdogs.server")

SERVICE = "cats-dogs-api"
FLUSH_SECONDS = 2.0
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTERS = {
    "otlp": ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "OTLPSpanExporter"),
    "console": ("opentelemetry.sdk.trace.export", "ConsoleSpanExporter"),
}


def from_env(env: Mapping[str, str]) -> Tracing | None:
    """Traces when OTEL_TRACES_EXPORTER names otlp or console, or an OTLP endpoint is given; else None.

    Sampling, headers, timeouts and resource attributes are read from the environment by OpenTelemetry itself.
    """
    named = env.get("OTEL_TRACES_EXPORTER") or ("otlp" if any(map(env.get, _ENDPOINTS)) else "none")
    if named == "none" or env.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if named not in _EXPORTERS:
        logger.warning("OTEL_TRACES_EXPORTER %r is not otlp, console or none: no traces", named)
        return None
    module, name = _EXPORTERS[named]
    try:
        exporter = getattr(importlib.import_module(module), name)()
    except ImportError as error:
        logger.warning("traces are asked for, but OpenTelemetry is not installed (extra `otel`): %s", error)
        return None
    return Tracing(exporter, {} if env.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE})


class Tracing:
    """A span for each request, child of the client's, and below it one for each step of a picture."""

    def __init__(self, exporter: Any, resource: Mapping[str, str]) -> None:
        from opentelemetry import propagate, trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self.provider = TracerProvider(resource=Resource.create(dict(resource)), shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer("catsdogs.server")
        self.trace, self.propagate = trace, propagate

    def request(self, scope: Mapping[str, Any], method: str) -> Any:
        """A context manager around a request; it gives the span, for `trace_of` and `end`."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"], "url.path": scope["path"]}
        return self.tracer.start_as_current_span(
            method, self.propagate.extract(carrier), self.trace.SpanKind.SERVER, attributes
        )

    def trace_of(self, span: Any) -> tuple[str, str, bool]:
        """Trace id and span id in hex, and whether the trace is kept."""
        context = span.get_span_context()
        return f"{context.trace_id:032x}", f"{context.span_id:016x}", bool(context.trace_flags.sampled)

    def end(self, span: Any, method: str, route: str, status: int) -> None:
        """Names the request's span by its route, and says how it went."""
        span.update_name(f"{method} {route}" if route != "other" else method)
        span.set_attribute("http.response.status_code", status)
        if route != "other":
            span.set_attribute("http.route", route)
        if status >= 500:
            span.set_attribute("error.type", str(status))
            span.set_status(self.trace.StatusCode.ERROR)

    def steps(self, seconds: Mapping[str, float]) -> None:
        """Spans for steps that just ended one after the other, below the current span."""
        begin = time.time_ns() - int(1e9 * sum(seconds.values()))
        for name, took in seconds.items():
            span = self.tracer.start_span(name, start_time=begin)
            begin += int(1e9 * took)
            span.end(end_time=begin)

    def flush(self) -> None:
        """Sends what is not sent yet; a collector that does not answer costs FLUSH_SECONDS and no more."""
        flushing = threading.Thread(target=self.provider.force_flush, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)
