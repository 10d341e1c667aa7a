"""The Service of a ModelServer: port 80 to the pods, with or without an address outside the cluster.

It takes no client and reads nothing of the cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_operator.builders.common import labels, selector
from mlops_operator.builders.deployment import APP


@dataclass(frozen=True)
class ServiceInputs:
    """`type` is LoadBalancer or ClusterIP."""

    name: str
    namespace: str
    owner: Mapping[str, Any]
    type: str


def build_service(inputs: ServiceInputs) -> dict[str, Any]:
    """The Service to apply."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": inputs.name,
            "namespace": inputs.namespace,
            "labels": labels(APP, inputs.name),
            "ownerReferences": [dict(inputs.owner)],
        },
        "spec": {
            "type": inputs.type,
            "selector": selector(APP, inputs.name),
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }
