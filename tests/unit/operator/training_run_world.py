"""A small world for the TrainingRun's tests: run, Job and pods as the API server would give them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mlops_operator.api.settings import Settings
from mlops_operator.api.training_run import Lookup, Observed
from mlops_operator.reconcile.plan import Plan
from mlops_operator.reconcile.training_run import reconcile

CREATED = datetime(2026, 1, 2, 3, 0, 0, tzinfo=UTC)
NOW = CREATED + timedelta(seconds=30)
IMAGE = "registry.example/trainer@sha256:" + "1" * 64
RAW = "2" * 64
VERSION = "abcdef012345"
SHA256 = "3" * 64
SETTINGS = Settings(
    namespaces=("team",),
    trainer_image=IMAGE,
    bucket="photos",
    allowed_registries=("registry.example/",),
    mlflow_tracking_uri="http://mlflow-service:5000",
    mlflow_public_url="https://mlflow.example",
    pod_env={"STORAGE_EMULATOR_HOST": "http://store"},
)
SPEC: Mapping[str, Any] = {
    "parameters": {
        "architecture": "SimpleCNN",
        "epochs": 150,
        "batchSize": 64,
        "learningRate": "0.002",
        "imageSize": 96,
        "seed": 1,
        "maxTrainSeconds": 600,
    },
    "resources": {"cpu": "1", "memory": "4Gi"},
    "spot": False,
    "suspend": False,
    "forceRerun": False,
    "activeDeadlineSeconds": 7200,
    "pendingDeadlineSeconds": 600,
    "retries": 2,
    "maxPreemptions": 10,
    "ttlSecondsAfterFinished": 86400,
}
FOUND = Lookup(raw_hash=RAW, photos=4, version=VERSION)
MODEL_JSON: Mapping[str, Any] = {
    "version": VERSION,
    "sha256": SHA256,
    "metrics": {
        "testAccuracy": 0.9123456,
        "testAccuracyLow": 0.89,
        "testAccuracyHigh": 0.93,
        "testCount": 300,
        "testLoss": 1.25,
        "rocAuc": 0.97,
        "calibrationError": 0.02,
    },
    "sanity": {"warnings": ["not better than chance"]},
    "stoppedBy": "epochs",
    "lineage": {
        "dataVersion": "d1",
        "gitCommit": "c0ffee",
        "trainingRun": "team/earlier",
        "mlflowRunId": "r1",
        "mlflowRunUrl": "http://mlflow-service:5000/#/experiments/1/runs/r1",
    },
}
MODEL: Mapping[str, Any] = {
    "uri": f"gs://photos/models/cats-dogs/{VERSION}/model.pt",
    "sha256": SHA256,
    "version": VERSION,
    "architecture": "SimpleCNN",
    "testAccuracy": "0.9123",
    "testAccuracyLow": "0.8900",
    "testAccuracyHigh": "0.9300",
    "testCount": 300,
    "testLoss": "1.2500",
    "rocAuc": "0.9700",
    "calibrationError": "0.0200",
    "stoppedBy": "epochs",
}
STAGES = ("ingest", "preprocess", "eda", "train", "evaluate")
POD_NAME = "demo-abcde"


def at(seconds: float) -> str:
    """A time in the API's format, `seconds` after the run was created."""
    return (CREATED + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def run(status: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """TrainingRun team/demo; `spec` replaces fields of the default spec."""
    return {
        "apiVersion": "mlops.cats-dogs.io/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {
            "name": "demo",
            "namespace": "team",
            "uid": "u-run",
            "generation": 1,
            "resourceVersion": "7",
            "creationTimestamp": at(0),
        },
        "spec": {**SPEC, **spec},
        **({"status": dict(status)} if status else {}),
    }


def job(*conditions: str, **more: Any) -> dict[str, Any]:
    """The run's Job as the API server gives it; `conditions` are True. `owner=`, `spec=`, `counts=`."""
    made: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "demo",
            "namespace": "team",
            "uid": "u-job",
            "resourceVersion": "9",
            "creationTimestamp": at(1),
            "annotations": {
                "mlops.cats-dogs.io/image": IMAGE,
                "mlops.cats-dogs.io/bucket": "photos",
                "mlops.cats-dogs.io/raw-hash": RAW,
                "mlops.cats-dogs.io/version": VERSION,
            },
            "ownerReferences": [
                more.get("owner", {"kind": "TrainingRun", "name": "demo", "uid": "u-run", "controller": True})
            ],
        },
        "spec": {"suspend": False, **more.get("spec", {})},
        "status": {
            "conditions": [{"type": type_, "status": "True", "reason": "R"} for type_ in conditions],
            **more.get("counts", {}),
        },
    }
    return made


