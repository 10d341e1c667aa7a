"""A ModelServer's Deployment and disruption budget on four simulated nodes in two zones, by the real scheduler and
controllers: replicas spread, a drained zone is left one pod at a time. A zone that is lost is in tests/reliability.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from devcluster import cluster
from devcluster.progress import Reporter
from mlops_operator.builders.deployment import DeploymentInputs, build_deployment
from mlops_operator.builders.pdb import PdbInputs, build_pdb
from tests.integration.nodes import NAMESPACE, Nodes, eventually, nodes

ZONES = {"a-1": "zone-a", "a-2": "zone-a", "b-1": "zone-b", "b-2": "zone-b"}
NAME = "pets"


@pytest.fixture(scope="module")
def simulated() -> Iterator[Nodes]:
    """A control plane of its own: other tests count on there being no node."""
    with cluster.isolated_control_plane(Reporter()) as control_plane, nodes(control_plane, ZONES) as made:
        yield made


def serve(simulated: Nodes, replicas: int) -> None:
    """What the operator applies for a ModelServer; the owner is any object, since only garbage collection looks."""
    made = simulated.core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "owner"}})
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": made.metadata.uid, "controller": True}
    inputs = DeploymentInputs(
        name=NAME, namespace=NAMESPACE, owner=owner, image="localhost/server@sha256:" + "1" * 64,
        model_uri="gs://b/model.pt", model_sha256="a" * 64, model_version="v", training_run="r", replicas=replicas,
        cpu="100m", memory="1Gi", service_account="model-server",
    )  # fmt: skip
    simulated.apps.create_namespaced_deployment(NAMESPACE, build_deployment(inputs))
    simulated.policy.create_namespaced_pod_disruption_budget(NAMESPACE, build_pdb(PdbInputs(NAME, NAMESPACE, owner)))


def spread(simulated: Nodes) -> tuple[list[int], list[int]]:
    """Ready pods for each zone and for each node, fewest first."""
    ready = simulated.ready()
    return (
        sorted(Counter(simulated.zone_of(pod) for pod in ready).values()),
        sorted(Counter(pod.spec.node_name for pod in ready).values()),
    )


def test_replicas_spread_over_zones_and_a_drain_takes_them_one_by_one(simulated: Nodes) -> None:
    serve(simulated, 2)
    eventually("one in each zone", lambda: spread(simulated) == ([1, 1], [1, 1]))
    scale(simulated, 4)
    eventually("one on each node", lambda: spread(simulated) == ([2, 2], [1, 1, 1, 1]))

    for name in ("a-1", "a-2"):
        simulated.core.patch_node(name, {"spec": {"unschedulable": True}})
    simulated.fewest_ready = 4
    first, second = (pod.metadata.name for pod in simulated.ready() if simulated.zone_of(pod) == "zone-a")
    eventually("the budget knows its pods", lambda: allowed(simulated) == 1)
    assert simulated.evict(first) == 201
    assert simulated.evict(second) == 429, "the budget is used up until the first one's successor is ready"
    eventually("now it may go", lambda: simulated.evict(second) == 201)
    eventually("zone a is empty", lambda: spread(simulated) == ([4], [2, 2]))
    assert simulated.fewest_ready >= 3


def scale(simulated: Nodes, replicas: int) -> None:
    simulated.apps.patch_namespaced_deployment(NAME, NAMESPACE, {"spec": {"replicas": replicas}})


def allowed(simulated: Nodes) -> Any:
    return simulated.policy.read_namespaced_pod_disruption_budget(NAME, NAMESPACE).status.disruptions_allowed
