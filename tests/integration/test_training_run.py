"""The real operator under its own Role brings TrainingRuns to their end on a real API server.

Each test is one life of a run; the statuses are compared with what a user would read.
"""

import json
from typing import Any

import pytest

from tests.integration.world import (
    RAW,
    RUNNING,
    SHA256,
    Kubectl,
    Operator,
    apply,
    condition,
    ended,
    finish,
    ok,
    pod_of,
    report,
    until,
    until_reason,
)
from tests.unit.operator.bucket_server import Buckets


def test_a_run_from_apply_to_model(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "whole")
    pending = until_reason(kubectl, "whole", "Pending")
    job = kubectl.get("job", "whole")
    assert pending["status"]["jobUID"] == job["metadata"]["uid"]
    report(kubectl, "whole", "Running", {"ingest": ok(), "preprocess": ok(), "eda": ok(), "train": RUNNING})
    until_reason(kubectl, "whole", "Training")
    shown = kubectl("get", "trun", "whole", "--no-headers").split()
    assert shown[:3] == ["whole", "Train", "Training"]
    finish(kubectl, "whole")
    kubectl("wait", "trun/whole", "--for=condition=Finished", "--timeout=30s")
    status = until_reason(kubectl, "whole", "Completed")["status"]
    version = status["version"]
    uri = f"gs://photos/models/cats-dogs/{version}/model.pt"
    assert status["model"] == {
        "uri": uri,
        "sha256": SHA256,
        "version": version,
        "architecture": "SimpleCNN",
        "testAccuracy": "0.9100",
        "testCount": 30,
    }
    assert status["progress"] == {"stage": "Evaluate", "epoch": 20, "valAccuracy": "0.9000"}
    assert status["lineage"] == {"dataVersion": "d1"}
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Succeeded": "True",
        "Finished": "True",
        "Suspended": "False",
    }
    until("the Job goes in time", lambda: "ttlSecondsAfterFinished" in kubectl.get("job", "whole")["spec"])
    events = kubectl.items("events", "--field-selector=involvedObject.kind=TrainingRun,involvedObject.name=whole")
    normal = sorted(event["reason"] for event in events if event["type"] == "Normal")
    assert normal == ["Completed", "Pending", "Training"]


def test_what_was_trained_is_reused_without_a_pod(kubectl: Kubectl, operator: Operator, buckets: Buckets) -> None:
    apply(kubectl, "first", parameters={"seed": 5})
    finish(kubectl, "first")
    first = until_reason(kubectl, "first", "Completed")["status"]
    published = {"sha256": SHA256, "metrics": {"testAccuracy": 0.91, "testCount": 30}, "lineage": {}}
    buckets.objects["photos"][f"models/cats-dogs/{first['version']}/model.json"] = json.dumps(published).encode()
    apply(kubectl, "second", parameters={"seed": 5})
    second = until_reason(kubectl, "second", "Reused")["status"]
    assert (second["model"], second["version"]) == (first["model"], first["version"])
    assert "jobUID" not in second
    assert kubectl.get("job", "second") == {}


@pytest.mark.parametrize(
    ("name", "spec", "reason", "words"),
    [
        ("no-bucket", {"bucket": "nowhere"}, "BucketNotFound", "Bucket gs://nowhere does not exist. Create"),
        ("no-photos", {"bucket": "empty"}, "DataError", f"gs://empty/{RAW} holds no photographs"),
        ("no-registry", {"image": f"evil.example/x@sha256:{SHA256}"}, "ImageNotAllowed", "localhost:5000/"),
    ],
)
def test_mistakes_end_without_a_pod(
    kubectl: Kubectl, operator: Operator, name: str, spec: dict[str, Any], reason: str, words: str
) -> None:
    apply(kubectl, name, **spec)
    kubectl("wait", f"trun/{name}", "--for=condition=Finished", "--timeout=30s")
    found = until_reason(kubectl, name, reason)
    assert words in found["status"]["conditions"][0]["message"]
    assert kubectl.get("job", name) == {}


