"""Who decides the number of a ModelServer's pods, its spec or an autoscaler, and how one hands over.

A field that its only owner leaves out of a server-side apply is removed, and the Deployment falls to one pod:
so `replicas` must not be left out before somebody else owns it too.
"""

from collections.abc import Mapping
from typing import Any

from mlops_operator.api.model_server import ModelServer, Observed
from mlops_operator.builders.common import MANAGER


def wanted_replicas(server: ModelServer, observed: Observed) -> int | None:
    """The `replicas` to apply, or None to leave the field to its other owner."""
    if wants_hpa(server):
        return _hand_over(server, observed.deployment)
    if observed.hpa is not None:
        # It is deleted in this pass; until it is gone the number stays, or two would scale at once.
        return _keep(observed.deployment, otherwise=server.replicas)
    return 0 if server.stop else server.replicas


def wants_hpa(server: ModelServer) -> bool:
    """Whether an autoscaler shall exist: `stop` removes it, since it would only report that it can't work."""
    return server.autoscaling is not None and not server.stop


def _hand_over(server: ModelServer, deployment: Mapping[str, Any] | None) -> int | None:
    """Until the autoscaler (or anybody else) has written `replicas`, the present number within its bounds.

    An autoscaler leaves a Deployment of 0 pods alone, so that number is never handed over.
    """
    bounds = server.autoscaling
    assert bounds is not None
    if deployment is None:
        return bounds.min_replicas
    present = _present(deployment)
    if present > 0 and _others_own_replicas(deployment):
        return None
    return min(max(present, bounds.min_replicas), bounds.max_replicas)


def _keep(deployment: Mapping[str, Any] | None, otherwise: int) -> int | None:
    if deployment is None:
        return otherwise
    return None if _others_own_replicas(deployment) else _present(deployment)


def _present(deployment: Mapping[str, Any]) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _others_own_replicas(deployment: Mapping[str, Any]) -> bool:
    entries = deployment["metadata"].get("managedFields") or ()
    return any(
        entry.get("manager") != MANAGER and "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in entries
    )
