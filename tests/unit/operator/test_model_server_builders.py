"""The children of a ModelServer, each written out whole. No cluster is needed."""

from dataclasses import replace

from mlops_operator.builders.deployment import DeploymentInputs, build_deployment, twice
from mlops_operator.builders.hpa import HpaInputs, build_hpa
from mlops_operator.builders.pdb import PdbInputs, build_pdb
from mlops_operator.builders.pod_monitoring import PodMonitoringInputs, build_pod_monitoring
from mlops_operator.builders.service import ServiceInputs, build_service

OWNER = {
    "apiVersion": "mlops.cats-dogs.io/v1alpha1",
    "kind": "ModelServer",
    "name": "pets",
    "uid": "u-1",
    "controller": True,
    "blockOwnerDeletion": False,
}
SELECTOR = {"app.kubernetes.io/name": "cats-dogs-api", "app.kubernetes.io/instance": "pets"}
LABELS = {**SELECTOR, "app.kubernetes.io/managed-by": "mlops-operator"}
METADATA = {"name": "pets", "namespace": "team", "labels": LABELS, "ownerReferences": [OWNER]}


def test_deployment_whole() -> None:
    inputs = DeploymentInputs(
        name="pets",
        namespace="team",
        owner=OWNER,
        image="registry.example/server@sha256:" + "1" * 64,
        model_uri="gs://b/models/cats-dogs/abc/model.pt",
        model_sha256="a" * 64,
        model_version="abc",
        training_run="demo",
        replicas=2,
        cpu="500m",
        memory="1Gi",
        service_account="model-server",
        pod_env={"STORAGE_EMULATOR_HOST": "http://store:4443", "MODEL_SHA256": "never this one"},
    )
    assert build_deployment(inputs) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**METADATA, "annotations": {"mlops.cats-dogs.io/wanted": "fa8ae8c1b9d361bf"}},
        "spec": {
            "replicas": 2,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": SELECTOR},
            "template": {
                # Whoever changes anything below rolls every server over: raise TEMPLATE_VERSION with it.
                "metadata": {"labels": LABELS, "annotations": {"mlops.cats-dogs.io/template-version": "2"}},
                "spec": {
                    "serviceAccountName": "model-server",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 30,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "tolerations": [
                        {
                            "key": key,
                            "operator": "Exists",
                            "effect": "NoExecute",
                            "tolerationSeconds": 30,
                        }
                        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
                    ],
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": key,
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": SELECTOR},
                            "matchLabelKeys": ["pod-template-hash"],
                        }
                        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
                    ],
                    "containers": [
                        {
                            "name": "server",
                            "image": "registry.example/server@sha256:" + "1" * 64,
                            "env": [
                                {"name": "STORAGE_EMULATOR_HOST", "value": "http://store:4443"},
                                {"name": "MODEL_SHA256", "value": "a" * 64},
                                {"name": "MODEL_URI", "value": "gs://b/models/cats-dogs/abc/model.pt"},
                                {"name": "MODEL_VERSION", "value": "abc"},
                                {"name": "TRAINING_RUN", "value": "demo"},
                                {"name": "HOME", "value": "/tmp"},
                            ],
                            "ports": [
                                {"name": "http", "containerPort": 8080},
                                {"name": "metrics", "containerPort": 8081},
                            ],
                            "resources": {
                                "requests": {"cpu": "500m", "memory": "1Gi"},
                                "limits": {"memory": "2Gi"},
                            },
                            "startupProbe": {
                                "httpGet": {"path": "/live", "port": "metrics"},
                                "periodSeconds": 2,
                                "timeoutSeconds": 2,
                                "failureThreshold": 150,
                            },
                            "readinessProbe": {
                                "httpGet": {"path": "/health", "port": "metrics"},
                                "periodSeconds": 2,
                                "timeoutSeconds": 2,
                                "failureThreshold": 5,
                            },
                            "livenessProbe": {
                                "httpGet": {"path": "/live", "port": "metrics"},
                                "periodSeconds": 10,
                                "timeoutSeconds": 5,
                                "failureThreshold": 3,
                            },
                            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                                "readOnlyRootFilesystem": True,
                            },
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
                },
            },
        },
    }


def test_a_secret_with_api_keys_is_mounted() -> None:
    plain = DeploymentInputs(
        name="pets", namespace="team", owner=OWNER, image="i", model_uri="u", model_sha256="a", model_version="v",
        training_run="r", replicas=1, cpu="1", memory="1Gi", service_account="s",
    )  # fmt: skip
    before, after = (
        build_deployment(inputs)["spec"]["template"]["spec"]
        for inputs in (plain, replace(plain, api_keys_secret="keys-of-pets"))
    )
    assert after["volumes"] == [
        *before["volumes"],
        {"name": "api-keys", "secret": {"secretName": "keys-of-pets", "defaultMode": 0o440}},
    ]
    (old,), (new,) = before["containers"], after["containers"]
    mount = {"name": "api-keys", "mountPath": "/etc/api-keys", "readOnly": True}
    assert new == {
        **old,
        "env": [*old["env"], {"name": "API_KEYS_FILE", "value": "/etc/api-keys/keys"}],
        "volumeMounts": [*old["volumeMounts"], mount],
    }


def test_memory_limit_is_twice_the_request() -> None:
    assert [twice("1Gi"), twice("768Mi")] == ["2Gi", "1536Mi"]


def test_service_whole() -> None:
    assert build_service(ServiceInputs("pets", "team", OWNER, "ClusterIP")) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": METADATA,
        "spec": {
            "type": "ClusterIP",
            "selector": SELECTOR,
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }


def test_pod_monitoring_whole() -> None:
    assert build_pod_monitoring(PodMonitoringInputs("pets", "team", OWNER)) == {
        "apiVersion": "monitoring.googleapis.com/v1",
        "kind": "PodMonitoring",
        "metadata": METADATA,
        "spec": {
            "selector": {"matchLabels": SELECTOR},
            "endpoints": [{"port": "metrics", "path": "/metrics", "interval": "30s"}],
            "targetLabels": {"fromPod": [{"from": "app.kubernetes.io/instance", "to": "model_server"}]},
        },
    }


def test_hpa_whole() -> None:
    assert build_hpa(HpaInputs("pets", "team", OWNER, 1, 4, 70)) == {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": METADATA,
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pets"},
            "minReplicas": 1,
            "maxReplicas": 4,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                }
            ],
        },
    }


def test_pdb_whole() -> None:
    assert build_pdb(PdbInputs("pets", "team", OWNER)) == {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": METADATA,
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": SELECTOR},
        },
    }
