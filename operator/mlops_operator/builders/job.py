"""The Job of a TrainingRun: one pod in which the stages run in order.

Builds the object; whether to make it is not decided here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catsdogs.key import STAGES, checked_parameters
from mlops_operator.api.settings import Settings
from mlops_operator.api.training_run import GIT_COMMIT, GROUP, QUEUE, QUEUE_PRIORITY, TERMINATED, TrainingRun
from mlops_operator.builders.common import (
    CONTAINER_SECURITY,
    POD_SECURITY,
    env_list,
    labels,
    owner_reference,
)

NAME = "cats-dogs-trainer"
PROGRESS_PORT = 8080
IMAGE = f"{GROUP}/image"
BUCKET = f"{GROUP}/bucket"
RAW_HASH = f"{GROUP}/raw-hash"
RUN_VERSION = f"{GROUP}/version"

GRACE_SECONDS = 30
SPOT_GRACE_SECONDS = 15  # what a Spot VM gives its pods before it is gone
SPOT = "cloud.google.com/gke-spot"
NODE_POOL = "cloud.google.com/gke-nodepool"
ACCELERATOR = "cloud.google.com/gke-accelerator"
GPU_RESOURCE = "nvidia.com/gpu"

# Exit codes with which a stage says that trying again can't help: see workloads, catsdogs.pipeline.
USER_MISTAKES = (65, 66, 67, 77, 78)

POD_FAILURE_POLICY: dict[str, Any] = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(USER_MISTAKES)}},
        # Else the Job would count each suspension as a failure.
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [TERMINATED]}},
    ]
}


@dataclass(frozen=True)
class Key:
    """What a run is pinned to before its pod starts. The Job carries it as annotations, so that an
    operator that died before it could record the Job finds it there."""

    image: str
    bucket: str
    raw_hash: str
    version: str


def training_job(run: TrainingRun, key: Key, settings: Settings) -> dict[str, Any]:
    """The whole Job for `run`, pinned to `key`."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": run.name,
            "namespace": run.namespace,
            "labels": {**labels(NAME, run.name), **_queue_labels(run)},
            "annotations": {
                IMAGE: key.image,
                BUCKET: key.bucket,
                RAW_HASH: key.raw_hash,
                RUN_VERSION: key.version,
                GIT_COMMIT: run.git_commit,
            },
            "ownerReferences": [owner_reference(run.resource)],
        },
        "spec": {
            "backoffLimit": run.spec.retries,
            "completions": 1,
            "parallelism": 1,
            "podFailurePolicy": POD_FAILURE_POLICY,
            "podReplacementPolicy": "Failed",
            # Kueue's webhook owns the field of a Job in a queue.
            **({} if run.queue else {"suspend": run.spec.suspend}),
            "template": _pod_template(run, key, settings),
        },
    }


def job_controls(job: dict[str, Any] | Any, **fields: Any) -> dict[str, Any]:
    """An apply configuration that sets only `fields` (suspend, ttlSecondsAfterFinished) of this very Job.

    The UID makes the API server refuse it when the Job was replaced or is gone, so that applying it can
    never make a Job.
    """
    metadata = job["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
        "spec": fields,
    }


def queue_of(job: Mapping[str, Any]) -> str:
    """The Kueue queue that the Job was made for, or an empty string."""
    return str((job["metadata"].get("labels") or {}).get(QUEUE, ""))


def _queue_labels(run: TrainingRun) -> dict[str, str]:
    given = run.resource["metadata"].get("labels") or {}
    return {name: given[name] for name in (QUEUE, QUEUE_PRIORITY) if run.queue and name in given}


def _pod_template(run: TrainingRun, key: Key, settings: Settings) -> dict[str, Any]:
    stages = [_container(stage, run, key, settings) for stage in STAGES]
    return {
        "metadata": {"labels": labels(NAME, run.name)},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": settings.trainer_service_account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": SPOT_GRACE_SECONDS if run.spec.spot else GRACE_SECONDS,
            "securityContext": dict(POD_SECURITY),
            **_placement(run),
            "initContainers": stages[:-1],
            "containers": stages[-1:],
            "volumes": [{"name": "work", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        },
    }


def _placement(run: TrainingRun) -> dict[str, Any]:
    """Which nodes may take the pod, in GKE's labels and taints; on Autopilot they are requests for such nodes."""
    spec = run.spec
    wanted = {
        **({SPOT: "true"} if spec.spot else {}),
        **({NODE_POOL: spec.node_pool} if spec.node_pool else {}),
        **({ACCELERATOR: spec.gpu.type} if spec.gpu and spec.gpu.type else {}),
    }
    tolerated = [
        *([{"key": SPOT, "operator": "Equal", "value": "true", "effect": "NoSchedule"}] if spec.spot else []),
        *([{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}] if spec.gpu else []),
    ]
    return {
        **({"nodeSelector": wanted} if wanted else {}),
        **({"tolerations": tolerated} if tolerated else {}),
        **({"priorityClassName": spec.priority_class_name} if spec.priority_class_name else {}),
    }


def _container(stage: str, run: TrainingRun, key: Key, settings: Settings) -> dict[str, Any]:
    ports = [{"name": "progress", "containerPort": PROGRESS_PORT}] if stage == "train" else []
    return {
        "name": stage,
        "image": key.image,
        "imagePullPolicy": "IfNotPresent" if "@" in key.image else "Always",
        "command": ["catsdogs", "stage", stage],
        "env": env_list(_environment(run, key, settings)),
        **({"ports": ports} if ports else {}),
        "resources": {
            "requests": {"cpu": run.spec.cpu, "memory": run.spec.memory},
            "limits": {"memory": run.spec.memory, **_gpu_limit(stage, run)},
        },
        "securityContext": dict(CONTAINER_SECURITY),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "work", "mountPath": "/work"}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }


def _gpu_limit(stage: str, run: TrainingRun) -> dict[str, str]:
    return {GPU_RESOURCE: str(run.spec.gpu.count)} if run.spec.gpu and stage == "train" else {}


def _environment(run: TrainingRun, key: Key, settings: Settings) -> dict[str, str]:
    return {
        **settings.pod_env,
        "CATSDOGS_BUCKET": key.bucket,
        "CATSDOGS_VERSION": key.version,
        "CATSDOGS_RAW_HASH": key.raw_hash,
        "CATSDOGS_PARAMETERS": json.dumps(checked_parameters(run.spec.parameters), separators=(",", ":")),
        "CATSDOGS_IMAGE": key.image,
        "CATSDOGS_RUN": f"{run.namespace}/{run.name}",
        "CATSDOGS_RUN_UID": run.uid,
        **({"CATSDOGS_RERUN": run.rerun} if run.rerun else {}),
        "CATSDOGS_GIT_COMMIT": run.git_commit,
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "HOME": "/tmp",  # noqa: S108
    }
