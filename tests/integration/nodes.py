"""Simulated nodes on a real control plane: objects with zones, whose kubelets this process plays.

Scheduler, node lifecycle, eviction and disruption controllers are the real ones; no container runs. A node whose
heartbeat stops is what they see of a lost machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from kubernetes import client, config

from devcluster.cluster import Cluster

NAMESPACE = "zones"
BEAT_SECONDS = 5.0
LOOK_SECONDS = 0.3
TRUE = "True"
ROOM = {"cpu": "4", "memory": "8Gi", "pods": "20"}


class Nodes:
    """Nodes by name and zone; `silent` are those that have stopped."""

    def __init__(self, cluster: Cluster, zones: Mapping[str, str]) -> None:
        api = config.new_client_from_config(str(cluster.kubeconfig), cluster.context)
        self.core, self.apps, self.policy = client.CoreV1Api(api), client.AppsV1Api(api), client.PolicyV1Api(api)
        self._leases = client.CoordinationV1Api(api)
        self.zones, self.silent = dict(zones), set[str]()
        self.fewest_ready = 10**6
        self._end, self._beaten = threading.Event(), 0.0

    def zone_of(self, pod: Any) -> str:
        """The zone that the scheduler put a pod in; "" while it is in none."""
        return self.zones.get(pod.spec.node_name or "", "")

    def pods(self) -> list[Any]:
        """The pods that are not on their way out."""
        found = self.core.list_namespaced_pod(NAMESPACE).items
        return [pod for pod in found if pod.metadata.deletion_timestamp is None]

    def ready(self) -> list[Any]:
        """Those of them that are ready, as the control plane has it: what a Service sends requests to."""
        return [pod for pod in self.pods() if _is_ready(pod)]

    def lose(self, zone: str) -> None:
        """Cut all nodes of a zone off: no heartbeat, no word about a pod."""
        self.silent |= {name for name, there in self.zones.items() if there == zone}

    def evict(self, pod: str) -> int:
        """Ask for an eviction as `kubectl drain` does; returns the API server's status."""
        body = client.V1Eviction(metadata=client.V1ObjectMeta(name=pod, namespace=NAMESPACE))
        try:
            self.core.create_namespaced_pod_eviction(pod, NAMESPACE, body)
        except client.ApiException as error:
            return int(error.status)
        return 201

    def create(self) -> None:
        """Make the nodes, ready."""
        for name, zone in self.zones.items():
            labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}
            self.core.create_node({"metadata": {"name": name, "labels": labels}})
            self._beat(name)
            now = datetime.now(UTC).isoformat()
            fine = {"type": "Ready", "status": TRUE, "reason": "Simulated", "lastHeartbeatTime": now}
            status = {"capacity": ROOM, "allocatable": ROOM, "conditions": [{**fine, "lastTransitionTime": now}]}
            self.core.patch_node_status(name, {"status": status})

    def play(self) -> None:
        """What the kubelets do, until told to end: heartbeats, starting and ending of pods."""
        while not self._end.wait(LOOK_SECONDS):
            if time.monotonic() - self._beaten > BEAT_SECONDS:
                self._beaten = time.monotonic()
                for name in self.zones.keys() - self.silent:
                    self._beat(name)
            for pod in self.core.list_namespaced_pod(NAMESPACE).items:
                if pod.spec.node_name and pod.spec.node_name not in self.silent:
                    self._act(pod)
            self.fewest_ready = min(self.fewest_ready, len(self.ready()))

    def end(self) -> None:
        """Let `play` return."""
        self._end.set()

    def _beat(self, node: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        spec = {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": now}
        try:
            self._leases.patch_namespaced_lease(node, "kube-node-lease", {"spec": spec})
        except client.ApiException:
            self._leases.create_namespaced_lease("kube-node-lease", {"metadata": {"name": node}, "spec": spec})

    def _act(self, pod: Any) -> None:
        name = pod.metadata.name
        try:
            if pod.metadata.deletion_timestamp is not None:
                self.core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)
            elif not _is_ready(pod):
                kinds = ("Ready", "ContainersReady", "Initialized")
                status = {"phase": "Running", "conditions": [{"type": kind, "status": TRUE} for kind in kinds]}
                self.core.patch_namespaced_pod_status(name, NAMESPACE, {"status": status})
        except client.ApiException as error:
            if error.status != 404:  # gone meanwhile
                raise


def _is_ready(pod: Any) -> bool:
    return any(each.type == "Ready" and each.status == TRUE for each in pod.status.conditions or ())


@contextmanager
def nodes(cluster: Cluster, zones: Mapping[str, str]) -> Iterator[Nodes]:
    """Such nodes at work, with an empty namespace."""
    made = Nodes(cluster, zones)
    made.core.create_namespace({"metadata": {"name": NAMESPACE}})
    made.core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": "model-server"}})
    made.create()
    # A new node takes no pod until the control plane has seen it ready: pods made before would all go to the first.
    eventually("the nodes take pods", lambda: not any(node.spec.taints for node in made.core.list_node().items))
    kubelets = threading.Thread(target=made.play)
    kubelets.start()
    try:
        yield made
    finally:
        made.end()
        kubelets.join()


def eventually(what: str, true: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait until it is so; raises AssertionError naming `what`."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"after {seconds:.0f} s still not so: {what}"
        time.sleep(0.2)