def test_an_image_that_is_not_there_leaves_nothing_hanging(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "no-image")
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    words = {"waiting": {"reason": "ErrImagePull", "message": "localhost:5000/x: not found"}}
    pod_of(kubectl, "no-image")
    until_reason(kubectl, "no-image", "Pending")
    report(kubectl, "no-image", "Pending", {"ingest": words}, conditions=[scheduled])
    found = until_reason(kubectl, "no-image", "ImagePull")
    assert "not found" in found["status"]["failure"]["message"]
    until("no Job and no pod", lambda: not kubectl.get("job", "no-image"))
    until("no pod", lambda: not kubectl.items("pods", "-l", "app.kubernetes.io/instance=no-image"))
    assert condition(kubectl.get("trainingrun", "no-image")) == ("False", "ImagePull")


def test_the_schedulers_own_words_are_told(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "no-room")

    def told() -> bool:
        conditions = kubectl.get("trainingrun", "no-room").get("status", {}).get("conditions", [{}])
        return "no nodes available" in conditions[0].get("message", "")

    assert until("the scheduler's words", told)


def test_out_of_memory_is_tried_again_and_then_told(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "hungry", retries=1, resources={"memory": "128Mi"})
    killed = {"ingest": ok(), "preprocess": ended(137, reason="OOMKilled")}
    first = pod_of(kubectl, "hungry")["metadata"]["name"]
    report(kubectl, "hungry", "Failed", killed)
    between = until_reason(kubectl, "hungry", "Retrying")
    assert between["status"]["failure"]["reason"] == "OOMKilled"
    until("another pod", lambda: pod_of(kubectl, "hungry")["metadata"]["name"] != first)
    report(kubectl, "hungry", "Failed", killed)
    status = until_reason(kubectl, "hungry", "OOMKilled")["status"]
    assert status["failure"] == {
        "stage": "Preprocess",
        "reason": "OOMKilled",
        "exitCode": 137,
        "message": "Stage Preprocess used more memory than spec.resources.memory allows",
        "hint": "Create a TrainingRun with more spec.resources.memory, or a smaller batchSize or imageSize.",
        "attempt": 2,
        "time": "2026-01-01T00:00:01Z",
    }
    assert [attempt["reason"] for attempt in status["attempts"]] == ["OOMKilled", "OOMKilled"]
    assert (status["retries"], status["preemptions"]) == (1, 0)


def test_a_users_mistake_is_not_tried_again(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "one-class")
    said = json.dumps({"ok": False, "reason": "DataError", "message": "Dog/ is empty", "hint": "Add dogs"})
    report(kubectl, "one-class", "Failed", {"ingest": ended(65, said)})
    status = until_reason(kubectl, "one-class", "DataError")["status"]
    assert status["conditions"][0]["message"] == "Dog/ is empty. Add dogs"
    assert [attempt["reason"] for attempt in status["attempts"]] == ["DataError"]


def test_suspend_and_resume(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "paused")
    report(kubectl, "paused", "Running", {"ingest": RUNNING})
    until_reason(kubectl, "paused", "Ingesting")
    kubectl.patch("trainingrun", "paused", {"spec": {"suspend": True}})
    kubectl("wait", "trun/paused", "--for=condition=Suspended", "--timeout=30s")
    until("no pod", lambda: not kubectl.items("pods", "-l", "app.kubernetes.io/instance=paused"))
    stopped = until_reason(kubectl, "paused", "Suspended")["status"]
    assert "activeSince" not in stopped
    assert stopped["activeSeconds"] >= 0
    kubectl.patch("trainingrun", "paused", {"spec": {"suspend": False}})
    pod_of(kubectl, "paused")
    finish(kubectl, "paused")
    resumed = until_reason(kubectl, "paused", "Completed")["status"]
    assert resumed["jobUID"] == stopped["jobUID"]


