"""The PodDisruptionBudget of a ModelServer: a drain takes its pods one by one.

It takes no client and reads nothing of the cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_operator.builders.common import child_metadata, selector
from mlops_operator.builders.deployment import APP


@dataclass(frozen=True)
class PdbInputs:
    """The ModelServer's name, namespace and owner reference."""

    name: str
    namespace: str
    owner: Mapping[str, Any]


def build_pdb(inputs: PdbInputs) -> dict[str, Any]:
    """The PodDisruptionBudget to apply. A pod that is not ready may always be evicted."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": child_metadata(APP, inputs.name, inputs.namespace, inputs.owner),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(APP, inputs.name)},
        },
    }
