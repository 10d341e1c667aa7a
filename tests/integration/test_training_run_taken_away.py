"""What a real API server and Job controller make of preemption, queues, quotas and reruns, with the real operator."""

import json
import os
from typing import Any

import pytest

from catsdogs import key
from tests.integration.world import (
    IMAGE,
    RUNNING,
    SHA256,
    Kubectl,
    Operator,
    apply,
    ended,
    finish,
    pod_of,
    report,
    run_of,
    until,
    until_reason,
)
from tests.unit.operator.bucket_server import Buckets

QUEUE = "kueue.x-k8s.io/queue-name"
DRAINED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drained"}


def told(kubectl: Kubectl, name: str, words: str) -> dict[str, Any]:
    """The run's status, once the message of Succeeded holds `words`."""

    def look() -> dict[str, Any]:
        status: dict[str, Any] = kubectl.get("trainingrun", name).get("status", {})
        return status if words in status.get("conditions", [{}])[0].get("message", "") else {}

    return until(f"{name} says {words}", look)


def test_a_drained_pod_is_gone_at_once_and_still_told(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "drained", retries=0)
    first = pod_of(kubectl, "drained")["metadata"]["name"]
    report(kubectl, "drained", "Running", {"ingest": RUNNING})
    until_reason(kubectl, "drained", "Ingesting")
    # As a kubelet does for an eviction: the Job controller lets the pod go in the moment it has ended.
    report(kubectl, "drained", "Failed", {"ingest": ended(143)}, conditions=[DRAINED])
    kubectl("delete", "pod", first, "--wait=false")
    until("another pod", lambda: pod_of(kubectl, "drained")["metadata"]["name"] != first)
    finish(kubectl, "drained")
    status = until_reason(kubectl, "drained", "Completed")["status"]
    assert [(entry["number"], entry["reason"]) for entry in status["attempts"]] == [(1, "Evicted"), (2, "Completed")]
    assert (status["retries"], status["preemptions"], "failure" in status) == (0, 1, False)
    events = kubectl.items("events", "--field-selector=involvedObject.kind=TrainingRun,involvedObject.name=drained")
    assert {"Evicted", "Retrying"} & {event["reason"] for event in events if event["type"] == "Warning"}


def test_a_stage_that_was_told_to_stop_is_no_failure_of_the_job(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "told-to-stop", retries=0)
    first = pod_of(kubectl, "told-to-stop")["metadata"]["name"]
    report(kubectl, "told-to-stop", "Failed", {"ingest": ended(143)})
    until("another pod", lambda: pod_of(kubectl, "told-to-stop")["metadata"]["name"] != first)
    assert "failed" not in kubectl.get("job", "told-to-stop")["status"]
    finish(kubectl, "told-to-stop")
    status = until_reason(kubectl, "told-to-stop", "Completed")["status"]
    assert [entry["reason"] for entry in status["attempts"]] == ["Terminated", "Completed"]


def test_preemptions_are_limited(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "unlucky", maxPreemptions=0)
    report(kubectl, "unlucky", "Failed", {"ingest": ended(143)}, conditions=[DRAINED])
    status = until_reason(kubectl, "unlucky", "TooManyPreemptions")["status"]
    assert status["conditions"][0]["message"].startswith(
        "The pod was taken away once, spec.maxPreemptions is 0; the last time: Evicted: drained. Create"
    )
    until("no Job", lambda: not kubectl.get("job", "unlucky"))


def test_a_quota_is_told_in_the_servers_own_words(kubectl: Kubectl, operator: Operator) -> None:
    scheduling = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "tiny"}}
    kubectl("apply", "-f", "-", given={**scheduling, "value": 1})
    scope = [{"scopeName": "PriorityClass", "operator": "In", "values": ["tiny"]}]
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tiny"}}
    kubectl(
        "apply",
        "-f",
        "-",
        given={**quota, "spec": {"hard": {"pods": "0"}, "scopeSelector": {"matchExpressions": scope}}},
    )
    until("the quota holds", lambda: kubectl.get("resourcequota", "tiny").get("status", {}).get("hard"))
    apply(kubectl, "too-much", priorityClassName="tiny")
    status = told(kubectl, "too-much", "exceeded quota: tiny, requested: pods=1, used: pods=0, limited: pods=0")
    succeeded = status["conditions"][0]
    assert succeeded["reason"] == "Pending"
    assert succeeded["message"].startswith("The Job can't make a pod: Error creating: pods ")


