"""What a training pod tells: which stage runs, why it waits, what a stage said at its end.

Reads only the pod's own status; texts from the pod are cut and never trusted as anything but text.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catsdogs.key import STAGES
from mlops_operator.api.times import parse_time

STAGE_NAMES: Mapping[str, str] = {
    "ingest": "Ingest",
    "preprocess": "Preprocess",
    "eda": "EDA",
    "train": "Train",
    "evaluate": "Evaluate",
}
STAGE_REASONS: Mapping[str, str] = {
    "Ingest": "Ingesting",
    "Preprocess": "Preprocessing",
    "EDA": "Exploring",
    "Train": "Training",
    "Evaluate": "Evaluating",
}

_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NEVER_COMES = re.compile(r"(?i)not found|manifest unknown|name unknown|InvalidImageName|ErrImageNeverPull")
_MAY_COME_BACK = re.compile(r"(?i)time ?out|deadline|connection re|EOF|too many requests|\b5\d\d\b|unavailable")


@dataclass(frozen=True)
class Waiting:
    """Why a pod does not run yet. `patience` is how many seconds after scheduling it may stay so
    before waiting longer is useless; None: as long as the run's pendingDeadlineSeconds says."""

    reason: str
    message: str
    patience: float | None = None


def newest(pods: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The pod of the latest attempt, or None."""
    return max(pods, key=lambda pod: (_created(pod), pod["metadata"]["name"]), default=None)


def _created(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def owned_by(child: Mapping[str, Any], uid: str) -> bool:
    """Whether the object of this UID is among the owners of `child`."""
    return any(owner.get("uid") == uid for owner in child["metadata"].get("ownerReferences", ()))


def address_of(host: str) -> str:
    """A pod's IP address as a URL has it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def phase(pod: Mapping[str, Any]) -> str:
    """Pending, Running, Succeeded, Failed or Unknown."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def stages(pod: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Status of each stage's container that the kubelet has reported, in the order they run."""
    status = pod.get("status", {})
    reported = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    by_name = {container["name"]: container for container in reported}
    return [(name, by_name[name]) for name in STAGES if name in by_name]


def current_stage(pod: Mapping[str, Any]) -> str | None:
    """The stage that runs or comes next, e.g. "Train"; None as long as none has begun."""
    begun = False
    for name, container in stages(pod):
        state = container.get("state", {})
        if "running" in state or (begun and "terminated" not in state):
            return STAGE_NAMES[name]
        if "terminated" in state:
            begun = True
            if state["terminated"].get("exitCode") != 0:
                return STAGE_NAMES[name]
    return STAGE_NAMES[STAGES[-1]] if begun else None


def said(pod: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    """What the container of `stage` ("train") wrote at its end; empty when it wrote no JSON object."""
    for name, container in stages(pod):
        if name == stage:
            return as_object(container.get("state", {}).get("terminated", {}).get("message", ""))
    return {}


def as_object(text: str) -> Mapping[str, Any]:
    """`text` as a JSON object; empty for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def waiting(pod: Mapping[str, Any]) -> Waiting:
    """Why no stage of `pod` has begun, in the scheduler's or the kubelet's own words."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return Waiting("Unschedulable", f"No node takes the pod: {condition.get('message', '')}")
    for name, container in stages(pod):
        state = container.get("state", {}).get("waiting", {})
        if state.get("reason") in _IMAGE_REASONS:
            return _image_waiting(container, state)
        if state.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            message = f"Stage {name} can't start: {state.get('reason')}: {state.get('message', '')}"
            return Waiting("StartError", message)
    return Waiting("Pending", "The pod is being set up on its node")


def _image_waiting(container: Mapping[str, Any], state: Mapping[str, Any]) -> Waiting:
    text = f"{state['reason']}: {state.get('message', '')}"
    message = f"Image {container.get('image', '')} can't be pulled: {text}"
    if _NEVER_COMES.search(text):
        return Waiting("ImagePull", message, patience=0)
    if state["reason"] == "ImagePullBackOff" and state.get("message", "").count(":") < 2:
        return Waiting("ImagePull", message)
    return Waiting("ImagePull", message, patience=None if _MAY_COME_BACK.search(text) else 30)


def scheduled_at(pod: Mapping[str, Any]) -> datetime | None:
    """When the pod got its node, or None."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "True":
            return parse_time(condition["lastTransitionTime"])
    return None
