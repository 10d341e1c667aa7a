"""A ModelServer in a world: three models that were trained before, the lives of its pods, and how it stands.

What happens to it is a workload's matter; the gate's program is played, its verdict follows from the digest.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from catsdogs.key import RawPhoto, model_prefix, raw_hash, version
from mlops_operator.builders.candidate import APP as CANDIDATE
from mlops_operator.builders.deployment import APP
from mlops_operator.builders.judge import APP as JUDGE
from tests.integration.world import RAW, condition, ended
from tests.reliability.operator.api import Object, Seen
from tests.reliability.operator.kubelet import Kubelet, Life
from tests.unit.operator.bucket_server import Buckets, checksum

LABELS = {"app": "pets"}
MODELS = {"run-a": "a" * 64, "run-b": "b" * 64, "run-c": "c" * 64}
"""The digest of each run's model: the second is let in after the first, the third is worse."""
WORSE = MODELS["run-c"]
ADDRESS = "192.0.2.1"  # of the block for documentation: nobody answers there
CHILDREN = ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitoring")


def body(name: str, labels: Mapping[str, str]) -> Object:
    """A ModelServer that follows the runs with these labels, and is watched for two seconds after a roll."""
    kind = {"apiVersion": "mlops.cats-dogs.io/v1alpha1", "kind": "ModelServer", "metadata": {"name": name}}
    source = {"selector": {"matchLabels": dict(labels)}}
    return {**kind, "spec": {"modelFrom": source, "watch": {"windowSeconds": 2}}}


def stands(server: Object) -> tuple[str, str, str]:
    """The run that was decided on, the digest that serves, and the reason of Settled=True ("" before)."""
    status, (settled, reason) = server.get("status", {}), condition(server, "Settled")
    sha256 = status.get("model", {}).get("sha256", "")
    return status.get("decidedFor", ""), sha256, reason if settled == "True" else ""


def seed_of(run: str) -> int:
    """A seed for each run, so that each has a version of its own."""
    return list(MODELS).index(run)


def publish(buckets: Buckets, bucket: str, image: str) -> None:
    """Put the models there as if they had been trained before: their runs end as Reused."""
    objects = buckets.objects[bucket]
    photos = [
        RawPhoto(name.removeprefix(RAW), len(content), checksum(content))
        for name, content in objects.items()
        if name.startswith(RAW)
    ]
    for run, sha256 in MODELS.items():
        key = version(raw_hash(photos), {"seed": seed_of(run)}, image)
        content = {"sha256": sha256, "metrics": {"testAccuracy": 0.91, "testCount": 30}, "lineage": {}}
        objects[f"{model_prefix(key)}model.json"] = json.dumps(content).encode()


async def answers(kubelet: Kubelet, pod: Object) -> None:
    """The pod gets ready."""
    conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady", "PodScheduled")]
    await kubelet.say(pod, phase="Running", conditions=conditions, podIP=ADDRESS, podIPs=[{"ip": ADDRESS}])


async def judges(kubelet: Kubelet, pod: Object) -> None:
    """The gate's word, as its program leaves it."""
    sha256 = told(pod)["GATE_CANDIDATE_SHA256"]
    verdict = "WorseThanServing" if sha256 == WORSE else "Accepted"
    said = {"ok": True, "verdict": verdict, "message": "as was told", "candidate": sha256, "candidateValue": 0.9}
    container = {"name": "judge", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    await kubelet.say(
        pod, phase="Succeeded", containerStatuses=[{**container, "state": ended(0, json.dumps(said), "Completed")}]
    )


LIVES: Mapping[str, Life] = {APP: answers, CANDIDATE: answers, JUDGE: judges}


def told(pod: Object) -> dict[str, str]:
    """The environment of the pod's container."""
    return {item["name"]: item.get("value", "") for item in pod["spec"]["containers"][0].get("env", ())}


def ever(seen: Seen) -> dict[str, Any]:
    """What there ever was: the digests that users could reach, and how often each candidate was judged."""
    pods = [(pod["metadata"]["labels"]["app.kubernetes.io/name"], told(pod)) for pod in seen.pods.values()]
    judged = Counter(env["GATE_CANDIDATE_SHA256"] for app, env in pods if app == JUDGE)
    return {"served": sorted({env["MODEL_SHA256"] for app, env in pods if app == APP}), "judged": dict(judged)}


def ledger(objects: Mapping[str, bytes], namespace: str, name: str) -> dict[str, Any]:
    """What is written down of a server's decisions, by number."""
    prefix = f"ledger/{namespace}/{name}/"
    return {
        where.removeprefix(prefix).removesuffix(".json"): json.loads(content)
        for where, content in objects.items()
        if where.startswith(prefix)
    }
