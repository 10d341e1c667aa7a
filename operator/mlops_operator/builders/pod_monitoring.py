"""The PodMonitoring of a ModelServer: Google's managed Prometheus scrapes each pod's metrics port.

It takes no client and does not know whether the cluster has that kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_operator.builders.common import child_metadata, selector
from mlops_operator.builders.deployment import APP

API_VERSION = "monitoring.googleapis.com/v1"
KIND = "PodMonitoring"


@dataclass(frozen=True)
class PodMonitoringInputs:
    """The ModelServer's name, namespace and owner reference."""

    name: str
    namespace: str
    owner: Mapping[str, Any]


def build_pod_monitoring(inputs: PodMonitoringInputs) -> dict[str, Any]:
    """The PodMonitoring to apply: `/metrics` every 30 s, with the pod's instance label as `model_server`."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": child_metadata(APP, inputs.name, inputs.namespace, inputs.owner),
        "spec": {
            "selector": {"matchLabels": selector(APP, inputs.name)},
            "endpoints": [{"port": "metrics", "path": "/metrics", "interval": "30s"}],
            "targetLabels": {"fromPod": [{"from": "app.kubernetes.io/instance", "to": "model_server"}]},
        },
    }
