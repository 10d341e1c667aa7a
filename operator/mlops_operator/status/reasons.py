"""Every reason that a TrainingRun's conditions can have, when it is given, and what a person does next.

The only list of them: failures take their hints from it, docs/trainingrun.md is made from it. It decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """`when` completes "Given when ..."; `hint` is a sentence for the condition, empty where there is nothing to do."""

    name: str
    when: str
    hint: str = ""


ACTIVE = (
    Reason("Queued", "Kueue holds the Job in its queue", "Wait, or look at `kubectl get workloads`."),
    Reason(
        "Pending",
        "the pod has no node yet, its image is being pulled, or the Job can't be made yet; the message says which",
        "Read the message; the run fails when it has stood for spec.pendingDeadlineSeconds.",
    ),
    Reason("Ingesting", "the stage Ingest runs: photographs are checked, deduplicated and split"),
    Reason("Preprocessing", "the stage Preprocess runs: photographs become arrays"),
    Reason("Exploring", "the stage EDA runs: the report on the data is made"),
    Reason("Training", "the stage Train runs; status.progress says how far it is"),
    Reason("Evaluating", "the stage Evaluate runs: the model is measured on the test split and published"),
    Reason("Retrying", "an attempt has ended and the next one is about to start", "Read status.failure."),
    Reason(
        "Suspended",
        "spec.suspend is true: no pod runs, no deadline counts, what was finished is kept",
        "Set spec.suspend to false to go on.",
    ),
    Reason(
        "BucketUnavailable",
        "the object store does not answer; it is asked again every 10 s",
        "Look at the object store's health.",
    ),
)
"""Reasons of Succeeded=Unknown, Finished=False."""

SUCCESS = (
    Reason("Completed", "the model is published; status.model says where and how good it is"),
    Reason(
        "Reused",
        "the same photographs, parameters and image were trained before: status.model is that model, no pod ran",
        "Change data, parameters or image to train another model, or set spec.forceRerun in a new TrainingRun.",
    ),
)
"""Reasons of Succeeded=True, Finished=True."""

FAILURE = (
    Reason(
        "OOMKilled",
        "a stage used more memory than spec.resources.memory",
        "Create a TrainingRun with more spec.resources.memory, or a smaller batchSize or imageSize.",
    ),
    Reason(
        "Evicted",
        "the node ran short of memory or disk, or was drained",
        "The node ran short of memory or disk: ask for what the run needs in spec.resources.",
    ),
    Reason(
        "Preempted",
        "a pod of higher priority took the place",
        "Something more important took the place; create the TrainingRun again when there is room.",
    ),
    Reason("NodeLost", "the node went away", "The node went away; create the TrainingRun again."),
    Reason(
        "TooManyPreemptions",
        "the cluster took the pod away more often than spec.maxPreemptions allows",
        "Create the TrainingRun again, it goes on from its last checkpoint; without spec.spot or with more "
        "spec.maxPreemptions it gets further.",
    ),
    Reason(
        "ImagePull",
        "the image does not exist, or the node may not or can't pull it",
        "Check that spec.image exists and that the nodes may pull it.",
    ),
    Reason(
        "Unschedulable",
        "no node took the pod within spec.pendingDeadlineSeconds; the message has the scheduler's words",
        "Lower spec.resources, correct spec.gpu, spec.spot or spec.nodePool, or add a node that has room.",
    ),
    Reason(
        "QuotaExceeded",
        "a ResourceQuota of the namespace has no room for Job or pod; the message says which",
        "Wait for other runs to end, lower spec.resources, or have the ResourceQuota raised.",
    ),
    Reason(
        "NotStarted",
        "the pod could not be made or set up within spec.pendingDeadlineSeconds",
        "Look at `kubectl describe` of the Job and its pod: admission, PriorityClass, or a slow volume.",
    ),
    Reason(
        "StartError",
        "a container could not be started on its node",
        "Look at `kubectl describe pod`: the container's settings or the node are at fault.",
    ),
    Reason(
        "DataError",
        "the photographs can't be used: none there, a class missing, too few, or a test photograph trained on",
        "Correct the photographs in the bucket, then create the TrainingRun again.",
    ),
    Reason(
        "DataChanged",
        "photographs changed between the start of the run and its first stage",
        "Photographs changed while the run was starting: create it again when uploads are done.",
    ),
    Reason(
        "BucketNotFound",
        "there is no such bucket",
        "Create the bucket, or correct spec.bucket in a new TrainingRun.",
    ),
    Reason(
        "PermissionDenied",
        "operator or trainer may not read or write the bucket",
        "Give the trainer's and the operator's service accounts access to the bucket.",
    ),
    Reason(
        "Unavailable",
        "the object store did not answer in any attempt",
        "A service did not answer in any attempt: look at its health, then create the run again.",
    ),
    Reason(
        "ConfigError",
        "parameters or settings are wrong, or the training diverged",
        "Correct the parameters in a new TrainingRun.",
    ),
    Reason(
        "DiskFull",
        "the node's disk, or the pod's share of it, is full",
        "The node's disk, or the pod's share of it, is full: make room, then create the TrainingRun again.",
    ),
    Reason(
        "Killed",
        "a stage was killed (exit code 137), and not for its use of memory",
        "Something outside killed the stage; if it happens again, look at the node's log.",
    ),
    Reason(
        "Terminated",
        "the pod was told to stop from outside, for instance by `kubectl delete pod`; counted as a preemption",
        "The pod was stopped from outside; create the TrainingRun again.",
    ),
    Reason(
        "Crashed",
        "a stage ended in an exception nobody foresaw; status.failure.log has the last lines",
        "Read status.failure.log; if it names no cause, run the stage on a laptop with `dvc repro`.",
    ),
    Reason(
        "StageFailed",
        "a stage failed without saying why",
        "Read status.failure.log; if it names no cause, run the stage on a laptop with `dvc repro`.",
    ),
    Reason(
        "DeadlineExceeded",
        "all attempts together took spec.activeDeadlineSeconds",
        "Raise spec.activeDeadlineSeconds, or train for fewer epochs.",
    ),
    Reason(
        "ResultInvalid",
        "what lies in the bucket for this version is no usable result",
        "Look at models/cats-dogs/ in the bucket; remove what is broken and run again.",
    ),
    Reason(
        "JobLost",
        "somebody deleted the Job, and the bucket holds no result; nothing is trained again by itself",
        "Its Job and result are gone; create the TrainingRun again, what it stored is reused.",
    ),
    Reason(
        "JobFailed",
        "the Job failed and its pods were gone before they could be looked at",
        "Look at `kubectl describe` of the Job; create the TrainingRun again.",
    ),
    Reason(
        "JobNameTaken",
        "a Job of the run's name exists and is not the run's",
        "Delete that Job, or give the run another name.",
    ),
    Reason(
        "ImageMissing",
        "neither spec.image nor the operator's TRAINER_IMAGE names an image",
        "Give spec.image in a new TrainingRun, or set the operator's TRAINER_IMAGE.",
    ),
    Reason(
        "ImageNotAllowed",
        "the image is from a registry that the operator's ALLOWED_REGISTRIES does not list",
        "Use an image of an allowed registry, or have the operator's ALLOWED_REGISTRIES extended.",
    ),
    Reason(
        "ImageNotPinned",
        "the image is named by tag, and the operator's ALLOW_TAGS is not true",
        "Name the image by digest, REGISTRY/PATH@sha256:HEX, in a new TrainingRun.",
    ),
    Reason(
        "BucketMissing",
        "neither spec.bucket nor the operator's BUCKET names a bucket",
        "Give spec.bucket in a new TrainingRun, or set the operator's BUCKET.",
    ),
)
"""Reasons of Succeeded=False, Finished=True; also of status.failure and status.attempts."""

HINTS: Mapping[str, str] = {reason.name: reason.hint for reason in FAILURE}
TAKEN_AWAY = frozenset({"Preempted", "Evicted", "NodeLost", "Terminated"})
"""Ends of an attempt that are the cluster's doing: the Job does not count them, spec.maxPreemptions does."""
