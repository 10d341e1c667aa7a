"""The status of a ModelServer: what its ready pods serve, and its conditions Ready, Settled and Monitored.

It tells what was observed, never what is wished; the plan for the children is made in `model_server`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_operator.api.model_server import Model, ModelServer, Observed
from mlops_operator.builders.common import selector
from mlops_operator.builders.deployment import APP, WANTED_ANNOTATION
from mlops_operator.reconcile import ledger
from mlops_operator.reconcile.decision import FIELDS, Decision, Said, name_of
from mlops_operator.reconcile.model_source import WAITING, Candidate, model_of_pod_spec, with_accuracy
from mlops_operator.reconcile.plan import Event
from mlops_operator.reconcile.records import model_of_record, record
from mlops_operator.status.conditions import get_condition, set_condition
from mlops_operator.status.server_pods import Trouble, all_new_and_ready, find_trouble, is_ready

# False for one of these reasons is as it was asked for, or passes by itself.
CALM = frozenset(
    {
        *("RollingOut", "ScaledToZero", "Starting", "Stopped", "Judging", "StartingCandidate", "Watching", WAITING),
        *("NotWatched", "Kept", "Written"),
    }
)


@dataclass(frozen=True)
class Pass:
    """What one pass has found out. `deployment` is the one to apply, None when there is nothing to apply;
    `refusal` is reason and message when the image can't be run."""

    server: ModelServer
    observed: Observed
    candidate: Candidate
    serving: Model | None
    wanted: Model | None
    deployment: Mapping[str, Any] | None
    refusal: tuple[str, str] | None
    decision: Decision


def status_of(seen: Pass, now: datetime) -> dict[str, Any]:
    """The whole status; fields that are not known are absent."""
    server, observed = seen.server, seen.observed
    model = _model_answering(seen)
    ready, settled = _ready(seen, model), _settled(seen, model)
    before = server.status.get("conditions") or ()
    conditions: list[dict[str, Any]] = [c for c in before if c["type"] != "Routed" or server.expose.gateway]
    told = {
        "Ready": ready,
        "Settled": settled,
        "CandidateAccepted": seen.decision.accepted,
        "RolledBack": seen.decision.rolled_back,
        "Recorded": ledger.told(server, tuple(seen.decision.facts.get("history", ())), observed.recorded),
        "Routed": _routed(seen),
        "Monitored": _monitored(seen),
    }
    for kind, said in told.items():
        if said is not None:
            conditions = set_condition(conditions, kind, *said, server.generation, now)
    rolled = _status(observed.deployment)
    decided_for = seen.candidate.run if settled[0] == "True" else server.status.get("decidedFor")
    known = {
        "model": record(model),
        "decidedFor": decided_for,
        "url": _url(server, observed.service),
        **{name: seen.decision.facts.get(name) for name in FIELDS},
        "ledger": {"through": observed.recorded.through} if observed.recorded.through else server.status.get("ledger"),
    }
    return {
        "observedGeneration": server.generation,
        "conditions": conditions,
        **{field: value for field, value in known.items() if value},
        "replicas": rolled.get("replicas", 0),
        "readyReplicas": rolled.get("readyReplicas", 0),
        "selector": ",".join(f"{key}={value}" for key, value in sorted(selector(APP, server.name).items())),
    }


def transitions(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Event, ...]:
    """An event for each condition whose status changed from `old` to `new`; a first False is no change."""
    events = []
    for condition in new["conditions"]:
        before = get_condition(old.get("conditions") or (), condition["type"])
        if condition["status"] != (before["status"] if before else "False"):
            reason = condition["reason"]
            calm = condition["status"] == "True" or reason in CALM
            message = f"{condition['type']}: {condition['message']}"
            events.append(Event("Normal" if calm else "Warning", reason, message))
    return tuple(events)


def _model_answering(seen: Pass) -> Model | None:
    """The model of the ready pods: while two models answer the old one, while none does the last one."""
    last = (seen.server.status.get("model") or {}).get("sha256")
    answering = {}
    for pod in seen.observed.pods:
        model = model_of_pod_spec(pod["spec"]) if is_ready(pod) else None
        if model:
            answering[model.sha256] = model
    if not answering:
        return model_of_record(seen.server.status.get("model"))
    chosen = answering.get(last) if last in answering else answering[min(answering)]
    return with_accuracy(chosen, seen.server, seen.observed)


