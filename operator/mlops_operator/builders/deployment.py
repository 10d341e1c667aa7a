"""The Deployment of a ModelServer: pods that serve one model and roll over without a lost request.

It takes no client; whoever changes the pod template here raises TEMPLATE_VERSION with it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_operator.builders.common import CONTAINER_SECURITY, POD_SECURITY, child_metadata, env_list, labels, selector

APP = "cats-dogs-api"
TEMPLATE_VERSION = "2"
"""Part of the pod template: a new value rolls all servers over, and only with one may the template change."""
TEMPLATE_ANNOTATION = "mlops.cats-dogs.io/template-version"
WANTED_ANNOTATION = "mlops.cats-dogs.io/wanted"
LOST_NODE_SECONDS = 30
"""How long a pod stays bound to a node that went silent. Kubernetes' own 300 s are for pods with state."""


@dataclass(frozen=True)
class DeploymentInputs:
    """What the Deployment depends on. `replicas` None leaves the field out, to whoever else owns it.

    `memory` is a whole number of Mi or Gi; `pod_env` is the operator's environment for all pods;
    `api_keys_secret` the Secret with the keys that clients need, "" for none.
    """

    name: str
    namespace: str
    owner: Mapping[str, Any]
    image: str
    model_uri: str
    model_sha256: str
    model_version: str
    training_run: str
    replicas: int | None
    cpu: str
    memory: str
    service_account: str
    pod_env: Mapping[str, str] = field(default_factory=dict)
    api_keys_secret: str = ""


def build_deployment(inputs: DeploymentInputs) -> dict[str, Any]:
    """The Deployment to apply. Its annotation WANTED_ANNOTATION is the hash of the rest, so that a Deployment
    seen later tells whether it is this one."""
    spec: dict[str, Any] = {
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": selector(APP, inputs.name)},
        "template": _template(inputs),
    }
    if inputs.replicas is not None:
        spec["replicas"] = inputs.replicas
    wanted = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": child_metadata(
            APP, inputs.name, inputs.namespace, inputs.owner, annotations={WANTED_ANNOTATION: wanted}
        ),
        "spec": spec,
    }


def _template(inputs: DeploymentInputs) -> dict[str, Any]:
    return {
        "metadata": {
            "labels": labels(APP, inputs.name),
            "annotations": {TEMPLATE_ANNOTATION: TEMPLATE_VERSION},
        },
        "spec": {
            "serviceAccountName": inputs.service_account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 30,
            "securityContext": dict(POD_SECURITY),
            "tolerations": [_lost_node("not-ready"), _lost_node("unreachable")],
            "topologySpreadConstraints": [
                _spread(inputs.name, "topology.kubernetes.io/zone"),
                _spread(inputs.name, "kubernetes.io/hostname"),
            ],
            "containers": [_container(inputs)],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}, *_keys_volume(inputs)],
        },
    }


def _lost_node(trouble: str) -> dict[str, Any]:
    return {
        "key": f"node.kubernetes.io/{trouble}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": LOST_NODE_SECONDS,
    }


def _keys_volume(inputs: DeploymentInputs) -> list[dict[str, Any]]:
    """Without the Secret no pod starts: a server that should ask for keys never runs without them."""
    if not inputs.api_keys_secret:
        return []
    return [{"name": "api-keys", "secret": {"secretName": inputs.api_keys_secret, "defaultMode": 0o440}}]


def _spread(name: str, topology: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(APP, name)},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _container(inputs: DeploymentInputs) -> dict[str, Any]:
    env = {
        "MODEL_URI": inputs.model_uri,
        "MODEL_SHA256": inputs.model_sha256,
        "MODEL_VERSION": inputs.model_version,
        "TRAINING_RUN": inputs.training_run,
        "HOME": "/tmp",  # noqa: S108 - the pod's own emptyDir
    }
    mounts: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    if inputs.api_keys_secret:
        env["API_KEYS_FILE"] = "/etc/api-keys/keys"
        mounts.append({"name": "api-keys", "mountPath": "/etc/api-keys", "readOnly": True})
    return {
        "name": "server",
        "image": inputs.image,
        "env": env_list({**inputs.pod_env, **env}),
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 8081}],
        "resources": {
            "requests": {"cpu": inputs.cpu, "memory": inputs.memory},
            "limits": {"memory": twice(inputs.memory)},
        },
        # Five minutes for the process to answer. By /live, not /health: a server whose bucket is away waits for it, and
        # a restart would only make the next try later.
        "startupProbe": _probe("/live", period=2, timeout=2, failures=150),
        "readinessProbe": _probe("/health", period=2, timeout=2, failures=5),
        "livenessProbe": _probe("/live", period=10, timeout=5, failures=3),
        # Endpoints forget the pod before the server stops accepting: no request of a roll is lost.
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": dict(CONTAINER_SECURITY),
        "volumeMounts": mounts,
    }


def _probe(path: str, period: int, timeout: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "metrics"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def twice(memory: str) -> str:
    """Double of a whole quantity of Mi or Gi: "1Gi" gives "2Gi"."""
    return f"{int(memory[:-2]) * 2}{memory[-2:]}"
