"""One pass over a ModelServer: from its spec and what was observed to its children, its status and events.

Pure: no client, no clock, no environment. What it can't do yet (a run at work, a wrong image) status says.
"""

from datetime import datetime

from mlops_operator.api.model_server import ModelServer, Observed
from mlops_operator.api.settings import Settings
from mlops_operator.builders.common import owner_reference
from mlops_operator.builders.deployment import build_deployment
from mlops_operator.builders.hpa import API_VERSION as HPA_API
from mlops_operator.builders.hpa import KIND as HPA_KIND
from mlops_operator.builders.hpa import HpaInputs, build_hpa
from mlops_operator.builders.http_route import HttpRouteInputs, build_http_route
from mlops_operator.builders.network_policy import NetworkPolicyInputs, build_server_policy
from mlops_operator.builders.pdb import PdbInputs, build_pdb
from mlops_operator.builders.pod_monitoring import PodMonitoringInputs, build_pod_monitoring
from mlops_operator.builders.service import ServiceInputs, build_service
from mlops_operator.reconcile import ledger
from mlops_operator.reconcile.admission import decide, rollback_target
from mlops_operator.reconcile.decision import Question
from mlops_operator.reconcile.model_server_status import Pass, status_of, transitions
from mlops_operator.reconcile.model_source import find_candidate, model_served
from mlops_operator.reconcile.plan import ChildRef, Plan
from mlops_operator.reconcile.replicas import wanted_replicas, wants_hpa
from mlops_operator.reconcile.trial import deployment_inputs, over, trial

HPA_GONE_SECONDS = 1.0


def reconcile(resource: ModelServer, observed: Observed, settings: Settings, now: datetime) -> Plan:
    """The plan for `resource`. `now` (timezone-aware) dates the conditions that change.

    A model that is served stays until another one can be: no state of a TrainingRun takes a server away.
    """
    candidate = rollback_target(resource) if resource.rollback_to else find_candidate(resource, observed)
    serving = model_served(resource, observed)
    refusal = _refuse_image(resource, settings)
    decision = decide(Question(resource, observed, candidate, serving, now, runnable=refusal is None))
    wanted = decision.wanted
    image = _image(observed) if refusal else resource.image or settings.server_image
    deployment = None
    if wanted is not None and image:
        deployment = build_deployment(
            deployment_inputs(resource, settings, wanted, image, wanted_replicas(resource, observed))
        )
    seen = Pass(resource, observed, candidate, serving, wanted, deployment, refusal, decision)
    status = status_of(seen, now)
    hpa_goes = observed.hpa is not None and not wants_hpa(resource)
    apply = []
    if deployment is not None:
        apply = [*_companions(resource, observed), deployment]
        if wants_hpa(resource):
            apply.append(_hpa(resource))
    if image and not refusal:
        apply += trial(resource, observed, settings, decision, image)
    return Plan(
        status=status,
        apply=tuple(apply),
        delete=(*((ChildRef(HPA_API, HPA_KIND, resource.name),) if hpa_goes else ()), *over(observed, decision)),
        events=transitions(resource.status, status),
        records=ledger.missing(resource, tuple(status.get("history", ())), observed.recorded),
        requeue_after=_soonest(HPA_GONE_SECONDS if hpa_goes else None, decision.requeue_after),
    )


def _soonest(*waits: float | None) -> float | None:
    return min((wait for wait in waits if wait is not None), default=None)


def _refuse_image(server: ModelServer, settings: Settings) -> tuple[str, str] | None:
    """Reason and message when the image may not be run: none is given, or its registry is not allowed."""
    if not server.image and not settings.server_image:
        return "NoImage", "neither spec.image nor the operator's setting SERVER_IMAGE gives a server image"
    if server.image and not settings.allows_image(server.image):
        allowed = ", ".join(settings.allowed_registries) or "none"
        return "ImageNotAllowed", f"spec.image {server.image} is from no allowed registry; allowed: {allowed}"
    return None


def _image(observed: Observed) -> str:
    """The image that runs already, "" without a Deployment: it stays while another one is refused."""
    if observed.deployment is None:
        return ""
    return str(observed.deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def _companions(server: ModelServer, observed: Observed) -> list[dict[str, object]]:
    """Service, PodDisruptionBudget and NetworkPolicy, and HTTPRoute and PodMonitoring where the cluster has them."""
    name, namespace, owner = server.name, server.namespace, owner_reference(server.identity())
    companions = [
        build_service(ServiceInputs(name, namespace, owner, server.expose.type, server.expose.address)),
        build_pdb(PdbInputs(name, namespace, owner)),
        build_server_policy(NetworkPolicyInputs(name, namespace, owner)),
    ]
    if server.expose.gateway and observed.httproute_available:
        route = HttpRouteInputs(name, namespace, owner, server.expose.gateway, server.expose.hostname)
        companions.append(build_http_route(route))
    if observed.podmonitoring_available:
        companions.append(build_pod_monitoring(PodMonitoringInputs(name, namespace, owner)))
    return companions


def _hpa(server: ModelServer) -> dict[str, object]:
    bounds = server.autoscaling
    assert bounds is not None
    return build_hpa(
        HpaInputs(
            name=server.name,
            namespace=server.namespace,
            owner=owner_reference(server.identity()),
            min_replicas=bounds.min_replicas,
            max_replicas=bounds.max_replicas,
            target_cpu_utilization=bounds.target_cpu_utilization,
        )
    )
