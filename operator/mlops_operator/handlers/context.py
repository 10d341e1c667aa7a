"""What all handlers share: settings, the two clients, the store and the queue.

Holds them together and translates a change of an object into the keys it concerns; does no I/O.
"""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_operator.api.gate import Traffic
from mlops_operator.api.model_server import KIND as MODEL_SERVER
from mlops_operator.api.model_server import Recorded
from mlops_operator.api.settings import Settings
from mlops_operator.api.training_run import API_VERSION, Progress
from mlops_operator.api.training_run import KIND as TRAINING_RUN
from mlops_operator.bucket import Bucket
from mlops_operator.builders.common import MANAGER
from mlops_operator.builders.job import NAME as TRAINER
from mlops_operator.cluster import Cluster
from mlops_operator.handlers.queue import Key, WorkQueue
from mlops_operator.handlers.store import INSTANCE, Store
from mlops_operator.status.conditions import get_condition

NAME = "app.kubernetes.io/name"
MANAGED = f"app.kubernetes.io/managed-by={MANAGER}"

EVENTS_WAITING = 10_000
# The Job controller counts the pods it expects by a Job's name, not its UID. A Job made while it still makes a pod for
# a deleted one of that name gets no pod for five minutes (ExpectationsTimeout in pkg/controller/controller_utils.go).
NAME_REST_SECONDS = 5.0


@dataclass(frozen=True)
class Watched:
    """A kind that is watched or listed: all of it, or only what the operator's label marks."""

    api_version: str
    kind: str
    plural: str
    selector: str | None = MANAGED
    watched: bool = True


