"""The HorizontalPodAutoscaler of a ModelServer: the number of its pods follows their CPU load.

It takes no client; who owns the Deployment's `replicas` meanwhile is decided in `reconcile`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_operator.builders.common import child_metadata
from mlops_operator.builders.deployment import APP

API_VERSION = "autoscaling/v2"
KIND = "HorizontalPodAutoscaler"


@dataclass(frozen=True)
class HpaInputs:
    """`target_cpu_utilization` is in percent of the pods' CPU request."""

    name: str
    namespace: str
    owner: Mapping[str, Any]
    min_replicas: int
    max_replicas: int
    target_cpu_utilization: int


def build_hpa(inputs: HpaInputs) -> dict[str, Any]:
    """The HorizontalPodAutoscaler to apply."""
    target = {"type": "Utilization", "averageUtilization": inputs.target_cpu_utilization}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": child_metadata(APP, inputs.name, inputs.namespace, inputs.owner),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": inputs.name},
            "minReplicas": inputs.min_replicas,
            "maxReplicas": inputs.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }
