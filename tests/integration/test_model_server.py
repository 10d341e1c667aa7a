"""The real operator, under its own Role, keeps a ModelServer on a real API server with its controllers.

There is no node: the test says that a pod is ready, as a kubelet would. A TrainingRun is finished before the
operator starts, so that no bucket is needed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import programs
from devcluster.cluster import Cluster
from devcluster.control_plane import free_ports
from devcluster.progress import Reporter

ROOT = Path(__file__).parents[2]
NAMESPACE = "cats-dogs"
A = "a" * 64
IMAGE = "localhost:5000/cats-dogs/server@sha256:" + "1" * 64
CHILDREN = "deployment,service,poddisruptionbudget,horizontalpodautoscaler,podmonitoring"
MODEL = {
    "uri": "gs://cats-dogs/models/cats-dogs/aaaa/model.pt",
    "sha256": A,
    "version": "aaaa",
    "testAccuracy": "0.9100",
}
PATIENCE = 60.0


class Kubectl:
    """kubectl on the test's API server."""

    def __init__(self, cluster: Cluster) -> None:
        binary = programs.ensure(("kubectl",), Reporter())["kubectl"]
        self._command = [str(binary), f"--kubeconfig={cluster.kubeconfig}", f"--context={cluster.context}"]

    def __call__(self, *arguments: str, given: Any = None, check: bool = True) -> str:
        text = None if given is None else given if isinstance(given, str) else json.dumps(given)
        done = subprocess.run([*self._command, *arguments], input=text, capture_output=True, text=True, check=False)
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout + ("" if check else done.stderr)

    def get(self, what: str) -> dict[str, Any]:
        """An object, or all of a kind as a list, of the workload namespace; {} when there is none."""
        shown = self("get", "-n", NAMESPACE, *what.split(), "-o", "json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(shown or "{}")
        return found

    def items(self, kinds: str) -> list[dict[str, Any]]:
        """All objects of some kinds, of the workload namespace."""
        found: list[dict[str, Any]] = self.get(kinds).get("items", [])
        return found

    def patch(self, what: str, change: Mapping[str, Any], *more: str) -> None:
        self("patch", "-n", NAMESPACE, *what.split(), "--type=merge", "-p", json.dumps(change), *more)


def until(what: str, holds: Callable[[], Any]) -> Any:
    """Ask again until `holds` gives something true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.2)
    pytest.fail(f"not within {PATIENCE:.0f} s: {what}")


@pytest.fixture(scope="module")
def kubectl(control_plane: Cluster) -> Kubectl:
    """The CRDs, the workload namespace with the operator's Role, and one TrainingRun that is finished."""
    ask = Kubectl(control_plane)
    ask("apply", "--server-side", "-f", str(ROOT / "crds"))
    ask("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    rendered = ask("kustomize", str(ROOT / "deploy/cats-dogs"))
    system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mlops-system"}}
    ask("apply", "--server-side", "-f", "-", given=system)  # another module may have made it
    ask("apply", "--server-side", "-f", str(ROOT / "deploy/base/service-account.yaml"))
    ask("apply", "--server-side", "-f", "-", given=rendered)
    ask("create", "-f", "-", given=(ROOT / "examples/01-trainingrun.yaml").read_text())
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": "Completed",
            "message": "done",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind in ("Succeeded", "Finished")
    ]
    status = {"observedGeneration": 1, "conditions": conditions, "model": MODEL}
    ask.patch("trainingrun cats-dogs-demo", {"status": status}, "--subresource=status")
    return ask


@pytest.fixture(scope="module")
def operator(kubectl: Kubectl, control_plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The operator's log, while it runs with the rights of its own account."""
    folder = tmp_path_factory.mktemp("operator")
    token = kubectl("create", "token", "mlops-operator", "-n", "mlops-system").strip()
    admin = yaml.safe_load(control_plane.kubeconfig.read_text())
    admin["users"] = [{"name": user["name"], "user": {"token": token}} for user in admin["users"]]
    admin["current-context"] = control_plane.context
    kubeconfig, log = folder / "kubeconfig", folder / "log"
    kubeconfig.write_text(yaml.safe_dump(admin))
    health, metrics = free_ports(2)
    env = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT / 'workloads'}",
        "KUBECONFIG": str(kubeconfig),
        "NAMESPACES": NAMESPACE,
        "SERVER_IMAGE": IMAGE,
        "BUCKET": "cats-dogs",
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",
        "HEALTH_PORT": str(health),
        "METRICS_PORT": str(metrics),
    }
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-m", "mlops_operator"], env=env, stdout=out, stderr=out)
    try:
        yield log
        assert process.poll() is None, f"the operator has ended: {log.read_text()[-2000:]}"
    finally:
        process.terminate()
        process.wait(timeout=30)
        assert "forbidden" not in log.read_text().lower()


