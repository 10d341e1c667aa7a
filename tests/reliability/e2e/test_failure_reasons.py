"""Each reason for a failed or interrupted run, produced for real on the local node; the status is compared whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demo.kubectl import Kubectl
from tests.e2e.failures import (
    ended_as,
    endless,
    evict,
    goes_on_in_another_pod,
    kill_processes,
    log,
    newest,
    pods,
    told,
    trains,
)
from tests.e2e.kube import Kube, eventually, training_run
from tests.e2e.store import Store

SYSTEM = "mlops-system"


@pytest.fixture(scope="module")
def failed(kube: Kube, store: Store, images: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The statuses of runs that fail by themselves, which they do side by side."""
    one_class = f"{store.bucket}-one-class"
    store.make_bucket(one_class)
    store.copy_raw(one_class, only="Cat/", count=20)
    missing = f"{images['trainer'].partition('@')[0]}@sha256:{'0' * 64}"
    runs = {
        "e2e-oom": {"retries": 0, "resources": {"cpu": "100m", "memory": "24Mi"}},
        "e2e-unschedulable": {"pendingDeadlineSeconds": 30, "resources": {"cpu": "24"}},
        "e2e-image": {"image": missing, "pendingDeadlineSeconds": 30},
        "e2e-data": {"bucket": one_class},
        "e2e-deadline": {"activeDeadlineSeconds": 60},
    }
    for seed, (name, spec) in enumerate(runs.items()):
        kube.apply(endless(name, store, 20 + seed, **spec))
    for name in runs:
        kube.wait(f"trun/{name}", "condition=Finished", 240)
    return {name: told(kube.get(f"trun/{name}")["status"]) for name in runs}


@pytest.mark.parametrize(
    ("name", "reason", "stage", "exit_code", "words", "hint"),
    [
        ("e2e-oom", "OOMKilled", "Ingest", 137, "Stage Ingest used more memory than", "more spec.resources.memory"),
        ("e2e-unschedulable", "Unschedulable", "", None, "0/1 nodes are available: 1 Insufficient cpu", "has room"),
        ("e2e-image", "ImagePull", "", None, "can't be pulled", "Check that spec.image exists"),
        ("e2e-data", "DataError", "Ingest", 65, "holds no usable dog photograph", ""),
        (
            "e2e-deadline",
            "DeadlineExceeded",
            None,
            None,
            "took more than activeDeadlineSeconds (60 s)",
            "Raise spec.act",
        ),
    ],
)
def test_a_run_that_fails_by_itself(
    failed: dict[str, dict[str, Any]],
    name: str,
    reason: str,
    stage: str | None,
    exit_code: int | None,
    words: str,
    hint: str,
) -> None:
    status = failed[name]
    failure = status["failure"]
    assert words in failure["message"]
    assert hint in failure["hint"]
    stage = status["stage"] if stage is None else stage  # the deadline may come in any
    fixed = {"message": failure["message"], "hint": failure["hint"]}
    rest = {name: failure[name] for name in ("attempt", "log") if name in failure}
    at = {**({"stage": stage} if stage else {}), **({"exitCode": exit_code} if exit_code else {})}
    sentence = f"{failure['message'].rstrip('.')}. {failure['hint']}"
    assert status == ended_as(reason, sentence, {**fixed, **rest, **at}, stage=stage)


@pytest.fixture(scope="module")
def victim(kube: Kube, store: Store) -> str:
    """A run that trains, and may be tried again often."""
    kube.apply(endless("e2e-victim", store, 30, retries=10, activeDeadlineSeconds=3600))
    trains(kube, "e2e-victim")
    return "e2e-victim"


def interrupted(kube: Kube, name: str, reason: str) -> dict[str, Any]:
    """The failure of the last attempt, once it is told."""
    eventually(f"{name} tells of {reason}", lambda: _failure(kube, name).get("reason") == reason, 90)
    found = _failure(kube, name)
    assert found["stage"] == "Train"
    assert found["hint"]
    return found


def _failure(kube: Kube, name: str) -> dict[str, Any]:
    found: dict[str, Any] = kube.get(f"trun/{name}").get("status", {}).get("failure", {})
    return found


def test_an_evicted_pod_goes_on_elsewhere(kube: Kube, victim: str) -> None:
    pod = newest(kube, victim)
    assert evict(kube, pod) == ""
    failure = interrupted(kube, victim, "Evicted")
    assert failure["message"] == "Eviction API: evicting"
    goes_on_in_another_pod(kube, victim, pod)
    trains(kube, victim)


