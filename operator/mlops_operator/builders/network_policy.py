"""Who may reach the pods of a ModelServer: everybody the server, the judge alone the candidate.

It takes no client. In a namespace that denies by default this opens what serving needs and no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_operator.builders.candidate import APP as CANDIDATE
from mlops_operator.builders.candidate import candidate_name
from mlops_operator.builders.common import child_metadata, selector
from mlops_operator.builders.deployment import APP
from mlops_operator.builders.judge import APP as JUDGE

KIND = "NetworkPolicy"
API_VERSION = "networking.k8s.io/v1"
HTTP: Mapping[str, Any] = {"port": "http", "protocol": "TCP"}
OPS: Mapping[str, Any] = {"port": "metrics", "protocol": "TCP"}
"""The second port has no predictions: kubelet, collector and operator ask there from outside the namespace."""


@dataclass(frozen=True)
class NetworkPolicyInputs:
    """The ModelServer's name, namespace and owner reference."""

    name: str
    namespace: str
    owner: Mapping[str, Any]


def build_server_policy(inputs: NetworkPolicyInputs) -> dict[str, Any]:
    """The NetworkPolicy of the pods that serve."""
    return _policy(inputs, inputs.name, APP, [{"ports": [dict(HTTP), dict(OPS)]}])


def build_candidate_policy(inputs: NetworkPolicyInputs) -> dict[str, Any]:
    """The NetworkPolicy of the candidate's pod."""
    judge = {"podSelector": {"matchLabels": selector(JUDGE, inputs.name)}}
    rules = [{"from": [judge], "ports": [dict(HTTP)]}, {"ports": [dict(OPS)]}]
    return _policy(inputs, candidate_name(inputs.name), CANDIDATE, rules)


def _policy(inputs: NetworkPolicyInputs, name: str, app: str, ingress: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": child_metadata(app, inputs.name, inputs.namespace, inputs.owner, name),
        "spec": {
            "podSelector": {"matchLabels": selector(app, inputs.name)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }
