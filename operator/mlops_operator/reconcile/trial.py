"""What a ModelServer runs beside its Deployment while a candidate is judged, and what of it is no longer needed.

Pure; whether there is a trial at all is decided in `admission`.
"""

from mlops_operator.api.model_server import Model, ModelServer, Observed
from mlops_operator.api.settings import Settings
from mlops_operator.builders.candidate import build_candidate
from mlops_operator.builders.common import owner_reference
from mlops_operator.builders.deployment import DeploymentInputs
from mlops_operator.builders.judge import JudgeInputs, build_judge
from mlops_operator.builders.network_policy import NetworkPolicyInputs, build_candidate_policy
from mlops_operator.reconcile.decision import Decision
from mlops_operator.reconcile.plan import ChildRef


def trial(
    server: ModelServer, observed: Observed, settings: Settings, decision: Decision, image: str
) -> list[dict[str, object]]:
    """The candidate's Deployment and NetworkPolicy where one is asked for, and the judge's Job once it can begin.

    A Job is applied where none is: its template can't be changed, and another pair needs another Job.
    """
    model = decision.candidate
    if model is None:
        return []
    children = []
    if server.admission.smoke.policy != "None":
        owner = owner_reference(server.identity())
        children.append(build_candidate_policy(NetworkPolicyInputs(server.name, server.namespace, owner)))
        children.append(build_candidate(deployment_inputs(server, settings, model, image, replicas=1)))
    if decision.judge_url is not None and observed.judge is None:
        children.append(build_judge(_judge_inputs(server, settings, decision, model, image)))
    return children


def over(observed: Observed, decision: Decision) -> list[ChildRef]:
    """Candidate and judge that are not needed any more; these very objects, not later ones of the same name."""
    gone = []
    if observed.candidate is not None and decision.candidate is None:
        gone.append(("apps/v1", "Deployment", observed.candidate))
    if observed.judge is not None and (decision.candidate is None or decision.drop_judge):
        gone.append(("batch/v1", "Job", observed.judge))
    return [
        ChildRef(version, kind, child["metadata"]["name"], child["metadata"]["uid"])
        for version, kind, child in gone
        if "deletionTimestamp" not in child["metadata"]
    ]


def deployment_inputs(
    server: ModelServer, settings: Settings, model: Model, image: str, replicas: int | None
) -> DeploymentInputs:
    """What a Deployment that serves `model` depends on."""
    return DeploymentInputs(
        name=server.name,
        namespace=server.namespace,
        owner=owner_reference(server.identity()),
        image=image,
        model_uri=model.uri,
        model_sha256=model.sha256,
        model_version=model.version,
        training_run=model.training_run,
        replicas=replicas,
        cpu=server.cpu,
        memory=server.memory,
        service_account=settings.server_service_account,
        pod_env=settings.pod_env,
        api_keys_secret=settings.api_keys_secret,
    )


def _judge_inputs(server: ModelServer, settings: Settings, decision: Decision, model: Model, image: str) -> JudgeInputs:
    return JudgeInputs(
        name=server.name,
        namespace=server.namespace,
        owner=owner_reference(server.identity()),
        image=image,
        candidate=model,
        serving=decision.wanted,
        candidate_url=decision.judge_url or "",
        gate=server.admission.gate,
        smoke=server.admission.smoke,
        service_account=settings.judge_service_account,
        pod_env=settings.pod_env,
    )