def test_a_priority_class_that_does_not_exist_is_named(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "no-class", priorityClassName="nobody-has")
    told(kubectl, "no-class", "no PriorityClass with name nobody-has was found")


def kueue_holds(kubectl: Kubectl) -> None:
    """What Kueue's webhook does, as a policy: a Job with a queue's name is made suspended."""
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "kueue"}}
    rules = [{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}]
    queued = f"has(object.metadata.labels) && '{QUEUE}' in object.metadata.labels"
    mutation = {
        "patchType": "ApplyConfiguration",
        "applyConfiguration": {"expression": "Object{spec: Object.spec{suspend: true}}"},
    }
    spec = {
        "matchConstraints": {"resourceRules": rules},
        "matchConditions": [{"name": "queued", "expression": queued}],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [mutation],
    }
    kubectl("apply", "-f", "-", given={**kind, "kind": "MutatingAdmissionPolicy", "spec": spec})
    binding = {"policyName": "kueue"}
    kubectl("apply", "-f", "-", given={**kind, "kind": "MutatingAdmissionPolicyBinding", "spec": binding})
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "probe", "labels": {QUEUE: "team"}}}
    probe = {**job, "spec": {"template": template}}

    def made() -> bool:
        shown = kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", given=probe)
        return bool(json.loads(shown)["spec"].get("suspend"))

    until("the policy holds", made)


@pytest.mark.skipif(
    os.environ.get("KUBERNETES") == "1.35",
    reason="played by a MutatingAdmissionPolicy, new in 1.36",
)
def test_kueue_starts_and_stops_a_run_in_its_queue(kubectl: Kubectl, operator: Operator) -> None:
    kueue_holds(kubectl)
    body = run_of("in-queue", parameters={"seed": 77}, pendingDeadlineSeconds=30)
    body["metadata"]["labels"] = {QUEUE: "team", "kueue.x-k8s.io/priority-class": "high"}
    kubectl("create", "-f", "-", given=body)
    status = until_reason(kubectl, "in-queue", "Queued")["status"]
    assert "activeSince" not in status
    job = kubectl.get("job", "in-queue")
    labels = job["metadata"]["labels"]
    assert (labels[QUEUE], labels["kueue.x-k8s.io/priority-class"]) == ("team", "high")
    kubectl.patch("job", "in-queue", {"spec": {"suspend": False}}, "--field-manager=kueue")
    until_reason(kubectl, "in-queue", "Pending")
    report(kubectl, "in-queue", "Running", {"ingest": RUNNING})
    until_reason(kubectl, "in-queue", "Ingesting")
    kubectl.patch("job", "in-queue", {"spec": {"suspend": True}}, "--field-manager=kueue")
    stopped = until_reason(kubectl, "in-queue", "Queued")["status"]
    assert stopped["preemptions"] == 0
    kubectl.patch("job", "in-queue", {"spec": {"suspend": False}}, "--field-manager=kueue")
    finish(kubectl, "in-queue")
    done = until_reason(kubectl, "in-queue", "Completed")["status"]
    assert [entry["reason"] for entry in done["attempts"]] == ["Queued", "Completed"]
    until("the Job goes in time", lambda: "ttlSecondsAfterFinished" in kubectl.get("job", "in-queue")["spec"])


def test_a_rerun_trains_what_was_trained_already(kubectl: Kubectl, operator: Operator, buckets: Buckets) -> None:
    parameters = {"seed": 4711}
    apply(kubectl, "original", parameters=parameters)
    original = until_reason(kubectl, "original", "Pending")["status"]
    finish(kubectl, "original")
    until_reason(kubectl, "original", "Completed")
    published = {"sha256": SHA256, "metrics": {}, "lineage": {}}
    buckets.objects["photos"][f"models/cats-dogs/{original['version']}/model.json"] = json.dumps(published).encode()
    apply(kubectl, "anew", parameters=parameters, forceRerun=True)
    anew = until_reason(kubectl, "anew", "Pending")
    uid = anew["metadata"]["uid"]
    assert anew["status"]["version"] == key.version(original["rawHash"], parameters, IMAGE, uid)
    assert anew["status"]["version"] != original["version"]
    [main] = kubectl.get("job", "anew")["spec"]["template"]["spec"]["containers"]
    assert {"name": "CATSDOGS_RERUN", "value": uid} in main["env"]
