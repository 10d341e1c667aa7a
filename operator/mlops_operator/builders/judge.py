"""The gate's Job: one pod that scores candidate and serving model and asks the candidate's pod.

It takes no client. What it is told is in the program's own words: see catsdogs.gate.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_operator.api.gate import JUDGES, Gate, Smoke
from mlops_operator.api.model_server import Model
from mlops_operator.builders.common import CONTAINER_SECURITY, POD_SECURITY, child_metadata, env_list, labels
from mlops_operator.builders.job import POD_FAILURE_POLICY

APP = "cats-dogs-judge"
DEADLINE_SECONDS = 600


@dataclass(frozen=True)
class JudgeInputs:
    """What the Job depends on; `serving` is None for the first model, `candidate_url` reaches the candidate's pod."""

    name: str
    namespace: str
    owner: Mapping[str, Any]
    image: str
    candidate: Model
    serving: Model | None
    candidate_url: str
    gate: Gate
    smoke: Smoke
    service_account: str
    pod_env: Mapping[str, str] = field(default_factory=dict)


def judge_name(server: str) -> str:
    """The name of the gate's Job."""
    return f"{server}-judge"


def judged_pair(candidate: Model, serving: Model | None, gate: Gate, smoke: Smoke) -> str:
    """What a verdict is about, as 16 hex digits: another model or another threshold needs another verdict."""
    told = [candidate.sha256, candidate.uri, serving.sha256 if serving else "", vars(gate), vars(smoke)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def report_prefix(namespace: str, name: str, candidate: Model) -> str:
    """Where the judge leaves report.html and verdict.json: beside the models, in their bucket."""
    bucket = candidate.uri.removeprefix("gs://").partition("/")[0]
    return f"gs://{bucket}/reports/{namespace}/{name}/{candidate.sha256[:12]}/"


def build_judge(inputs: JudgeInputs) -> dict[str, Any]:
    """The Job to apply, once: its pod template can't be changed."""
    pair = judged_pair(inputs.candidate, inputs.serving, inputs.gate, inputs.smoke)
    name, annotations = judge_name(inputs.name), {JUDGES: pair}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": child_metadata(APP, inputs.name, inputs.namespace, inputs.owner, name, annotations=annotations),
        "spec": {
            "backoffLimit": 2,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "podFailurePolicy": POD_FAILURE_POLICY,
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": labels(APP, inputs.name)}, "spec": _pod(inputs)},
        },
    }


def _pod(inputs: JudgeInputs) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "serviceAccountName": inputs.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": dict(POD_SECURITY),
        "containers": [
            {
                "name": "judge",
                "image": inputs.image,
                "command": ["python", "-m", "catsdogs.gate"],
                "env": env_list({**inputs.pod_env, **_told(inputs)}),
                "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
                "securityContext": dict(CONTAINER_SECURITY),
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}}],
    }


def _told(inputs: JudgeInputs) -> dict[str, str]:
    serving = inputs.serving
    return {
        "GATE_CANDIDATE_URI": inputs.candidate.uri,
        "GATE_CANDIDATE_SHA256": inputs.candidate.sha256,
        "GATE_SERVING_URI": serving.uri if serving else "",
        "GATE_SERVING_SHA256": serving.sha256 if serving else "",
        "GATE_CANDIDATE_URL": inputs.candidate_url if inputs.smoke.policy == "Requests" else "",
        "GATE_POLICY": inputs.gate.policy,
        "GATE_METRIC": inputs.gate.metric,
        "GATE_MINIMUM": inputs.gate.minimum,
        "GATE_MAX_REGRESSION": inputs.gate.max_regression,
        "GATE_INCONCLUSIVE": inputs.gate.inconclusive,
        "GATE_EVAL_SET": inputs.gate.eval_set,
        "GATE_SMOKE_MAX_MILLIS": str(inputs.smoke.max_millis),
        "GATE_REPORT": report_prefix(inputs.namespace, inputs.name, inputs.candidate),
        "HOME": "/tmp",  # noqa: S108
    }
