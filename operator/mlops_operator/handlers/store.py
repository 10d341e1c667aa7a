"""The last known state of every object the operator cares for, fed by watches, lists and own writes.

A memory only: it never asks the API server, and an older version never replaces a newer one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

INSTANCE = "app.kubernetes.io/instance"
Object = Mapping[str, Any]

# The ModelServer's replicas are handed over by looking at who owns the field.
_KEEPS_MANAGED_FIELDS = frozenset({"Deployment"})


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

    def put(self, item: Object) -> Object | None:
        """Remember `item` unless a newer version of it is known; gives what was known before."""
        kind, metadata = item["kind"], item["metadata"]
        known = self._objects.setdefault((kind, metadata["namespace"]), {})
        old = known.get(metadata["name"])
        if old is not None and newer(old, item):
            return old
        if kind == "Pod":
            self._index(item)
        known[metadata["name"]] = item if kind in _KEEPS_MANAGED_FIELDS else without_managed_fields(item)
        return old

    def update(self, item: Object) -> None:
        """Remember the answer to an own write, unless the object was deleted since."""
        metadata = item["metadata"]
        old = self.get(item["kind"], metadata["namespace"], metadata["name"])
        if old is not None and old["metadata"]["uid"] == metadata["uid"]:
            self.put(item)

    def remove(self, kind: str, namespace: str, name: str, uid: str = "") -> None:
        """Forget the object (with `uid`: only if it is that very one)."""
        old = self.get(kind, namespace, name)
        if old is None or (uid and old["metadata"]["uid"] != uid):
            return
        del self._objects[kind, namespace][name]
        instance = _instance(old)
        if kind == "Pod" and instance:
            self._pods.get((namespace, instance), set()).discard(name)

    def replace(self, kind: str, namespace: str, items: Iterable[Object], before: Iterable[str]) -> None:
        """Take over a complete list: put all `items`, forget those of the names known `before` the list was
        asked for that it does not hold."""
        listed = {item["metadata"]["name"] for item in items}
        for item in items:
            self.put(item)
        for name in before:
            if name not in listed:
                self.remove(kind, namespace, name)

    def _index(self, pod: Object) -> None:
        if instance := _instance(pod):
            metadata = pod["metadata"]
            self._pods.setdefault((metadata["namespace"], instance), set()).add(metadata["name"])


def newer(one: Object, other: Object) -> bool:
    """Whether `one` is a later version of the same object than `other`."""
    a, b = one["metadata"], other["metadata"]
    if a["uid"] != b["uid"]:
        return False
    try:
        return int(a["resourceVersion"]) > int(b["resourceVersion"])
    except ValueError:
        return False


def without_managed_fields(item: Object) -> Object:
    """The object without the largest part of it that nobody here reads."""
    metadata = {name: value for name, value in item["metadata"].items() if name != "managedFields"}
    return {**item, "metadata": metadata}


def _instance(item: Object) -> str:
    return str(item["metadata"].get("labels", {}).get(INSTANCE, ""))
