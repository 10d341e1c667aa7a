"""The Service of a ModelServer: port 80 to the pods, with or without an address outside the cluster.

It takes no client and reads nothing of the cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_operator.builders.common import child_metadata, selector
from mlops_operator.builders.deployment import APP


@dataclass(frozen=True)
class ServiceInputs:
    """`type` is LoadBalancer, InternalLoadBalancer or ClusterIP; `address` a reserved one for the first two, or ""."""

    name: str
    namespace: str
    owner: Mapping[str, Any]
    type: str
    address: str = ""


INTERNAL: Mapping[str, str] = {
    "networking.gke.io/load-balancer-type": "Internal",
    "networking.gke.io/internal-load-balancer-allow-global-access": "false",
}
"""What makes GKE's load balancer one of the VPC alone."""


def build_service(inputs: ServiceInputs) -> dict[str, Any]:
    """The Service to apply."""
    internal = inputs.type == "InternalLoadBalancer"
    address = {"loadBalancerIP": inputs.address} if inputs.address else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(
            APP, inputs.name, inputs.namespace, inputs.owner, annotations=INTERNAL if internal else None
        ),
        "spec": {
            "type": "LoadBalancer" if internal else inputs.type,
            **address,
            "selector": selector(APP, inputs.name),
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }
