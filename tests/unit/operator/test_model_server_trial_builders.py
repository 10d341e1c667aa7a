"""What a ModelServer has beside its Deployment: candidate, judge, network policies, route; written out whole."""

import pytest

from mlops_operator.api.gate import Gate, Smoke
from mlops_operator.api.model_server import Model
from mlops_operator.builders.candidate import build_candidate
from mlops_operator.builders.deployment import DeploymentInputs, build_deployment
from mlops_operator.builders.http_route import HttpRouteInputs, build_http_route
from mlops_operator.builders.judge import JudgeInputs, build_judge, judged_pair
from mlops_operator.builders.network_policy import NetworkPolicyInputs, build_candidate_policy, build_server_policy
from mlops_operator.builders.service import ServiceInputs, build_service
from tests.unit.operator.model_server_world import IMAGE, A, B
from tests.unit.operator.test_model_server_builders import LABELS, METADATA, OWNER, SELECTOR

CANDIDATE = {"app.kubernetes.io/name": "cats-dogs-candidate", "app.kubernetes.io/instance": "pets"}
JUDGE = {"app.kubernetes.io/name": "cats-dogs-judge", "app.kubernetes.io/instance": "pets"}
MANAGED = {"app.kubernetes.io/managed-by": "mlops-operator"}
NEW = Model("gs://b/models/cats-dogs/bbbb/model.pt", B, "bbbb", "new")
OLD = Model("gs://b/models/cats-dogs/aaaa/model.pt", A, "aaaa", "old")
INPUTS = DeploymentInputs(
    name="pets",
    namespace="team",
    owner=OWNER,
    image=IMAGE,
    model_uri=NEW.uri,
    model_sha256=B,
    model_version="bbbb",
    training_run="new",
    replicas=4,
    cpu="500m",
    memory="1Gi",
    service_account="model-server",
)


def test_the_candidate_is_the_servers_own_pod_under_another_label() -> None:
    served, candidate = build_deployment(INPUTS), build_candidate(INPUTS)
    pod = served["spec"]["template"]["spec"]
    del pod["topologySpreadConstraints"]
    assert candidate["metadata"]["name"] == "pets-candidate"
    assert candidate["metadata"]["ownerReferences"] == [OWNER]
    assert candidate["spec"] == {
        "replicas": 1,
        "revisionHistoryLimit": 0,
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": CANDIDATE},
        "template": {
            "metadata": {**served["spec"]["template"]["metadata"], "labels": {**CANDIDATE, **MANAGED}},
            "spec": pod,
        },
    }


def judge(**changed: object) -> JudgeInputs:
    whole = {
        "name": "pets",
        "namespace": "team",
        "owner": OWNER,
        "image": IMAGE,
        "candidate": NEW,
        "serving": OLD,
        "candidate_url": "http://10.1.1.1:8080",
        "gate": Gate(eval_set="e" * 64),
        "smoke": Smoke(max_millis=500),
        "service_account": "model-judge",
        "pod_env": {"STORAGE_EMULATOR_HOST": "http://store:4443"},
    }
    return JudgeInputs(**{**whole, **changed})  # type: ignore[arg-type]