def pod(phase: str, states: Mapping[str, Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """The Job's pod; `states` gives container states by stage, the rest wait. `status=`, `created=`."""
    waiting = {"waiting": {"reason": "PodInitializing"}}
    statuses = [{"name": s, "image": IMAGE, "state": states.get(s, waiting)} for s in STAGES]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": more.get("name", POD_NAME),
            "namespace": "team",
            "uid": "u-pod",
            "creationTimestamp": more.get("created", at(2)),
            "ownerReferences": [{"kind": "Job", "name": "demo", "uid": "u-job", "controller": True}],
        },
        "status": {
            "phase": phase,
            "podIP": "10.0.0.1",
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": at(3)}],
            "initContainerStatuses": statuses[:-1],
            "containerStatuses": statuses[-1:],
            **more.get("status", {}),
        },
    }


def ok(stage: str, **summary: Any) -> dict[str, Any]:
    """The state of a stage that ended well and summed up."""
    message = json.dumps({"stage": stage, "ok": True, "seconds": 1.0, "summary": summary})
    return {"terminated": {"exitCode": 0, "reason": "Completed", "message": message, "finishedAt": at(20)}}


def failed(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    """The state of a stage that failed."""
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": at(25)}}


def trained_pod() -> dict[str, Any]:
    """A pod whose five stages ended well."""
    states = {stage: ok(stage) for stage in STAGES}
    states["train"] = ok("train", epochs=20, valAccuracy=0.9, stoppedBy="epochs")
    metrics = dict(MODEL_JSON["metrics"])
    states["evaluate"] = ok(
        "evaluate",
        sha256=SHA256,
        dataVersion="d1",
        trainingRun="team/demo",
        stoppedBy="epochs",
        warnings=[],
        mlflowRunUrl="http://mlflow-service:5000/x",
        **metrics,
    )
    return pod("Succeeded", states)


def conditions(
    status: str, reason: str, message: str, since: str = at(30), generation: int = 1
) -> list[dict[str, Any]]:
    """Succeeded, Finished and Suspended as a pass at NOW leaves them; `since` for all three."""
    finished = "False" if status == "Unknown" else "True"
    suspended = ("True", "Suspended", "spec.suspend is true")
    free = ("False", "NotSuspended", "spec.suspend is false")
    rows = [
        ("Succeeded", status, reason, message),
        ("Finished", finished, reason, message),
        ("Suspended", *(suspended if reason == "Suspended" else free)),
    ]
    return [
        {
            "type": type_,
            "status": value,
            "reason": why,
            "message": text,
            "observedGeneration": generation,
            "lastTransitionTime": since,
        }
        for type_, value, why, text in rows
    ]


def base(**more: Any) -> dict[str, Any]:
    """What the status of a run says as soon as its Job is recorded."""
    return {
        "jobUID": "u-job",
        "image": IMAGE,
        "bucket": "photos",
        "rawHash": RAW,
        "version": VERSION,
        "startTime": at(1),
        "activeSince": at(1),
        "observedGeneration": 1,
        **more,
    }


def attempt(reason: str = "", end: float = 0, number: int = 1, **more: Any) -> dict[str, Any]:
    """An entry of status.attempts for the pod of `pod()`; with a reason it ended `end` seconds after the run began."""
    ended = {"endTime": at(end), "reason": reason, "seconds": int(end) - 2} if reason else {}
    return {"number": number, "pod": POD_NAME, "startTime": at(2), **ended, **more}


def counted(*attempts: Any, retries: int = 0, preemptions: int = 0) -> dict[str, Any]:
    """The fields of the status that count attempts."""
    return {"attempts": list(attempts), "retries": retries, "preemptions": preemptions}


def over(**more: Any) -> dict[str, Any]:
    """What the status of a run whose Job was recorded says at its end at NOW."""
    ended = base(activeSeconds=29, completionTime=at(30), **more)
    del ended["activeSince"]
    return ended


def passed(resource: Mapping[str, Any], observed: Observed, seconds: float = 30, settings: Settings = SETTINGS) -> Plan:
    """One pass, `seconds` after the run was created."""
    return reconcile(resource, observed, settings, CREATED + timedelta(seconds=seconds))
