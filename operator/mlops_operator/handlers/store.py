"""The last known state of every object the operator cares for, fed by watches, lists and own writes.

A memory only: it never asks the API server, and an older version never replaces a newer one. It keeps of an
object what is read here, since the rest would be most of the operator's memory.
"""

import sys
from collections.abc import Mapping
from typing import Any

from mlops_operator.builders.job import NAME as TRAINER

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
Object = Mapping[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

# The ModelServer's replicas are handed over by looking at who owns the field.
_KEEPS_MANAGED_FIELDS = frozenset({"Deployment"})
_SHORT = 128


class Store:
    """Objects by kind, namespace and name; pods also by their `instance` label."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], dict[str, Object]] = {}
        self._pods: dict[tuple[str, str], set[str]] = {}

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, or None when none is known."""
        return self._objects.get((kind, namespace), {}).get(name)

    def all(self, kind: str, namespace: str) -> tuple[Object, ...]:
        """All known objects of a kind in a namespace."""
        return tuple(self._objects.get((kind, namespace), {}).values())

    def pods(self, namespace: str, instance: str) -> tuple[Object, ...]:
        """The pods whose `instance` label is `instance`, by name."""
        pods = self._objects.get(("Pod", namespace), {})
        return tuple(pods[name] for name in sorted(self._pods.get((namespace, instance), ())))

    def put(self, item: Object) -> bool:
        """Remember `item`; False: this version of it, or a newer one, was known already."""
        kind, metadata = item["kind"], item["metadata"]
        known = self._objects.setdefault((kind, metadata["namespace"]), {})
        old = known.get(metadata["name"])
        if old is not None and not newer(item, old):
            return False
        if kind == "Pod":
            self._index(item)
        known[metadata["name"]] = slim(item)
        return True

    def remove(self, kind: str, namespace: str, name: str, uid: str = "") -> None:
        """Forget the object (with `uid`: only if it is that very one)."""
        old = self.get(kind, namespace, name)
        if old is None or (uid and old["metadata"]["uid"] != uid):
            return
        del self._objects[kind, namespace][name]
        instance = _instance(old)
        if kind == "Pod" and instance:
            self._pods.get((namespace, instance), set()).discard(name)

    def _index(self, pod: Object) -> None:
        if instance := _instance(pod):
            metadata = pod["metadata"]
            self._pods.setdefault((metadata["namespace"], instance), set()).add(metadata["name"])


def newer(one: Object, other: Object) -> bool:
    """Whether `one` is a later version of the same object than `other`, or another object."""
    a, b = one["metadata"], other["metadata"]
    if a["uid"] != b["uid"]:
        return True
    try:
        return int(a["resourceVersion"]) > int(b["resourceVersion"])
    except ValueError:
        return bool(a["resourceVersion"] != b["resourceVersion"])


def slim(item: Object) -> Object:
    """The object without the parts that nobody here reads: who owns which field, what kubectl last applied,
    the pod template of a training Job, the spec of a training pod."""
    kind, metadata = item["kind"], dict(item["metadata"])
    if kind not in _KEEPS_MANAGED_FIELDS:
        metadata.pop("managedFields", None)
    if LAST_APPLIED in metadata.get("annotations", ()):
        metadata["annotations"] = without(metadata["annotations"], LAST_APPLIED)
    small = {**item, "metadata": metadata}
    if metadata.get("labels", {}).get(NAME) == TRAINER:
        if kind == "Job" and "spec" in item:
            small["spec"] = without(item["spec"], "template")
        if kind == "Pod":
            small.pop("spec", None)
    slimmed: Object = shared(small)
    return slimmed


def without(mapping: Object, name: str) -> Object:
    """A copy of `mapping` without `name`."""
    return {key: value for key, value in mapping.items() if key != name}


def shared(value: Any) -> Any:
    """The same JSON value, with one copy of each name and short text for all objects that hold it."""
    if isinstance(value, dict):
        return {sys.intern(name): shared(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shared(inner) for inner in value]
    if isinstance(value, str) and len(value) <= _SHORT:
        return sys.intern(value)
    return value


def _instance(item: Object) -> str:
    return str(item["metadata"].get("labels", {}).get(INSTANCE, ""))