def test_judge_whole() -> None:
    told = {
        "STORAGE_EMULATOR_HOST": "http://store:4443",
        "GATE_CANDIDATE_URI": NEW.uri,
        "GATE_CANDIDATE_SHA256": B,
        "GATE_SERVING_URI": OLD.uri,
        "GATE_SERVING_SHA256": A,
        "GATE_CANDIDATE_URL": "http://10.1.1.1:8080",
        "GATE_POLICY": "Compare",
        "GATE_METRIC": "accuracy",
        "GATE_MINIMUM": "0.6",
        "GATE_MAX_REGRESSION": "0.01",
        "GATE_INCONCLUSIVE": "Accept",
        "GATE_EVAL_SET": "e" * 64,
        "GATE_SMOKE_MAX_MILLIS": "500",
        "GATE_REPORT": f"gs://b/reports/team/pets/{B[:12]}/",
        "HOME": "/tmp",
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}
    pair = judged_pair(NEW, OLD, Gate(eval_set="e" * 64), Smoke(max_millis=500))
    assert build_judge(judge()) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            **METADATA,
            "name": "pets-judge",
            "labels": {**JUDGE, **MANAGED},
            "annotations": {"mlops.cats-dogs.io/judges": pair},
        },
        "spec": {
            "backoffLimit": 2,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": 600,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [65, 66, 67, 77, 78]}},
                    {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [143]}},
                ]
            },
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {"labels": {**JUDGE, **MANAGED}},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": "model-judge",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": {**security, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [
                        {
                            "name": "judge",
                            "image": IMAGE,
                            "command": ["python", "-m", "catsdogs.gate"],
                            "env": [{"name": name, "value": value} for name, value in told.items()],
                            "resources": {
                                "requests": {"cpu": "500m", "memory": "1Gi"},
                                "limits": {"memory": "2Gi"},
                            },
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                                "readOnlyRootFilesystem": True,
                            },
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}}],
                },
            },
        },
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"candidate": OLD},
        {"serving": None},
        {"gate": Gate(minimum="0.7")},
        {"smoke": Smoke(policy="None")},
    ],
)
def test_another_pair_or_another_threshold_wants_another_judge(changed: dict[str, object]) -> None:
    one, other = build_judge(judge())["metadata"], build_judge(judge(**changed))["metadata"]
    assert one["annotations"] != other["annotations"]


def test_a_judge_of_the_first_model_compares_with_none_and_without_smoke_asks_nobody() -> None:
    body = build_judge(judge(serving=None, smoke=Smoke(policy="None")))
    told = {item["name"]: item["value"] for item in body["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (told["GATE_SERVING_URI"], told["GATE_SERVING_SHA256"], told["GATE_CANDIDATE_URL"]) == ("", "", "")


def test_only_the_judge_reaches_the_candidate() -> None:
    http, ops = {"port": "http", "protocol": "TCP"}, {"port": "metrics", "protocol": "TCP"}
    inputs = NetworkPolicyInputs("pets", "team", OWNER)
    assert build_server_policy(inputs) == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": METADATA,
        "spec": {
            "podSelector": {"matchLabels": SELECTOR},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [http, ops]}],
        },
    }
    policy = build_candidate_policy(inputs)
    assert policy["metadata"] == {**METADATA, "name": "pets-candidate", "labels": {**CANDIDATE, **MANAGED}}
    assert policy["spec"] == {
        "podSelector": {"matchLabels": CANDIDATE},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": JUDGE}}], "ports": [http]}, {"ports": [ops]}],
    }


@pytest.mark.parametrize(
    ("gateway", "parent"),
    [("public", {"name": "public"}), ("infra/public", {"name": "public", "namespace": "infra"})],
)
def test_route_whole(gateway: str, parent: dict[str, str]) -> None:
    assert build_http_route(HttpRouteInputs("pets", "team", OWNER, gateway, "pets.example.com")) == {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": METADATA,
        "spec": {
            "parentRefs": [parent],
            "hostnames": ["pets.example.com"],
            "rules": [{"backendRefs": [{"name": "pets", "port": 80}]}],
        },
    }


def test_an_internal_load_balancer_with_a_reserved_address() -> None:
    service = build_service(ServiceInputs("pets", "team", OWNER, "InternalLoadBalancer", "10.8.0.9"))
    assert service["metadata"] == {
        **METADATA,
        "labels": LABELS,
        "annotations": {
            "networking.gke.io/load-balancer-type": "Internal",
            "networking.gke.io/internal-load-balancer-allow-global-access": "false",
        },
    }
    assert (service["spec"]["type"], service["spec"]["loadBalancerIP"]) == ("LoadBalancer", "10.8.0.9")
