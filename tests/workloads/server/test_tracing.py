"""OpenTelemetry traces from the real process, by the standard variables alone; and none, unless they are asked for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from catsdogs.server import tracing
from tests.workloads.server.samples import ModelFile, picture
from tests.workloads.server.test_process import WORKLOADS, start, stop

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """An OTLP endpoint and the resource spans that it was sent."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.extend(ExportTraceServiceRequest.FromString(body).resource_spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def values(attributes: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in attributes}


def test_a_request_is_a_span_with_a_span_for_each_step(model_file: ModelFile, collector: tuple[str, list[Any]]) -> None:
    endpoint, received = collector
    running = start(model_file, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, DRAIN_SECONDS="0")
    try:
        running.wait_for("healthy")
        request = urllib.request.Request(
            f"http://127.0.0.1:{running.port}/predict",
            picture(),
            {"Content-Type": "image/jpeg", "traceparent": f"00-{TRACE}-{SPAN}-01"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
    finally:
        log = stop(running)
    assert running.process.returncode == 0, log

    spans = [span for resource in received for scope in resource.scope_spans for span in scope.spans]
    assert {values(resource.resource.attributes)["service.name"] for resource in received} == {"cats-dogs-api"}
    (root,) = [span for span in spans if span.name == "POST /predict"]
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, SPAN)
    assert values(root.attributes) == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "url.path": "/predict",
        "http.response.status_code": 200,
        "http.route": "/predict",
    }
    steps = sorted((span.start_time_unix_nano, span.name) for span in spans if span.parent_span_id == root.span_id)
    assert [name for _, name in steps] == ["queue", "decode", "forward"]
    (line,) = [line for line in map(json.loads, log.splitlines()) if line["message"] == "POST /predict 200"]
    assert line["logging.googleapis.com/trace"] == TRACE
    assert line["logging.googleapis.com/spanId"] == root.span_id.hex()


def test_nothing_is_imported_unless_asked_for() -> None:
    program = (
        "import sys; from catsdogs.server import api, serve, tracing;"
        "assert tracing.from_env({}) is None and tracing.from_env({'OTEL_TRACES_EXPORTER': 'none'}) is None;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'torch', 'numpy', 'google'))])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env={"PYTHONPATH": str(WORKLOADS)}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER 'zipkin' is not otlp, console or none: no traces"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "traces are asked for, but OpenTelemetry is not installed (extra `otel`)"),
    ],
)
def test_traces_that_can_not_be_had_are_said_and_stop_nothing(
    env: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert tracing.from_env(env) is None
    assert says in caplog.text
