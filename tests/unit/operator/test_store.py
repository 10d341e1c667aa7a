"""The store: late news never replaces newer, and a list puts right what watches missed."""

from typing import Any

from mlops_operator.handlers.store import Store


def item(name: str, version: int, uid: str = "u", kind: str = "Pod", instance: str = "demo") -> dict[str, Any]:
    labels = {"app.kubernetes.io/instance": instance}
    metadata = {"name": name, "namespace": "team", "uid": uid, "resourceVersion": str(version)}
    return {"kind": kind, "metadata": {**metadata, "labels": labels}}


def test_older_news_is_dropped_and_a_recreated_object_is_not_older() -> None:
    store = Store()
    store.put(item("a", 5))
    assert not store.put(item("a", 4))
    assert not store.put(item("a", 5))
    assert store.get("Pod", "team", "a") == item("a", 5)
    store.put(item("a", 3, uid="again"))
    assert store.get("Pod", "team", "a") == item("a", 3, uid="again")


def test_deletion_of_an_earlier_object_of_the_name_is_no_deletion() -> None:
    store = Store()
    store.put(item("a", 1, uid="new"))
    store.remove("Pod", "team", "a", "old")
    assert store.get("Pod", "team", "a") == item("a", 1, uid="new")


def test_pods_are_found_by_instance_until_they_are_gone() -> None:
    store = Store()
    for name, instance in (("b", "demo"), ("a", "demo"), ("c", "other")):
        store.put(item(name, 1, instance=instance))
    assert [pod["metadata"]["name"] for pod in store.pods("team", "demo")] == ["a", "b"]
    store.remove("Pod", "team", "a")
    assert [pod["metadata"]["name"] for pod in store.pods("team", "demo")] == ["b"]
    assert store.pods("elsewhere", "demo") == ()


def test_managed_fields_are_kept_only_where_they_are_read() -> None:
    store = Store()
    for kind in ("Pod", "Deployment"):
        full = item("a", 1, kind=kind)
        full["metadata"]["managedFields"] = [{"manager": "m"}]
        store.put(full)
    found = [store.get(kind, "team", "a") for kind in ("Pod", "Deployment")]
    assert ["managedFields" in each["metadata"] for each in found if each] == [False, True]
