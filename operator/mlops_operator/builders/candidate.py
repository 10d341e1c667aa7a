"""The candidate of a ModelServer: one pod with the new model, beside the Deployment and outside the Service.

It takes no client; it is there only while the candidate is judged.
"""

from dataclasses import replace
from typing import Any

from mlops_operator.builders.common import labels, selector
from mlops_operator.builders.deployment import DeploymentInputs, build_deployment

APP = "cats-dogs-candidate"


def candidate_name(server: str) -> str:
    """The name of the candidate's Deployment."""
    return f"{server}-candidate"


def build_candidate(inputs: DeploymentInputs) -> dict[str, Any]:
    """The Deployment to apply: the server's own pod template under another label, with one replica.

    It asks for no API key: its NetworkPolicy lets in the judge alone, which has none.
    """
    body = build_deployment(replace(inputs, replicas=1, api_keys_secret=""))
    chosen, marked = selector(APP, inputs.name), labels(APP, inputs.name)
    template = body["spec"]["template"]
    pod = {name: value for name, value in template["spec"].items() if name != "topologySpreadConstraints"}
    return {
        **body,
        "metadata": {**body["metadata"], "name": candidate_name(inputs.name), "labels": marked},
        "spec": {
            **body["spec"],
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": chosen},
            "template": {"metadata": {**template["metadata"], "labels": marked}, "spec": pod},
        },
    }
