"""Who owns the number of pods: hand-over to an autoscaler and back never drops it to one."""

from typing import Any

import pytest

from mlops_operator.api.model_server import Observed
from mlops_operator.reconcile.model_server import reconcile
from mlops_operator.reconcile.plan import ChildRef
from mlops_operator.reconcile.replicas import wanted_replicas
from tests.unit.operator.model_server_world import NOW, SETTINGS, A, record, run, server

RUN = run("demo", "True", "Completed", sha256=A)
FROM = {"modelFrom": {"trainingRun": "demo"}}
SCALED = {**FROM, "autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilization": 70}}
HPA = {"metadata": {"name": "pets"}}
OURS = {"manager": "mlops-operator", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
HPAS = {
    "manager": "kube-controller-manager",
    "operation": "Update",
    "fieldsV1": {"f:spec": {"f:replicas": {}}},
}
STATUS = {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {"f:status": {}}}


def at(replicas: int, *managers: dict[str, Any]) -> dict[str, Any]:
    model = {"MODEL_URI": record(A)["uri"], "MODEL_SHA256": A}
    container = {"image": "x", "env": [{"name": name, "value": value} for name, value in model.items()]}
    return {
        "metadata": {"managedFields": [*managers]},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [container]}}},
    }


@pytest.mark.parametrize(
    ("spec", "deployment", "hpa", "expected"),
    [
        ({**FROM, "replicas": 3}, None, None, 3),
        ({**FROM, "replicas": 3}, at(7, HPAS), None, 3),
        ({**FROM, "replicas": 3, "stop": True}, at(3, OURS), None, 0),
        (SCALED, None, None, 2),
        # Not handed over before the autoscaler has written the number: it would fall to one.
        (SCALED, at(4, OURS, STATUS), None, 4),
        (SCALED, at(4, OURS, STATUS), HPA, 4),
        (SCALED, at(9, OURS), HPA, 5),
        (SCALED, at(1, OURS), HPA, 2),
        (SCALED, at(3, HPAS), HPA, None),
        (SCALED, at(3, OURS, HPAS), HPA, None),
        # An autoscaler leaves 0 alone for ever.
        (SCALED, at(0, HPAS), HPA, 2),
        # While the autoscaler is being deleted the number stays.
        ({**FROM, "replicas": 1}, at(4, HPAS), HPA, None),
        ({**FROM, "replicas": 1}, at(4, OURS), HPA, 4),
        ({**SCALED, "stop": True}, at(4, HPAS), HPA, None),
        ({**SCALED, "stop": True}, at(4, HPAS), None, 0),
    ],
)
def test_wanted_replicas(
    spec: dict[str, Any], deployment: dict[str, Any] | None, hpa: dict[str, Any] | None, expected: int | None
) -> None:
    assert wanted_replicas(server(spec), Observed(deployment=deployment, hpa=hpa)) == expected


def test_stop_removes_the_autoscaler_first_and_comes_back_for_the_pods() -> None:
    seen = Observed(deployment=at(4, HPAS), hpa=HPA, training_runs=(RUN,))
    plan = reconcile(server({**SCALED, "stop": True}), seen, SETTINGS, NOW)
    assert plan.delete == (ChildRef("autoscaling/v2", "HorizontalPodAutoscaler", "pets"),)
    assert plan.requeue_after == 1.0
    assert [child["kind"] for child in plan.apply] == [
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "PodMonitoring",
        "Deployment",
    ]
    assert "replicas" not in plan.apply[-1]["spec"]


def test_autoscaling_applies_the_autoscaler_after_the_deployment() -> None:
    plan = reconcile(server(SCALED), Observed(training_runs=(RUN,)), SETTINGS, NOW)
    assert [child["kind"] for child in plan.apply][-2:] == ["Deployment", "HorizontalPodAutoscaler"]
    assert plan.apply[-2]["spec"]["replicas"] == 2
    assert plan.delete == ()