def test_a_drained_node_takes_no_new_pod_until_it_is_back(kube: Kube, victim: str) -> None:
    node = kube.get("nodes")["items"][0]["metadata"]["name"]
    pod = newest(kube, victim)
    selector = f"--pod-selector=app.kubernetes.io/instance={victim}"
    try:
        kube.run("drain", node, selector, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=90s")
        eventually("the next pod waits", lambda: "unschedulable" in _succeeded(kube, victim)["message"], 60)
        assert _succeeded(kube, victim)["reason"] == "Pending"
    finally:
        kube.run("uncordon", node)
    goes_on_in_another_pod(kube, victim, pod)
    trains(kube, victim)


def _succeeded(kube: Kube, name: str) -> dict[str, Any]:
    return kube.condition(f"trun/{name}", "Succeeded")


def test_fifteen_seconds_are_enough_to_keep_what_was_trained(kube: Kube, victim: str) -> None:
    pod = newest(kube, victim)
    kube.run("delete", "pod", pod, "--grace-period=15")
    goes_on_in_another_pod(kube, victim, pod)
    trains(kube, victim)


def test_a_killed_stage_is_tried_again(kube: Kube, victim: str) -> None:
    pod = newest(kube, victim)
    assert kill_processes(victim)
    failure = interrupted(kube, victim, "Killed")
    assert failure["exitCode"] == 137
    goes_on_in_another_pod(kube, victim, pod)
    trains(kube, victim)


def test_a_more_important_pod_takes_the_place(kube: Kube, victim: str, images: dict[str, str]) -> None:
    pod = newest(kube, victim)
    kube.apply(_priority("e2e-important", 1000), _important(kube, images["trainer"]))
    try:
        interrupted(kube, victim, "Preempted")
    finally:
        kube.run("delete", "pod", "e2e-important", "--grace-period=1")
        kube.run("delete", "priorityclass", "e2e-important")
    goes_on_in_another_pod(kube, victim, pod)
    kube.run("delete", f"trun/{victim}")
    eventually("its pod is gone", lambda: not pods(kube, victim), 60)


def _priority(name: str, value: int) -> dict[str, Any]:
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    return {**kind, "metadata": {"name": name}, "value": value, "preemptionPolicy": "PreemptLowerPriority"}


def _important(kube: Kube, image: str) -> dict[str, Any]:
    """A pod that finds no room beside the run's."""
    free = _free_millicores(kube)
    container = {
        "name": "c",
        "image": image,
        "command": ["sleep", "600"],
        "resources": {"requests": {"cpu": f"{free + 200}m"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"priorityClassName": "e2e-important", "securityContext": security, "containers": [container]}
    metadata = {"name": "e2e-important", "namespace": "cats-dogs"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _free_millicores(kube: Kube) -> int:
    """What requests of pods leave of the node's CPU."""
    node = kube.get("nodes")["items"][0]
    asked = 0
    for pod in kube.get("pods", "--all-namespaces")["items"]:
        if pod["status"]["phase"] in ("Pending", "Running") and "nodeName" in pod["spec"]:
            containers = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
            asked += max(_millicores(c.get("resources", {}).get("requests", {}).get("cpu", "0")) for c in containers)
    return _millicores(node["status"]["allocatable"]["cpu"]) - asked


def _millicores(text: str) -> int:
    return int(text[:-1]) if text.endswith("m") else int(text) * 1000


def test_what_ended_while_the_operator_was_away_is_told(kube: Kube, kubectl: Kubectl, store: Store) -> None:
    run = training_run("e2e-away", store.bucket, parameters={"epochs": 2, "seed": 31})
    kube.apply(run)
    eventually("it runs", lambda: bool(kube.get("trun/e2e-away").get("status", {}).get("jobUID")))
    _scale_operator(kubectl, 0)
    try:
        kube.wait("job/e2e-away", "condition=Complete", 240)
        said = json.loads(kube.run("get", "trun/e2e-away", "-o", "json").stdout)["status"]["conditions"]
        assert {c["type"]: c["status"] for c in said}["Finished"] == "False"
        kube.run("delete", "job/e2e-away")
    finally:
        _scale_operator(kubectl, 1)
    kube.wait("trun/e2e-away", "condition=Finished", 90)
    assert _succeeded(kube, "e2e-away")["reason"] == "Completed"
    status = kube.get("trun/e2e-away")["status"]
    described = json.loads(store.read(f"models/cats-dogs/{status['version']}/model.json"))
    assert status["model"]["sha256"] == described["sha256"]
    assert kube.run("get", "job", "e2e-away", check=False).returncode != 0
    assert log(kube, "e2e-away") == ""


def _scale_operator(kubectl: Kubectl, replicas: int) -> None:
    kubectl.run("scale", "deployment/mlops-operator", f"--namespace={SYSTEM}", f"--replicas={replicas}")
    kubectl.run("rollout", "status", "deployment/mlops-operator", f"--namespace={SYSTEM}", "--timeout=90s")

    def pods_left() -> int:
        label = "--selector=app.kubernetes.io/name=mlops-operator"
        return len(kubectl.run("get", "pods", f"--namespace={SYSTEM}", label, "-o", "name").split())

    eventually("as many operators", lambda: pods_left() == replicas, 60)