def _ready(seen: Pass, model: Model | None) -> Said:
    server, observed = seen.server, seen.observed
    available = _status(observed.deployment).get("availableReplicas", 0)
    answering = available and any(is_ready(pod) for pod in observed.pods)
    if server.stop:
        return "False", "Stopped", "spec.stop is true: set it to false to serve again"
    if answering and model:
        return "True", "Serving", f"model {name_of(model)} answers from {_of(available, 'pod')}"
    if server.scaled_to_zero:
        return "False", "ScaledToZero", "spec.replicas is 0: raise it to serve"
    if seen.candidate.model is None and seen.wanted is None:
        return "False", seen.candidate.reason, seen.candidate.message
    if seen.refusal:
        return "False", *seen.refusal
    if seen.wanted is None:
        assert seen.decision.accepted is not None
        return "False", *seen.decision.accepted[1:]
    trouble = find_trouble(observed.pods, observed.deployment)
    if trouble:
        return "False", trouble.reason, trouble.message
    return "False", "Starting", f"no pod is ready yet: model {name_of(seen.wanted)} is being loaded and checked"


def _settled(seen: Pass, model: Model | None) -> Said:
    candidate, wanted = seen.candidate, seen.wanted
    if seen.server.stop:
        return "False", "Stopped", "spec.stop is true: nothing is served"
    if seen.decision.settled:
        return seen.decision.settled
    if candidate.model is None:
        stays = f"; model {name_of(seen.serving)} stays" if seen.serving else ""
        return "False", candidate.reason, f"{candidate.message}{stays}"
    if seen.refusal:
        return "False", *seen.refusal
    if seen.server.scaled_to_zero:
        return "False", "ScaledToZero", "spec.replicas is 0: nothing is served"
    assert wanted is not None
    served = model is not None and model.sha256 == wanted.sha256
    if served and (_rolled(seen) or _was_settled(seen)):
        of_run = f" of TrainingRun {candidate.run}" if candidate.run else ""
        return "True", "Served", f"model {name_of(wanted)}{of_run} serves on all pods"
    trouble = find_trouble(seen.observed.pods, seen.observed.deployment) or _stuck(seen.observed.deployment)
    if trouble:
        return "False", trouble.reason, f"model {name_of(wanted)} does not roll: {trouble.message}"
    rolled = _status(seen.observed.deployment)
    updated, present = rolled.get("updatedReplicas", 0), rolled.get("replicas", 0)
    ready = rolled.get("readyReplicas", 0)
    message = f"model {name_of(wanted)} rolls out: {updated} new of {present} pods, {ready} ready"
    return "False", "RollingOut", message


def _rolled(seen: Pass) -> bool:
    """Whether the Deployment seen is the one wanted now and all its pods are new and ready."""
    deployment = seen.observed.deployment
    if deployment is None or seen.deployment is None:
        return False
    wanted = seen.deployment["metadata"]["annotations"][WANTED_ANNOTATION]
    applied = (deployment["metadata"].get("annotations") or {}).get(WANTED_ANNOTATION)
    return applied == wanted and all_new_and_ready(deployment)


def _was_settled(seen: Pass) -> bool:
    """Whether this very decision was reached before: a pod that starts anew or is added doesn't undo it."""
    before = get_condition(seen.server.status.get("conditions") or (), "Settled")
    return (
        before is not None
        and before["status"] == "True"
        and before.get("observedGeneration") == seen.server.generation
        and seen.server.status.get("decidedFor", "") == seen.candidate.run
    )


def _stuck(deployment: Mapping[str, Any] | None) -> Trouble | None:
    progressing = get_condition(_status(deployment).get("conditions") or (), "Progressing")
    if progressing is None or progressing["status"] != "False":
        return None
    return Trouble(progressing.get("reason", "NotProgressing"), progressing.get("message", "it is stuck"))


def _routed(seen: Pass) -> Said | None:
    """None where no route is asked for."""
    expose = seen.server.expose
    if not expose.gateway:
        return None
    if not seen.observed.httproute_available:
        return "False", "GatewayAPIMissing", "this cluster has no kind HTTPRoute: install the Gateway API"
    if seen.deployment is None:
        return "False", "NothingToRoute", "there are no pods to send requests to"
    said = f"HTTPRoute {seen.server.name} asks Gateway {expose.gateway} for {expose.hostname}"
    return "True", "HTTPRouteApplied", f"{said}; kubectl describe httproute says whether it was taken"


def _monitored(seen: Pass) -> Said:
    if not seen.observed.podmonitoring_available:
        return (
            "False",
            "PodMonitoringMissing",
            "this cluster has no kind PodMonitoring: nothing scrapes /metrics",
        )
    if seen.deployment is None:
        return "False", "NothingToMonitor", "there are no pods to scrape"
    return "True", "PodMonitoringApplied", f"PodMonitoring {seen.server.name} scrapes /metrics every 30s"


def _url(server: ModelServer, service: Mapping[str, Any] | None) -> str | None:
    if service is None:
        return None
    if server.expose.hostname:
        return f"http://{server.expose.hostname}/"
    if server.expose.type == "ClusterIP":
        return f"http://{server.name}.{server.namespace}.svc/"
    ingress = (_status(service).get("loadBalancer") or {}).get("ingress") or [{}]
    address = ingress[0].get("ip") or ingress[0].get("hostname")
    return f"http://{address}/" if address else None


def _of(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _status(body: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return (body or {}).get("status") or {}
