"""What the pods of a ModelServer say: which are ready, what troubles the others, in one reason and one line.

It reads pods and a Deployment as the API server gives them and decides nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_operator.status.conditions import get_condition

LINE_LIMIT = 400
COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
# A container in one of these states is on its way; every other waiting reason is a trouble.
ON_ITS_WAY = frozenset({"ContainerCreating", "PodInitializing", ""})


@dataclass(frozen=True)
class Trouble:
    """Why a pod does not serve: `reason` fits a condition, `message` is one line and names the pod."""

    reason: str
    message: str


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the pod's readiness probe holds and it is not being deleted."""
    ready = get_condition(_status(pod).get("conditions") or (), "Ready")
    return ready is not None and ready["status"] == "True" and not _leaving(pod)


def all_new_and_ready(deployment: Mapping[str, Any]) -> bool:
    """Whether the Deployment's controller is through with its present spec: no old pod is left, all are ready."""
    status = _status(deployment)
    counts = {status.get(count, 0) for count in COUNTS}
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return seen and counts == {deployment["spec"].get("replicas", 1)}


def find_trouble(pods: Iterable[Mapping[str, Any]], deployment: Mapping[str, Any] | None) -> Trouble | None:
    """The trouble of the youngest pod that has one; else why the Deployment could make no pod; else None."""
    present = [pod for pod in pods if not is_ready(pod) and not _leaving(pod)]
    by_age = sorted(present, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), reverse=True)
    for pod in by_age:
        trouble = _of_pod(pod)
        if trouble:
            return trouble
    conditions = _status(deployment or {}).get("conditions") or ()
    failure = get_condition(conditions, "ReplicaFailure")
    if failure is not None and failure["status"] == "True":
        return Trouble(failure.get("reason", "FailedCreate"), _line(failure.get("message", "no pod made")))
    return None


def _of_pod(pod: Mapping[str, Any]) -> Trouble | None:
    name = pod["metadata"]["name"]
    status = _status(pod)
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        ended = (container.get("state") or {}).get("terminated") or {}
        ended = ended or (container.get("lastState") or {}).get("terminated") or {}
        last_words = _last_words(ended)
        if waiting.get("reason", "") not in ON_ITS_WAY:
            said = last_words or _line(waiting.get("message", ""))
            return Trouble(waiting["reason"], f"pod {name}: {said}" if said else f"pod {name} waits")
        if ended:
            return Trouble(ended.get("reason") or "Error", f"pod {name} ended and starts again: {last_words}")
    scheduled = get_condition(status.get("conditions") or (), "PodScheduled")
    if scheduled is not None and scheduled["status"] == "False":
        said = _line(scheduled.get("message", ""))
        return Trouble(scheduled.get("reason") or "Unschedulable", f"pod {name}: {said}")
    if status.get("phase") == "Failed":
        said = _line(status.get("message", "failed"))
        return Trouble(status.get("reason") or "PodFailed", f"pod {name}: {said}")
    return None


def _last_words(ended: Mapping[str, Any]) -> str:
    """What a container that ended left: the message of its JSON or its last line, with the exit code."""
    if not ended:
        return ""
    text = (ended.get("message") or "").strip()
    try:
        left = json.loads(text)
    except ValueError:
        left = None
    if isinstance(left, dict):
        text = ". ".join(str(left[key]) for key in ("message", "hint") if left.get(key))
    else:
        text = text.rpartition("\n")[2]
    code = f"exit code {ended.get('exitCode')}"
    return f"{_line(text)} ({code})" if text else code


def _line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= LINE_LIMIT else f"{flat[:LINE_LIMIT]}…"


def _leaving(pod: Mapping[str, Any]) -> bool:
    return pod["metadata"].get("deletionTimestamp") is not None


def _status(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return body.get("status") or {}