def test_a_foreign_job_of_the_name_is_left_alone(kubectl: Kubectl, operator: Operator) -> None:
    container = {"name": "c", "image": "i"}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "taken"}}
    kubectl("create", "-f", "-", given={**job, "spec": {"suspend": True, "template": pod}})
    before = kubectl.get("job", "taken")
    apply(kubectl, "taken")
    found = until_reason(kubectl, "taken", "JobNameTaken")
    assert "A Job taken exists already and has no owner" in found["status"]["conditions"][0]["message"]
    assert kubectl.get("job", "taken") == before


def test_a_deleted_run_takes_its_pod_along_and_the_name_is_free_again(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "again")
    first = until_reason(kubectl, "again", "Pending")["status"]["jobUID"]
    kubectl("delete", "trun", "again")
    apply(kubectl, "again")
    second = until("another Job", lambda: kubectl.get("trainingrun", "again").get("status", {}).get("jobUID"))
    assert first != second
    until("one Job", lambda: kubectl.get("job", "again")["metadata"]["uid"] == second)


def test_nothing_is_trained_twice_when_the_operator_was_away(
    kubectl: Kubectl, operator: Operator, buckets: Buckets
) -> None:
    for name in ("found", "lost", "late"):
        apply(kubectl, name)
        until_reason(kubectl, name, "Pending")
    operator.stop()
    version = kubectl.get("trainingrun", "found")["status"]["version"]
    published = json.dumps({"sha256": SHA256, "metrics": {}, "lineage": {}}).encode()
    buckets.objects["photos"][f"models/cats-dogs/{version}/model.json"] = published
    for name in ("found", "lost"):
        kubectl("delete", "job", name)
    finish(kubectl, "late")
    until("the Job is complete", lambda: kubectl.get("job", "late")["status"].get("succeeded"))
    operator.start()
    assert condition(until_reason(kubectl, "found", "Completed")) == ("True", "Completed")
    assert condition(until_reason(kubectl, "lost", "JobLost")) == ("False", "JobLost")
    assert condition(until_reason(kubectl, "late", "Completed")) == ("True", "Completed")
    assert [kubectl.get("job", name) for name in ("found", "lost")] == [{}, {}]


def test_an_unrecorded_job_is_adopted(kubectl: Kubectl, operator: Operator) -> None:
    apply(kubectl, "adopted")
    recorded = until_reason(kubectl, "adopted", "Pending")["status"]
    operator.stop()
    kubectl.patch("trainingrun", "adopted", {"status": None}, "--subresource=status")
    operator.start()
    status = until_reason(kubectl, "adopted", "Pending")["status"]
    assert {name: status[name] for name in ("jobUID", "version", "rawHash", "image")} == {
        name: recorded[name] for name in ("jobUID", "version", "rawHash", "image")
    }


def test_a_bucket_that_comes_back_is_waited_for(kubectl: Kubectl, operator: Operator, buckets: Buckets) -> None:
    buckets.status = 503
    apply(kubectl, "patient")
    until_reason(kubectl, "patient", "BucketUnavailable")
    buckets.status = 0
    until_reason(kubectl, "patient", "Pending")


def test_a_settled_world_is_left_in_peace(kubectl: Kubectl, operator: Operator) -> None:
    settled = {item["metadata"]["name"]: item for item in kubectl.items("trainingruns")}
    operator.stop()
    operator.start()
    apply(kubectl, "after")
    until_reason(kubectl, "after", "Pending")
    now = {item["metadata"]["name"]: item for item in kubectl.items("trainingruns")}
    ended_ = {name for name, item in settled.items() if condition(item, "Finished")[0] == "True"}
    assert len(ended_) >= 10
    assert {name: now[name] for name in ended_} == {name: settled[name] for name in ended_}
    verbs = {name: count for name, count in operator.writes().items() if 'kind="Job"' in name}
    assert list(verbs.values()) in ([], [1.0])
