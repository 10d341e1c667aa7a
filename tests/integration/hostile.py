"""What somebody tries who may create TrainingRuns and nothing else, to get more out of the operator's rights.

Only the attempts: each is a change of a plain run, or a call that has nothing to do with runs.
"""

from __future__ import annotations

from typing import Any

HEX = "f" * 64
ALLOWED = f"localhost:5000/cats-dogs/trainer@sha256:{HEX}"
OWN = "mlops.cats-dogs.io"
ROOT_POD = {
    "spec": {
        "hostPID": True,
        "hostNetwork": True,
        "serviceAccountName": "mlops-operator",
        "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
        "containers": [{"name": "c", "image": "evil", "securityContext": {"privileged": True}}],
    }
}
FINISHED = [
    {"type": kind, "status": "True", "reason": "Completed", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    for kind in ("Succeeded", "Finished")
]

# In spec: fields that are none. They ask the API server to overlook them.
SPECS: dict[str, dict[str, Any]] = {
    "pod-template": {"template": ROOT_POD},
    "pod-template-2": {"podTemplate": ROOT_POD, "podTemplateSpec": ROOT_POD},
    "pod-overrides": {"podSpecOverrides": ROOT_POD["spec"], "overrides": ROOT_POD},
    "job-template": {"jobTemplate": {"spec": {"template": ROOT_POD, "backoffLimit": 99}}},
    "service-account": {"serviceAccountName": "mlops-operator", "serviceAccount": "mlops-operator"},
    "token": {"automountServiceAccountToken": True},
    "other-namespace": {"namespace": "kube-system", "targetNamespace": "mlops-system"},
    "host-path": {"volumes": [{"name": "h", "hostPath": {"path": "/"}}], "volumeMounts": [{"name": "h"}]},
    "secret-volume": {"volumes": [{"name": "s", "secret": {"secretName": "token"}}]},
    "secret-env": {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
    "env-from": {"envFrom": [{"secretRef": {"name": "s"}}]},
    "pull-secret": {"imagePullSecrets": [{"name": "registry"}]},
    "host-namespaces": {"hostNetwork": True, "hostPID": True, "hostIPC": True},
    "privileged": {"securityContext": {"privileged": True, "runAsUser": 0}},
    "capabilities": {"containerSecurityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
    "command": {"command": ["sh", "-c", "id"], "args": ["-x"]},
    "sidecar": {"containers": [{"name": "x", "image": "evil"}], "initContainers": [{"name": "y", "image": "evil"}]},
    "node": {"nodeName": "control-plane", "nodeSelector": {"a": "b"}},
    "tolerations": {"tolerations": [{"operator": "Exists"}]},
    "runtime-class": {"runtimeClassName": "unconfined"},
    "resources-nested": {"resources": {"cpu": "1", "limits": {"example.com/device": 1}}},
    "parameters-nested": {"parameters": {"seed": 40, "command": "sh", "env": {"LD_PRELOAD": "/x"}}},
    # Fields that are there, with values that mean more than they should.
    "image-prefix": {"image": f"localhost:5000.evil.example/x@sha256:{HEX}"},
    "image-user": {"image": f"localhost:5000@evil.example/x@sha256:{HEX}"},
    "image-dots": {"image": f"localhost:5000/../../evil.example/x@sha256:{HEX}"},
    "image-slashes": {"image": f"localhost:5000//evil.example/x@sha256:{HEX}"},
    "image-elsewhere": {"image": f"evil.example/localhost:5000/x@sha256:{HEX}"},
    "image-port": {"image": f"localhost:50000/x@sha256:{HEX}"},
    "image-tag": {"image": f"localhost:5000/cats-dogs/trainer:latest@sha256:{HEX}"},
    "image-expansion": {"image": f"localhost:5000/$(BUCKET)@sha256:{HEX}"},
    "image-newline": {"image": f"{ALLOWED}\nprivileged: true"},
    "bucket-path": {"bucket": "photos/../secrets"},
    "bucket-expansion": {"bucket": "$(HOME)"},
    "rate-expansion": {"parameters": {"learningRate": "$(HOME)"}},
    "rate-shell": {"parameters": {"learningRate": "1;id"}},
    "architecture-module": {"parameters": {"architecture": "os.system"}},
    "system-priority": {"priorityClassName": "system-node-critical"},
    "gpu-type": {"gpu": {"type": "x,kubernetes.io/hostname=control-plane"}},
    "node-pool": {"nodePool": "a,kubernetes.io/hostname=control-plane"},
    "no-memory-limit": {"resources": {"memory": "0"}},
    "all-the-cpu": {"resources": {"cpu": "999999m"}},
    "all-the-memory": {"resources": {"memory": "9999999Gi"}},
}

# Beside spec: what is merged over a plain run of that name.
OBJECTS: dict[str, dict[str, Any]] = {
    "label-manager": {"metadata": {"labels": {"app.kubernetes.io/managed-by": "mlops-operator"}}},
    "label-selector": {
        "metadata": {
            "labels": {"app.kubernetes.io/name": "cats-dogs-api", "app.kubernetes.io/instance": "cats-dogs-api"}
        }
    },
    "label-queue": {"metadata": {"labels": {"kueue.x-k8s.io/pod-group-name": "x", "kueue.x-k8s.io/managed": "true"}}},
    "label-security": {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
    "annotation-image": {"metadata": {"annotations": {f"{OWN}/image": "evil", f"{OWN}/bucket": "secrets"}}},
    "annotation-version": {"metadata": {"annotations": {f"{OWN}/version": "..", f"{OWN}/raw-hash": "0"}}},
    "annotation-apply": {
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": '{"spec":{"template":{}}}'}}
    },
    "annotation-job": {"metadata": {"annotations": {"batch.kubernetes.io/job-tracking": "", "x/y": "z"}}},
    "annotation-apparmor": {
        "metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/train": "unconfined"}}
    },
    "commit-expansion": {"metadata": {"annotations": {f"{OWN}/git-commit": "$(POD_SETTING)"}}},
    "commit-newline": {"metadata": {"annotations": {f"{OWN}/git-commit": "a\nb: c\x1b[2J"}}},
    "commit-long": {"metadata": {"annotations": {f"{OWN}/git-commit": "c" * 9000}}},
    "commit-json": {"metadata": {"annotations": {f"{OWN}/git-commit": '","privileged":true,"x":"'}}},
    "finalizer": {"metadata": {"finalizers": ["example.com/never"]}},
    "status-finished": {"status": {"conditions": FINISHED, "model": {"uri": "gs://evil/m.pt", "sha256": HEX}}},
    "status-image": {"status": {"image": "evil.example/x", "bucket": "secrets", "version": "../../x"}},
    "status-job": {"status": {"jobUID": "00000000-0000-0000-0000-000000000000", "bucket": "secrets", "version": "x"}},
    "uid": {"metadata": {"uid": "00000000-0000-0000-0000-000000000000", "resourceVersion": ""}},
    "name-of-the-operator": {"metadata": {"name": "mlops-operator"}},
    "name-of-a-service-account": {"metadata": {"name": "trainer"}},
    "name-with-path": {"metadata": {"name": "../../kube-system/x"}},
    "generated-name": {"metadata": {"name": "", "generateName": "-x-"}},
}

NAMESPACED = "/namespaces/{namespace}"
RUNS = f"/apis/{OWN}/v1alpha1{NAMESPACED}/trainingruns"
OPERATOR = "/api/v1/namespaces/mlops-system/serviceaccounts/mlops-operator"
# Not through runs: method, path, body.
CALLS: dict[str, tuple[str, str, Any]] = {
    "a pod": ("POST", f"/api/v1{NAMESPACED}/pods", {"metadata": {"name": "x"}, **ROOT_POD}),
    "a Job": ("POST", f"/apis/batch/v1{NAMESPACED}/jobs", {"metadata": {"name": "x"}, "spec": {"template": ROOT_POD}}),
    "a ModelServer": (
        "POST",
        f"/apis/{OWN}/v1alpha1{NAMESPACED}/modelservers",
        {"metadata": {"name": "x"}, "spec": {}},
    ),
    "a run elsewhere": ("POST", f"/apis/{OWN}/v1alpha1/namespaces/kube-system/trainingruns", {"spec": {}}),
    "a run's status": (
        "PATCH",
        f"{RUNS}/plain/status",
        {"status": {"image": "x"}},
    ),
    "a run's spec": ("PATCH", f"{RUNS}/plain", {"spec": {"suspend": True}}),
    "a run's end": ("DELETE", f"{RUNS}/plain", None),
    "all runs": ("GET", RUNS, None),
    "secrets": ("GET", f"/api/v1{NAMESPACED}/secrets", None),
    "the operator's token": (
        "POST",
        f"{OPERATOR}/token",
        {"spec": {}},
    ),
    "more rights": (
        "POST",
        f"/apis/rbac.authorization.k8s.io/v1{NAMESPACED}/rolebindings",
        {
            "metadata": {"name": "x"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "User", "name": "mallory"}],
        },
    ),
}
