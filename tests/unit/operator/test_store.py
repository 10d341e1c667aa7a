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


def test_what_nobody_reads_is_not_kept() -> None:
    store = Store()
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"}
    labels = {"app.kubernetes.io/instance": "demo", "app.kubernetes.io/name": "cats-dogs-trainer"}
    metadata = {"name": "a", "namespace": "team", "uid": "u", "resourceVersion": "1"}
    whole = {"metadata": {**metadata, "labels": labels, "annotations": annotations, "managedFields": []}}
    store.put({**whole, "kind": "TrainingRun", "spec": {"suspend": False}})
    store.put({**whole, "kind": "Job", "spec": {"suspend": True, "template": {}}, "status": {"active": 1}})
    store.put({**whole, "kind": "Pod", "spec": {"containers": []}, "status": {"phase": "Running"}})
    kept = {"metadata": {**metadata, "labels": labels, "annotations": {"mine": "1"}}}
    assert store.get("TrainingRun", "team", "a") == {**kept, "kind": "TrainingRun", "spec": {"suspend": False}}
    assert store.get("Job", "team", "a") == {**kept, "kind": "Job", "spec": {"suspend": True}, "status": {"active": 1}}
    assert store.get("Pod", "team", "a") == {**kept, "kind": "Pod", "status": {"phase": "Running"}}


def test_a_servers_pod_keeps_its_spec_for_the_model_it_names() -> None:
    store = Store()
    pod = {**item("a", 1), "spec": {"containers": [{"name": "server"}]}}
    store.put(pod)
    assert store.get("Pod", "team", "a") == pod
