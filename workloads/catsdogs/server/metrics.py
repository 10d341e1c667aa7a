"""The Prometheus metrics of one server process. It must not label anything by what a client sends, nor by
project_id, location, cluster, namespace, job or instance, which belong to Google's collection."""

from __future__ import annotations

import prometheus_client as prometheus

from catsdogs.server.state import Served

CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST
# Those of OpenTelemetry's semantic conventions, and two below.
DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
STEP_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
CONFIDENCE_BUCKETS = (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1)


class Metrics:
    """One registry per process, or per test; the names of HTTP metrics are OpenTelemetry's."""

    def __init__(self) -> None:
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self.registry)
        self.requests = prometheus.Histogram(
            "http_server_request_duration_seconds",
            "Seconds from the request's headers to the end of the response",
            ("http_request_method", "url_scheme", "http_route", "http_response_status_code", "error_type"),
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self.predictions = prometheus.Counter(
            "catsdogs_predictions", "Answers given, by class", ("label",), registry=self.registry
        )
        self.confidence = self._histogram(
            "catsdogs_prediction_confidence", "Probability of the answered class", CONFIDENCE_BUCKETS
        )
        self.decode = self._histogram("catsdogs_decode_seconds", "Decoding and resizing", STEP_BUCKETS)
        self.forward = self._histogram("catsdogs_forward_seconds", "The network itself", STEP_BUCKETS)
        self.pending = prometheus.Gauge(
            "catsdogs_queue_depth", "Pictures accepted and not yet answered", registry=self.registry
        )
        self.refused = prometheus.Counter(
            "catsdogs_refused",
            "Requests for a prediction, and pictures of one, not answered, by reason",
            ("reason",),
            registry=self.registry,
        )
        self.loaded = prometheus.Gauge(
            "catsdogs_model_loaded", "1 when a verified model answers", registry=self.registry
        )
        self.model = prometheus.Info("model", "The served model", registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> prometheus.Histogram:
        return prometheus.Histogram(name, text, buckets=buckets, registry=self.registry)

    def serving(self, served: Served) -> None:
        self.model.info(
            {
                "version": served.version,
                "sha256": served.sha256,
                "architecture": served.predictor.architecture,
                "training_run": served.training_run,
            }
        )
        for name in served.predictor.classes:
            self.predictions.labels(name)
        self.loaded.set(1)

    def text(self) -> bytes:
        return prometheus.generate_latest(self.registry)
