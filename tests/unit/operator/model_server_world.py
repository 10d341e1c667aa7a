"""A small world for the ModelServer's tests: resources as the API server would give them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlops_operator.api.model_server import ModelServer, Observed, parse
from mlops_operator.api.settings import Settings
from mlops_operator.reconcile.model_server import reconcile
from mlops_operator.reconcile.plan import Plan

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
THEN = "2026-01-01T00:00:00Z"
IMAGE = "registry.example/server@sha256:" + "1" * 64
SETTINGS = Settings(namespaces=("team",), server_image=IMAGE, allowed_registries=("registry.example/",))
A, B = "a" * 64, "b" * 64


OFF = {"gate": {"policy": "None"}, "smoke": {"policy": "None"}, "watch": {"windowSeconds": 0}}
"""A spec that lets every model in, for tests of what comes after."""


def server(spec: Mapping[str, Any], status: Mapping[str, Any] | None = None, generation: int = 1) -> ModelServer:
    """ModelServer team/pets; without more in `spec` every model is let in."""
    metadata = {"name": "pets", "namespace": "team", "uid": "u-1", "generation": generation}
    return parse({"metadata": metadata, "spec": {**OFF, **spec}, "status": status or {}})


def record(sha256: str, run: str = "", accuracy: str = "0.9100") -> dict[str, str]:
    """`status.model` of a run or a server; the version is the first four digits of the digest."""
    version = sha256[:4]
    model = {"uri": f"gs://b/models/cats-dogs/{version}/model.pt", "sha256": sha256, "version": version}
    return {**model, **({"trainingRun": run} if run else {}), "testAccuracy": accuracy}


def run(name: str, succeeded: str, reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    """A TrainingRun; `sha256=` gives it a model, `labels=` and `created=` its metadata."""
    condition = {"type": "Succeeded", "status": succeeded, "reason": reason, "message": message}
    status: dict[str, Any] = {"conditions": [condition]}
    if "sha256" in more:
        status["model"] = record(more["sha256"])
    metadata = {
        "name": name,
        "creationTimestamp": more.get("created", THEN),
        "labels": more.get("labels", {}),
    }
    return {"metadata": metadata, "status": status}


def applied(plan: Plan, kind: str) -> Mapping[str, Any]:
    """The one child of that kind which the plan applies."""
    [found] = [child for child in plan.apply if child["kind"] == kind]
    return found


def deployed(resource: ModelServer, seen: Observed, ready: int | None = None, **metadata: Any) -> dict[str, Any]:
    """The Deployment that a pass applies, once its controller has worked; `ready` of its pods are."""
    wanted = applied(reconcile(resource, seen, SETTINGS, NOW), "Deployment")
    count = wanted["spec"].get("replicas", 1)
    up = count if ready is None else ready
    return {
        "metadata": {**wanted["metadata"], "generation": 1, **metadata},
        "spec": {"replicas": count, **wanted["spec"]},
        "status": {
            "observedGeneration": 1,
            "replicas": count,
            "updatedReplicas": count,
            "readyReplicas": up,
            "availableReplicas": up,
        },
    }


def pod(deployment: Mapping[str, Any], ready: bool = True, **status: Any) -> dict[str, Any]:
    """A pod of that Deployment."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": "pets-1", "creationTimestamp": THEN},
        "spec": deployment["spec"]["template"]["spec"],
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def said(plan: Plan, kind: str) -> tuple[str, str, str]:
    """Status, reason and message of a condition in the plan's status."""
    assert plan.status is not None
    [condition] = [c for c in plan.status["conditions"] if c["type"] == kind]
    return condition["status"], condition["reason"], condition["message"]
