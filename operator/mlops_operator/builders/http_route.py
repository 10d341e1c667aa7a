"""The HTTPRoute of a ModelServer: a Gateway that others run sends it a host's requests.

It takes no client and does not know whether the cluster has that kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_operator.builders.common import child_metadata
from mlops_operator.builders.deployment import APP

API_VERSION = "gateway.networking.k8s.io/v1"
KIND = "HTTPRoute"


@dataclass(frozen=True)
class HttpRouteInputs:
    """`gateway` is NAME or NAMESPACE/NAME; whether the route may attach there the Gateway itself decides."""

    name: str
    namespace: str
    owner: Mapping[str, Any]
    gateway: str
    hostname: str


def build_http_route(inputs: HttpRouteInputs) -> dict[str, Any]:
    """The HTTPRoute to apply: all paths of the host to the Service's port 80."""
    namespace, _, name = inputs.gateway.rpartition("/")
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": child_metadata(APP, inputs.name, inputs.namespace, inputs.owner),
        "spec": {
            "parentRefs": [{"name": name, **({"namespace": namespace} if namespace else {})}],
            "hostnames": [inputs.hostname],
            "rules": [{"backendRefs": [{"name": inputs.name, "port": 80}]}],
        },
    }
