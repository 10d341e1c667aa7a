"""The Job of a TrainingRun, written out whole: a reader learns from it what runs in the cluster."""

from typing import Any

from mlops_operator.api.training_run import parse
from mlops_operator.builders.job import Key, job_controls, training_job
from tests.unit.operator.training_run_world import IMAGE, RAW, SETTINGS, VERSION, job, run

LABELS = {
    "app.kubernetes.io/name": "cats-dogs-trainer",
    "app.kubernetes.io/instance": "demo",
    "app.kubernetes.io/managed-by": "mlops-operator",
}
PARAMETERS = (
    '{"architecture":"SimpleCNN","epochs":150,"batchSize":64,"learningRate":"0.002","imageSize":96,'
    '"seed":1,"maxTrainSeconds":600}'
)
ENVIRONMENT = [
    {"name": "STORAGE_EMULATOR_HOST", "value": "http://store"},
    {"name": "CATSDOGS_BUCKET", "value": "photos"},
    {"name": "CATSDOGS_VERSION", "value": VERSION},
    {"name": "CATSDOGS_RAW_HASH", "value": RAW},
    {"name": "CATSDOGS_PARAMETERS", "value": PARAMETERS},
    {"name": "CATSDOGS_IMAGE", "value": IMAGE},
    {"name": "CATSDOGS_RUN", "value": "team/demo"},
    {"name": "CATSDOGS_RUN_UID", "value": "u-run"},
    {"name": "CATSDOGS_GIT_COMMIT", "value": "c0ffee"},
    {"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow-service:5000"},
    {"name": "HOME", "value": "/tmp"},
]


def container(stage: str, **more: Any) -> dict[str, Any]:
    """One stage's container."""
    return {
        "name": stage,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["catsdogs", "stage", stage],
        "env": ENVIRONMENT,
        "resources": {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "work", "mountPath": "/work"}, {"name": "tmp", "mountPath": "/tmp"}],
        **more,
    }


def test_job_whole() -> None:
    resource = run()
    resource["metadata"]["annotations"] = {"mlops.cats-dogs.io/git-commit": "c0ffee"}
    built = training_job(parse(resource), Key(IMAGE, "photos", RAW, VERSION), SETTINGS)
    assert built == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "demo",
            "namespace": "team",
            "labels": LABELS,
            "annotations": {
                "mlops.cats-dogs.io/image": IMAGE,
                "mlops.cats-dogs.io/bucket": "photos",
                "mlops.cats-dogs.io/raw-hash": RAW,
                "mlops.cats-dogs.io/version": VERSION,
                "mlops.cats-dogs.io/git-commit": "c0ffee",
            },
            "ownerReferences": [
                {
                    "apiVersion": "mlops.cats-dogs.io/v1alpha1",
                    "kind": "TrainingRun",
                    "name": "demo",
                    "uid": "u-run",
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "backoffLimit": 2,
            "completions": 1,
            "parallelism": 1,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    {
                        "action": "FailJob",
                        "onExitCodes": {"operator": "In", "values": [65, 66, 67, 77, 78]},
                    },
                    {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [143]}},
                ]
            },
            "podReplacementPolicy": "Failed",
            "suspend": False,
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "restartPolicy": "Never",
                    "serviceAccountName": "trainer",
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
                    "initContainers": [
                        container("ingest"),
                        container("preprocess"),
                        container("eda"),
                        container("train", ports=[{"name": "progress", "containerPort": 8080}]),
                    ],
                    "containers": [container("evaluate")],
                    "volumes": [{"name": "work", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    }


def test_the_runs_own_words_win_over_the_settings_environment() -> None:
    settings = type(SETTINGS)(**{**vars(SETTINGS), "pod_env": {"HOME": "/root", "CATSDOGS_BUCKET": "other"}})
    built = training_job(parse(run()), Key(IMAGE, "photos", RAW, VERSION), settings)
    [main] = built["spec"]["template"]["spec"]["containers"]
    assert {e["name"]: e["value"] for e in main["env"]}["CATSDOGS_BUCKET"] == "photos"
    assert [e["name"] for e in main["env"]].count("HOME") == 1


def test_controls_touch_nothing_but_what_they_name() -> None:
    assert job_controls(job(), suspend=True) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "demo", "namespace": "team", "uid": "u-job"},
        "spec": {"suspend": True},
    }


def test_gpu_spot_pool_and_priority_place_the_pod_and_touch_nothing_else() -> None:
    resource = run(gpu={"type": "nvidia-l4", "count": 2}, spot=True, nodePool="pool-1", priorityClassName="high")
    key = Key(IMAGE, "photos", RAW, VERSION)
    plain = training_job(parse(run()), key, SETTINGS)["spec"]["template"]["spec"]
    placed = training_job(parse(resource), key, SETTINGS)["spec"]["template"]["spec"]
    [*others, train] = placed.pop("initContainers")
    assert others == plain["initContainers"][:-1]
    assert train == {
        **plain["initContainers"][-1],
        "resources": {
            "requests": {"cpu": "1", "memory": "4Gi"},
            "limits": {"memory": "4Gi", "nvidia.com/gpu": "2"},
        },
    }
    assert placed == {
        **{name: value for name, value in plain.items() if name != "initContainers"},
        "terminationGracePeriodSeconds": 15,
        "nodeSelector": {
            "cloud.google.com/gke-spot": "true",
            "cloud.google.com/gke-nodepool": "pool-1",
            "cloud.google.com/gke-accelerator": "nvidia-l4",
        },
        "tolerations": [
            {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"},
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        ],
        "priorityClassName": "high",
    }


def test_any_gpu_will_do_where_no_type_is_named() -> None:
    built = training_job(parse(run(gpu={"count": 1})), Key(IMAGE, "photos", RAW, VERSION), SETTINGS)
    template = built["spec"]["template"]["spec"]
    assert "nodeSelector" not in template
    assert template["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_a_job_for_a_queue_leaves_suspend_to_kueue() -> None:
    resource = run(suspend=True)
    labels = {"kueue.x-k8s.io/queue-name": "team", "kueue.x-k8s.io/priority-class": "low", "sweep": "a"}
    resource["metadata"]["labels"] = labels
    built = training_job(parse(resource), Key(IMAGE, "photos", RAW, VERSION), SETTINGS)
    assert "suspend" not in built["spec"]
    assert built["metadata"]["labels"] == {
        **LABELS,
        "kueue.x-k8s.io/queue-name": "team",
        "kueue.x-k8s.io/priority-class": "low",
    }
    assert built["spec"]["template"]["metadata"]["labels"] == LABELS


def test_a_rerun_is_told_to_the_pod() -> None:
    built = training_job(parse(run(forceRerun=True)), Key(IMAGE, "photos", RAW, VERSION), SETTINGS)
    [main] = built["spec"]["template"]["spec"]["containers"]
    assert {"name": "CATSDOGS_RERUN", "value": "u-run"} in main["env"]


def test_the_commit_may_be_a_label_and_the_annotation_wins() -> None:
    resource = run()
    resource["metadata"]["labels"] = {"mlops.cats-dogs.io/git-commit": "fromlabel"}
    assert parse(resource).git_commit == "fromlabel"
    resource["metadata"]["annotations"] = {"mlops.cats-dogs.io/git-commit": "fromannotation"}
    assert parse(resource).git_commit == "fromannotation"