def make_pods_ready(kubectl: Kubectl) -> None:
    """What kubelets would report once the servers answer."""
    for pod in kubectl.items("pods"):
        conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady", "PodScheduled")]
        change = {
            "status": {
                "phase": "Running",
                "conditions": conditions,
                "podIP": "10.0.0.7",
                "podIPs": [{"ip": "10.0.0.7"}],
            }
        }
        kubectl.patch(f"pod {pod['metadata']['name']}", change, "--subresource=status")


def answer_for_the_judge(kubectl: Kubectl, verdict: str) -> None:
    """Play the kubelets of candidate and judge: the one is ready, the other ends with this verdict."""
    until("a candidate's pod", lambda: of_app(kubectl, "cats-dogs-candidate"))
    assert not kubectl.get("deployment cats-dogs-api")
    make_pods_ready(kubectl)
    [pod] = until("a judge's pod", lambda: of_app(kubectl, "cats-dogs-judge"))
    told = {item["name"]: item.get("value", "") for item in pod["spec"]["containers"][0]["env"]}
    assert (told["GATE_CANDIDATE_URL"], told["GATE_SERVING_SHA256"]) == ("http://10.0.0.7:8080", "")
    said = {"ok": True, "verdict": verdict, "message": "as good as told", "candidate": told["GATE_CANDIDATE_SHA256"]}
    ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(said), "finishedAt": "2026-01-01T00:00:00Z"}
    container = {"name": "judge", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Succeeded", "containerStatuses": [{**container, "state": {"terminated": ended}}]}
    kubectl.patch(f"pod {pod['metadata']['name']}", {"status": status}, "--subresource=status")


def of_app(kubectl: Kubectl, app: str) -> list[dict[str, Any]]:
    return [pod for pod in kubectl.items("pods") if pod["metadata"]["labels"]["app.kubernetes.io/name"] == app]


def replicas(kubectl: Kubectl) -> int | None:
    count = kubectl.get("deployment cats-dogs-api").get("spec", {}).get("replicas")
    return None if count is None else int(count)


def owners_of_replicas(kubectl: Kubectl) -> set[str]:
    shown = kubectl("get", "deployment", "cats-dogs-api", "-n", NAMESPACE, "-o", "json", "--show-managed-fields")
    entries = json.loads(shown)["metadata"]["managedFields"]
    return {entry["manager"] for entry in entries if "f:replicas" in entry["fieldsV1"].get("f:spec", {})}


def condition(kubectl: Kubectl, kind: str) -> tuple[str, str]:
    found = kubectl.get("modelserver cats-dogs-api").get("status", {}).get("conditions", [])
    return next(((c["status"], c["reason"]) for c in found if c["type"] == kind), ("", ""))


@pytest.mark.usefixtures("operator")
def test_life_of_a_model_server(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", str(ROOT / "examples/02-modelserver.yaml"))
    # There is no node.
    until(
        "the candidate's trouble is told",
        lambda: condition(kubectl, "CandidateAccepted") == ("Unknown", "Unschedulable"),
    )
    answer_for_the_judge(kubectl, "Accepted")
    until("the word is told", lambda: condition(kubectl, "CandidateAccepted") == ("True", "Accepted"))
    until("children exist", lambda: len(kubectl.items(CHILDREN)) == 4)
    until("the pod's trouble is told", lambda: condition(kubectl, "Ready") == ("False", "Unschedulable"))
    owners = [owner for job in kubectl.items("jobs") for owner in job["metadata"].get("ownerReferences", ())]
    assert "ModelServer" not in {owner["kind"] for owner in owners}

    until("a pod exists", lambda: of_app(kubectl, "cats-dogs-api"))
    make_pods_ready(kubectl)
    kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s", "msrv/cats-dogs-api")
    kubectl("wait", "-n", NAMESPACE, "--for=condition=Settled", "--timeout=60s", "msrv/cats-dogs-api")
    status = kubectl.get("modelserver cats-dogs-api")["status"]
    assert status["model"] == {**MODEL, "trainingRun": "cats-dogs-demo"}
    assert status["decidedFor"] == "cats-dogs-demo"
    assert [(entry["number"], entry["outcome"], entry["reason"]) for entry in status["history"]] == [
        (1, "Served", "Accepted")
    ]

    scaled_by_hand(kubectl)
    autoscaler_takes_over_and_gives_back(kubectl)
    stops_and_is_deleted(kubectl)


def scaled_by_hand(kubectl: Kubectl) -> None:
    kubectl("scale", "-n", NAMESPACE, "msrv/cats-dogs-api", "--replicas=3")
    until("three wanted", lambda: replicas(kubectl) == 3)
    # Repaired: the number of the Deployment is the spec's.
    kubectl("scale", "-n", NAMESPACE, "deployment/cats-dogs-api", "--replicas=1")
    until("three again", lambda: replicas(kubectl) == 3 and owners_of_replicas(kubectl) == {"mlops-operator"})


def autoscaler_takes_over_and_gives_back(kubectl: Kubectl) -> None:
    seen = {replicas(kubectl)}

    def watched(holds: Callable[[], bool]) -> bool:
        seen.add(replicas(kubectl))
        return holds()

    bounds = {"minReplicas": 2, "maxReplicas": 5}
    kubectl.patch("modelserver cats-dogs-api", {"spec": {"replicas": None, "autoscaling": bounds}})
    until("an autoscaler", lambda: watched(lambda: bool(kubectl.get("hpa cats-dogs-api"))))
    # Another owner writes the number, as the autoscaler does: from then on the operator leaves it out.
    kubectl("scale", "-n", NAMESPACE, "deployment/cats-dogs-api", "--replicas=4")
    until("handed over", lambda: watched(lambda: "mlops-operator" not in owners_of_replicas(kubectl)))
    generation = kubectl.get("deployment cats-dogs-api")["metadata"]["generation"]
    kubectl.patch("modelserver cats-dogs-api", {"spec": {"resources": {"cpu": "600m"}}})
    until(
        "the change is applied",
        lambda: watched(lambda: kubectl.get("deployment cats-dogs-api")["metadata"]["generation"] > generation),
    )
    assert replicas(kubectl) == 4

    kubectl.patch("modelserver cats-dogs-api", {"spec": {"replicas": 3, "autoscaling": None}})
    until("no autoscaler", lambda: watched(lambda: not kubectl.get("hpa cats-dogs-api")))
    until("the spec's number", lambda: watched(lambda: replicas(kubectl) == 3))
    assert "mlops-operator" in owners_of_replicas(kubectl)
    assert seen <= {3, 4}


def stops_and_is_deleted(kubectl: Kubectl) -> None:
    bounds = {"minReplicas": 2, "maxReplicas": 5}
    kubectl.patch("modelserver cats-dogs-api", {"spec": {"replicas": None, "autoscaling": bounds}})
    until("an autoscaler", lambda: kubectl.get("hpa cats-dogs-api"))
    kubectl.patch("modelserver cats-dogs-api", {"spec": {"stop": True}})
    until("stopped", lambda: replicas(kubectl) == 0 and not kubectl.get("hpa cats-dogs-api"))
    until("said so", lambda: condition(kubectl, "Ready") == ("False", "Stopped"))

    kubectl("delete", "-n", NAMESPACE, "msrv", "cats-dogs-api")
    until("nothing is left", lambda: not kubectl.items(CHILDREN + ",pods"))


GOOD = {"modelFrom": {"trainingRun": "demo"}}


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"modelFrom": {}}, "spec.modelFrom", "exactly one of trainingRun, selector, or uri with sha256"),
        ({"modelFrom": {"trainingRun": "demo", "uri": "gs://abc/m.pt", "sha256": A}}, "spec.modelFrom", "exactly one"),
        ({"modelFrom": {"uri": "gs://abc/m.pt"}}, "spec.modelFrom", "uri and sha256 belong together"),
        ({"modelFrom": {"uri": "http://x/m.pt", "sha256": A}}, "spec.modelFrom.uri", "gs://BUCKET/PATH.pt"),
        ({"modelFrom": {"uri": "gs://abc/m.pt", "sha256": "AB"}}, "spec.modelFrom.sha256", "64 lower-case hex digits"),
        ({"modelFrom": {"trainingRun": "Demo"}}, "spec.modelFrom.trainingRun", "must be the name of a TrainingRun"),
        ({**GOOD, "image": "localhost:5000/x:latest"}, "spec.image", "pinned by digest"),
        ({**GOOD, "replicas": 2, "autoscaling": {"maxReplicas": 3}}, "spec.replicas", "exclude each other"),
        ({**GOOD, "replicas": 51}, "spec.replicas", "less than or equal to 50"),
        (
            {**GOOD, "autoscaling": {"minReplicas": 4, "maxReplicas": 3}},
            "spec.autoscaling.maxReplicas",
            "not be smaller than minReplicas",
        ),
        ({**GOOD, "resources": {"cpu": "0.0"}}, "spec.resources.cpu", "positive number of cores"),
        ({**GOOD, "resources": {"memory": "3G"}}, "spec.resources.memory", "whole number of Mi or Gi"),
        ({**GOOD, "expose": {"type": "NodePort"}}, "spec.expose.type", '"InternalLoadBalancer", "ClusterIP"'),
        ({**GOOD, "expose": {"address": "my-address"}}, "spec.expose.address", "must be an IP address"),
        (
            {**GOOD, "expose": {"type": "ClusterIP", "address": "10.0.0.1"}},
            "spec.expose.address",
            "for a load balancer",
        ),
        ({**GOOD, "expose": {"route": {"gateway": "x"}}}, "spec.expose.route.hostname", "Required value"),
        ({**GOOD, "gate": {"minimum": "1.5"}}, "spec.gate.minimum", "decimal from 0 to 1 in quotes"),
        ({**GOOD, "gate": {"policy": "Off"}}, "spec.gate.policy", '"Compare", "Minimum", "None"'),
        ({**GOOD, "gate": {"evalSet": "newest"}}, "spec.gate.evalSet", "64 lower-case hex digits"),
        ({**GOOD, "watch": {"maxErrorRate": "2%"}}, "spec.watch.maxErrorRate", "decimal from 0 to 1 in quotes"),
        ({**GOOD, "rollbackTo": "0"}, "spec.rollbackTo", "a number of status.history, or 6 or more digits"),
        ({**GOOD, "historyLimit": 1}, "spec.historyLimit", "greater than or equal to 2"),
        ({**GOOD, "serviceAccountName": "root"}, "spec.serviceAccountName", "unknown field"),
    ],
)
def test_a_wrong_spec_is_refused_and_the_field_named(
    kubectl: Kubectl, spec: dict[str, Any], field: str, words: str
) -> None:
    metadata = {"name": "wrong", "namespace": NAMESPACE}
    body = {"apiVersion": "mlops.cats-dogs.io/v1alpha1", "kind": "ModelServer", "metadata": metadata, "spec": spec}
    answer = kubectl("create", "--dry-run=server", "-f", "-", given=body, check=False)
    assert field in answer
    assert words in answer
    right = kubectl("create", "--dry-run=server", "-f", "-", given={**body, "spec": GOOD})
    assert right.startswith("modelserver.mlops.cats-dogs.io/wrong created")


def test_who_lets_a_model_in_past_the_gate_signs_with_the_own_name(kubectl: Kubectl) -> None:
    metadata = {"name": "signed", "namespace": NAMESPACE}
    body = {"apiVersion": "mlops.cats-dogs.io/v1alpha1", "kind": "ModelServer", "metadata": metadata, "spec": GOOD}
    kubectl("apply", "--server-side", "-f", str(ROOT / "deploy/base/promotion-policy.yaml"))

    def create(**annotations: str) -> str:
        marked = {f"mlops.cats-dogs.io/{name.replace('_', '-')}": value for name, value in annotations.items()}
        asked = {**body, "metadata": {**metadata, "annotations": marked}}
        return kubectl("create", "--dry-run=server", "-f", "-", given=asked, check=False)

    me = kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    until("the policy holds", lambda: "must be your own name" in create(promote="demo", promoted_by="root"))
    assert f"your own name, {me}," in create(promote="demo", promoted_by="ann", promote_reason="x")
    assert "must say why" in create(promote="demo", promoted_by=me)
    assert "created" in create(promote="demo", promoted_by=me, promote_reason="the set is stale")
    assert "created" in create(retry="aaaaaa")
