"""What every child object has in common: labels, owner reference, security contexts, environment.

It builds plain dicts and knows no single kind of child.
"""

from collections.abc import Mapping
from typing import Any

MANAGER = "mlops-operator"
USER = 65532

POD_SECURITY: Mapping[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Pod-level security context that Pod Security `restricted` admits."""

CONTAINER_SECURITY: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
"""Container-level security context that Pod Security `restricted` admits."""


def selector(name: str, instance: str) -> dict[str, str]:
    """The two labels that selectors use; they never change during the life of a child."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": label_value(instance)}


def labels(name: str, instance: str) -> dict[str, str]:
    """The labels of a child: `name` says what runs in it, `instance` is its custom resource's name."""
    return {**selector(name, instance), "app.kubernetes.io/managed-by": MANAGER}


def label_value(text: str) -> str:
    """`text` cut to the 63 characters a label value may have, ending in a letter or digit."""
    return text[:63].rstrip("-._")


def owner_reference(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The controller reference to `resource` (a custom resource as the API server gives it).

    Deletion of the owner does not wait for the child, so no right to set finalizers is needed.
    """
    return {
        "apiVersion": resource["apiVersion"],
        "kind": resource["kind"],
        "name": resource["metadata"]["name"],
        "uid": resource["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def child_metadata(
    app: str,
    instance: str,
    namespace: str,
    owner: Mapping[str, Any],
    name: str = "",
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The metadata of a child of `instance`, named like it unless `name` says otherwise."""
    return {
        "name": name or instance,
        "namespace": namespace,
        "labels": labels(app, instance),
        **({"annotations": dict(annotations)} if annotations else {}),
        "ownerReferences": [dict(owner)],
    }


def env_list(mapping: Mapping[str, str]) -> list[dict[str, str]]:
    """A container's `env` from name to plain value, in the mapping's order.

    Kubernetes would put another variable's value in place of `$(NAME)`; `$$(NAME)` stays what it says.
    """
    return [{"name": name, "value": value.replace("$(", "$$(")} for name, value in mapping.items()]
