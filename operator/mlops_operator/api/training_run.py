"""TrainingRun as frozen dataclasses, and what was observed of one run.

Parses what the API server has validated; it decides nothing and reads nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mlops_operator.api.times import parse_time

GROUP = "mlops.cats-dogs.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TrainingRun"
GIT_COMMIT = f"{GROUP}/git-commit"
TERMINATED = 143
"""What a stage ends with that was told to stop from outside."""
QUEUE = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"


@dataclass(frozen=True)
class Gpu:
    """GPUs of the stage Train; empty `type`: any."""

    type: str
    count: int


@dataclass(frozen=True)
class Spec:
    """spec with the CRD's defaults filled in by the API server; empty texts: not given."""

    image: str
    bucket: str
    parameters: Mapping[str, Any]
    cpu: str
    memory: str
    gpu: Gpu | None
    spot: bool
    node_pool: str
    priority_class_name: str
    suspend: bool
    force_rerun: bool
    active_deadline_seconds: int
    pending_deadline_seconds: int
    retries: int
    max_preemptions: int
    ttl_seconds_after_finished: int


@dataclass(frozen=True)
class TrainingRun:
    """One TrainingRun; `queue` is the label's Kueue queue, `resource` the whole object as the API server gave it."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: datetime
    deleting: bool
    git_commit: str
    queue: str
    spec: Spec
    status: Mapping[str, Any]
    resource: Mapping[str, Any]

    @property
    def rerun(self) -> str:
        """What makes the run's key its own, where the same photographs, parameters and image are to be trained anew."""
        return self.uid if self.spec.force_rerun else ""


@dataclass(frozen=True)
class BucketFailure:
    """Why the bucket could not be read; `message` is one line that names the bucket."""

    reason: Literal["BucketNotFound", "PermissionDenied", "BucketUnavailable", "ResultInvalid"]
    message: str

    @property
    def may_pass(self) -> bool:
        """Whether asking again can help without anybody changing the bucket."""
        return self.reason in ("BucketUnavailable", "PermissionDenied")


@dataclass(frozen=True)
class Lookup:
    """What the bucket holds for a run: hash and number of raw photographs, key, published model.json.

    Empty `raw_hash` or `version`: not asked for, or not reached because of `failure`.
    """

    raw_hash: str = ""
    photos: int = 0
    version: str = ""
    model: Mapping[str, Any] | None = None
    failure: BucketFailure | None = None


@dataclass(frozen=True)
class Progress:
    """The trainer's own word, cleaned; None: it did not say. Percent 0 to 100, accuracy 0 to 1."""

    stage: str
    seen: datetime
    percent: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    val_accuracy: float | None = None
    eta_seconds: int | None = None


@dataclass(frozen=True)
class Observed:
    """The world around one run: the Job of its name, that Job's pods, the bucket, the trainer's word.

    `refused`: why the API server did not let its Job be made, if this was just tried. `no_pod`: why the Job
    controller could make no pod, in its own words.
    """

    job: Mapping[str, Any] | None = None
    pods: tuple[Mapping[str, Any], ...] = ()
    lookup: Lookup | None = None
    progress: Progress | None = None
    refused: str = ""
    no_pod: str = ""


def parse(resource: Mapping[str, Any]) -> TrainingRun:
    """The run that `resource` describes; raises KeyError for an object the CRD would not admit."""
    metadata, spec = resource["metadata"], resource["spec"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return TrainingRun(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        created=parse_time(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        git_commit=(annotations.get(GIT_COMMIT) or labels.get(GIT_COMMIT) or "")[:64],
        queue=labels.get(QUEUE, ""),
        spec=Spec(
            image=spec.get("image", ""),
            bucket=spec.get("bucket", ""),
            parameters=spec["parameters"],
            cpu=spec["resources"]["cpu"],
            memory=spec["resources"]["memory"],
            gpu=Gpu(spec["gpu"].get("type", ""), spec["gpu"]["count"]) if "gpu" in spec else None,
            spot=spec["spot"],
            node_pool=spec.get("nodePool", ""),
            priority_class_name=spec.get("priorityClassName", ""),
            suspend=spec["suspend"],
            force_rerun=spec["forceRerun"],
            active_deadline_seconds=spec["activeDeadlineSeconds"],
            pending_deadline_seconds=spec["pendingDeadlineSeconds"],
            retries=spec["retries"],
            max_preemptions=spec["maxPreemptions"],
            ttl_seconds_after_finished=spec["ttlSecondsAfterFinished"],
        ),
        status=resource.get("status", {}),
        resource=resource,
    )
