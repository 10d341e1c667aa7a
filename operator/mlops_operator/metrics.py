"""The operator's own metrics for Prometheus.

Only counted here; nothing reads them back.
"""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

PASSES = Counter("mlops_operator_reconcile", "Passes of reconcile by kind and outcome", ["kind", "outcome"])
PASS_SECONDS = Histogram("mlops_operator_reconcile_seconds", "Duration of a pass", ["kind"])
QUEUED = Gauge("mlops_operator_queue", "Resources that wait for a pass")
WRITES = Counter("mlops_operator_writes", "Writes to the API server by verb and kind", ["verb", "kind"])
LIST_AGE = Gauge("mlops_operator_list_age_seconds", "Age of the last complete list")


def serve(port: int) -> None:
    """Answer /metrics on all addresses; raises OSError when the port is taken."""
    start_http_server(port)