KINDS: tuple[Watched, ...] = (
    Watched(API_VERSION, TRAINING_RUN, "trainingruns", selector=None),
    Watched(API_VERSION, MODEL_SERVER, "modelservers", selector=None),
    Watched("batch/v1", "Job", "jobs"),
    Watched("v1", "Pod", "pods"),
    Watched("v1", "Service", "services"),
    Watched("apps/v1", "Deployment", "deployments"),
    Watched("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Watched("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", watched=False),
    Watched("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", watched=False),
)
POD_MONITORING = Watched("monitoring.googleapis.com/v1", "PodMonitoring", "podmonitorings", watched=False)
HTTP_ROUTE = Watched("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", watched=False)


@dataclass
class Context:
    """The running operator."""

    settings: Settings
    cluster: Cluster
    bucket: Bucket
    queue: WorkQueue
    store: Store = field(default_factory=Store)
    progress: dict[str, Progress] = field(default_factory=dict)
    departed: dict[Key, Mapping[str, Any]] = field(default_factory=dict)
    freed: dict[tuple[str, str], float] = field(default_factory=dict)
    models: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    traffic: dict[str, Traffic] = field(default_factory=dict)
    complaints: dict[str, str] = field(default_factory=dict)
    excuses: dict[str, str] = field(default_factory=dict)
    recorded: dict[str, Recorded] = field(default_factory=dict)
    applied: dict[tuple[str, str, str], Mapping[str, Any]] = field(default_factory=dict)
    events: asyncio.Queue[Mapping[str, Any]] = field(default_factory=lambda: asyncio.Queue(EVENTS_WAITING))
    pod_monitoring: bool = False
    http_route: bool = False
    listed_at: float = field(default_factory=time.monotonic)

    def seen(self, type_: str | None, item: Mapping[str, Any]) -> None:
        """An object was reported by a watch or list: if that is news, ask for the passes it gives cause to."""
        metadata = item["metadata"]
        old = self.store.get(item["kind"], metadata["namespace"], metadata["name"])
        if type_ == "DELETED":
            self.store.remove(item["kind"], metadata["namespace"], metadata["name"], metadata["uid"])
            self._keep_last_words(item)
            if item["kind"] == "Job":
                self.free_name(metadata["namespace"], metadata["name"])
        elif not self.store.put(item):
            return
        for key in self.concerned(type_, old, item):
            self.queue.add(key)

    def wrote(self, item: Mapping[str, Any]) -> None:
        """The answer to an own write: as news, so that what follows from it gets its pass; not if the object was
        deleted since."""
        metadata = item["metadata"]
        known = self.store.get(item["kind"], metadata["namespace"], metadata["name"])
        if known is not None and known["metadata"]["uid"] == metadata["uid"]:
            self.seen("MODIFIED", item)

    def free_name(self, namespace: str, name: str) -> None:
        """The Job of that name is gone."""
        self.freed[namespace, name] = time.monotonic()

    def name_rests(self, namespace: str, name: str) -> float:
        """Seconds in which no Job of that name may be made yet, 0.0 to NAME_REST_SECONDS."""
        return max(0.0, self.freed.get((namespace, name), -math.inf) + NAME_REST_SECONDS - time.monotonic())

    def _keep_last_words(self, item: Mapping[str, Any]) -> None:
        """A drained or deleted pod is gone the moment it has ended: how it ended is in its last event alone."""
        metadata = item["metadata"]
        name = metadata.get("labels", {}).get(INSTANCE)
        ended = item.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if item["kind"] == TRAINING_RUN:
            self.departed.pop(Key(TRAINING_RUN, metadata["namespace"], metadata["name"]), None)
        elif item["kind"] == "Pod" and metadata.get("labels", {}).get(NAME) == TRAINER and name and ended:
            self.departed[Key(TRAINING_RUN, metadata["namespace"], name)] = item

    def concerned(self, type_: str | None, old: Mapping[str, Any] | None, item: Mapping[str, Any]) -> list[Key]:
        """The resources that want a pass because `old` became `item`."""
        kind, metadata = item["kind"], item["metadata"]
        namespace = metadata["namespace"]
        if kind == TRAINING_RUN:
            keys = [Key(kind, namespace, metadata["name"])]
            if type_ == "DELETED":
                self.progress.pop(metadata["uid"], None)
            if type_ == "DELETED" or _outcome(old) != _outcome(item):
                keys += self.model_servers(namespace)
            return keys
        if kind == MODEL_SERVER:
            return [Key(kind, namespace, metadata["name"])]
        if kind == "Pod":
            labels = metadata.get("labels", {})
            owner = TRAINING_RUN if labels.get(NAME) == TRAINER else MODEL_SERVER
            return [Key(owner, namespace, labels[INSTANCE])] if INSTANCE in labels else []
        return [
            Key(owner["kind"], namespace, owner["name"])
            for owner in metadata.get("ownerReferences", ())
            if owner.get("kind") in (TRAINING_RUN, MODEL_SERVER)
        ]

    def forget_absent(self) -> None:
        """Drop what was kept about children that are gone."""
        gone = [where for where in self.applied if self.store.get(*where) is None]
        for where in gone:
            del self.applied[where]
        self.freed = {where: at for where, at in self.freed.items() if self.name_rests(*where)}

    def training_runs(self) -> Iterator[Mapping[str, Any]]:
        """All known TrainingRuns."""
        for namespace in self.settings.namespaces:
            yield from self.store.all(TRAINING_RUN, namespace)

    def all_model_servers(self) -> Iterator[Mapping[str, Any]]:
        """All known ModelServers."""
        for namespace in self.settings.namespaces:
            yield from self.store.all(MODEL_SERVER, namespace)

    def model_servers(self, namespace: str) -> list[Key]:
        """All ModelServers of the namespace: each may name or select a run that changed."""
        found = self.store.all(MODEL_SERVER, namespace)
        return [Key(MODEL_SERVER, namespace, server["metadata"]["name"]) for server in found]


def _outcome(run: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """What a ModelServer may see of a run: labels, and how Succeeded stands."""
    if run is None:
        return ()
    condition = get_condition(run.get("status", {}).get("conditions", ()), "Succeeded") or {}
    labels = run["metadata"].get("labels", {})
    return (run["metadata"]["uid"], labels, condition.get("status"), condition.get("reason"))
