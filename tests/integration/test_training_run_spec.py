"""The API server itself refuses a wrong TrainingRun, and its message names the field.

A dry run on the server passes through schema, defaults and rules, and stores nothing.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from devcluster.cluster import Cluster
from tests.integration.world import ROOT, Kubectl, run_of, until

IMAGE = "localhost:5000/cats-dogs/trainer@sha256:" + "1" * 64
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"image": "localhost:5000/trainer:latest"}, "spec.image", "by digest"),
    ({"image": "localhost:5000/trainer@sha256:12"}, "spec.image", "by digest"),
    ({"image": "../x@sha256:" + "1" * 64}, "spec.image", "by digest"),
    ({"bucket": "gs://photos"}, "spec.bucket", "without gs://"),
    ({"bucket": "UPPER"}, "spec.bucket", "lower-case"),
    ({"bucket": "ab"}, "spec.bucket", "3 to 63"),
    ({"bucket": 5}, "spec.bucket", "string"),
    ({"parameters": {"architecture": "ResNet"}}, "spec.parameters.architecture", '"SimpleCNN"'),
    ({"parameters": {"epochs": 0}}, "spec.parameters.epochs", "greater than or equal to 1"),
    ({"parameters": {"epochs": 501}}, "spec.parameters.epochs", "less than or equal to 500"),
    ({"parameters": {"epochs": "20"}}, "spec.parameters.epochs", "integer"),
    ({"parameters": {"batchSize": 0}}, "spec.parameters.batchSize", "greater than or equal to 1"),
    ({"parameters": {"learningRate": "fast"}}, "spec.parameters.learningRate", "should match"),
    ({"parameters": {"learningRate": "0"}}, "spec.parameters.learningRate", "should match"),
    ({"parameters": {"learningRate": 0.002}}, "spec.parameters.learningRate", "string"),
    ({"parameters": {"imageSize": 16}}, "spec.parameters.imageSize", "greater than or equal to 32"),
    ({"parameters": {"seed": -1}}, "spec.parameters.seed", "greater than or equal to 0"),
    ({"parameters": {"seed": 2**31}}, "spec.parameters.seed", "less than or equal to"),
    ({"parameters": {"maxTrainSeconds": 0}}, "spec.parameters.maxTrainSeconds", "greater than or equal to 1"),
    ({"parameters": {"epoch": 3}}, "spec.parameters.epoch", "unknown field"),
    ({"resources": {"cpu": "0"}}, "spec.resources.cpu", "whole cores"),
    ({"resources": {"cpu": "much"}}, "spec.resources.cpu", "whole cores"),
    ({"resources": {"memory": "4G"}}, "spec.resources.memory", "Mi or Gi"),
    ({"resources": {"memory": "-4Gi"}}, "spec.resources.memory", "Mi or Gi"),
    ({"gpu": {"type": "NVIDIA L4"}}, "spec.gpu.type", "such as nvidia-l4"),
    ({"gpu": {"count": 0}}, "spec.gpu.count", "greater than or equal to 1"),
    ({"gpu": {"count": 9}}, "spec.gpu.count", "less than or equal to 8"),
    ({"gpu": "nvidia-l4"}, "spec.gpu", "object"),
    ({"spot": "true"}, "spec.spot", "boolean"),
    ({"nodePool": "Pool_1"}, "spec.nodePool", "node pool's name"),
    ({"priorityClassName": "High"}, "spec.priorityClassName", "PriorityClass's name"),
    ({"priorityClassName": "system-node-critical"}, "spec.priorityClassName", "must not begin with system-"),
    ({"forceRerun": 1}, "spec.forceRerun", "boolean"),
    ({"maxPreemptions": -1}, "spec.maxPreemptions", "greater than or equal to 0"),
    ({"maxPreemptions": 101}, "spec.maxPreemptions", "less than or equal to 100"),
    ({"tolerations": []}, "spec.tolerations", "unknown field"),
    ({"nodeSelector": {}}, "spec.nodeSelector", "unknown field"),
    ({"suspend": "yes"}, "spec.suspend", "boolean"),
    ({"activeDeadlineSeconds": 59}, "spec.activeDeadlineSeconds", "greater than or equal to 60"),
    ({"pendingDeadlineSeconds": 29}, "spec.pendingDeadlineSeconds", "greater than or equal to 30"),
    ({"retries": 11}, "spec.retries", "less than or equal to 10"),
    ({"ttlSecondsAfterFinished": -1}, "spec.ttlSecondsAfterFinished", "greater than or equal to 0"),
    ({"serviceAccountName": "root"}, "spec.serviceAccountName", "unknown field"),
    ({"template": {}}, "spec.template", "unknown field"),
    ({"volumes": []}, "spec.volumes", "unknown field"),
    ({"env": []}, "spec.env", "unknown field"),
]
DEFAULTS: dict[str, Any] = {
    "parameters": {
        "architecture": "SimpleCNN",
        "epochs": 150,
        "batchSize": 64,
        "learningRate": "0.002",
        "imageSize": 96,
        "seed": 1,
        "maxTrainSeconds": 600,
    },
    "resources": {"cpu": "1", "memory": "4Gi"},
    "spot": False,
    "suspend": False,
    "forceRerun": False,
    "activeDeadlineSeconds": 7200,
    "pendingDeadlineSeconds": 600,
    "retries": 2,
    "maxPreemptions": 10,
    "ttlSecondsAfterFinished": 86400,
}
GOOD: list[dict[str, Any]] = [
    {},
    {"image": IMAGE, "bucket": "photos.example_1-a"},
    {"parameters": {"epochs": 500, "learningRate": "9.5", "seed": 0, "imageSize": 256}},
    {"parameters": {"learningRate": "0.00001"}, "resources": {"cpu": "500m", "memory": "512Mi"}},
    {"suspend": True, "retries": 0, "ttlSecondsAfterFinished": 0, "maxPreemptions": 0},
    {"gpu": {}, "forceRerun": True},
    {"gpu": {"type": "nvidia-l4", "count": 8}, "spot": True, "nodePool": "pool-1", "priorityClassName": "high.1"},
]


@pytest.fixture(scope="module")
def kubectl(control_plane: Cluster) -> Kubectl:
    """The CRDs in a control plane, and a run whose spec the tests try to change."""
    ask = Kubectl(control_plane, "default")
    ask("apply", "--server-side", "-f", str(ROOT / "crds"))
    ask("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    ask("apply", "-f", "-", given=run_of("fixed"))
    return ask


@pytest.mark.parametrize(("spec", "field", "words"), BAD)
def test_a_wrong_spec_is_refused_and_its_field_named(
    kubectl: Kubectl, spec: dict[str, Any], field: str, words: str
) -> None:
    done = kubectl.tried("create", "--dry-run=server", "-f", "-", given=run_of("wrong", **spec))
    assert done.returncode != 0
    assert field in done.stderr
    assert words in done.stderr


@pytest.mark.parametrize("spec", GOOD)
def test_a_right_spec_is_admitted(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    kubectl("create", "--dry-run=server", "-f", "-", given=run_of("right", **spec))


@pytest.mark.parametrize("name", ["with.dot", "x" * 64])
def test_a_name_that_no_job_can_have_is_refused(kubectl: Kubectl, name: str) -> None:
    done = kubectl.tried("create", "--dry-run=server", "-f", "-", given=run_of(name))
    assert "metadata.name must be at most 63 characters and hold no dot" in done.stderr


def test_defaults_are_filled_in(kubectl: Kubectl) -> None:
    assert kubectl.get("trun", "fixed")["spec"] == DEFAULTS


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"image": IMAGE}, "spec.image"),
        ({"bucket": "photos"}, "spec.bucket"),
        ({"parameters": {"epochs": 3}}, "spec.parameters"),
        ({"resources": {"memory": "8Gi"}}, "spec.resources"),
        ({"activeDeadlineSeconds": 60}, "spec.activeDeadlineSeconds"),
        ({"pendingDeadlineSeconds": 60}, "spec.pendingDeadlineSeconds"),
        ({"retries": 5}, "spec.retries"),
        ({"gpu": {"count": 1}}, "spec.gpu"),
        ({"spot": True}, "spec.spot"),
        ({"nodePool": "pool-1"}, "spec.nodePool"),
        ({"priorityClassName": "high"}, "spec.priorityClassName"),
        ({"forceRerun": True}, "spec.forceRerun"),
        ({"maxPreemptions": 5}, "spec.maxPreemptions"),
        ({"ttlSecondsAfterFinished": 5}, "spec.ttlSecondsAfterFinished"),
    ],
)
def test_only_suspend_may_change(kubectl: Kubectl, change: dict[str, Any], field: str) -> None:
    def patched(spec: dict[str, Any]) -> str:
        body = run_of("fixed", **{**DEFAULTS, **spec})
        done = kubectl.tried("replace", "--dry-run=server", "-f", "-", given=body)
        return done.stderr

    parameters = {**DEFAULTS["parameters"], **change.get("parameters", {})}
    resources = {**DEFAULTS["resources"], **change.get("resources", {})}
    refusal = patched({**change, "parameters": parameters, "resources": resources})
    assert f"{field}: Forbidden: cannot change after creation" in refusal
    assert refusal.count("Forbidden") == 1
    assert patched({"suspend": True}) == ""


def test_short_name_category_and_columns(kubectl: Kubectl) -> None:
    header = kubectl("get", "trun", "fixed").splitlines()[0].split()
    assert header == ["NAME", "STAGE", "REASON", "EPOCH", "VAL-ACC", "ETA", "VERSION", "AGE"]
    wide = kubectl("get", "trun", "fixed", "-o", "wide").splitlines()[0].split()
    assert wide == [*header, "MODEL", "IMAGE", "RETRIES", "PREEMPTIONS", "MESSAGE"]
    assert "trainingrun.mlops.cats-dogs.io/fixed" in kubectl("get", "mlops", "-o", "name")


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("spec.suspend=false", True),
        ("spec.suspend=true", False),
        ("spec.spot=false", True),
        ("status.stage=Train", False),
        ("status.version=abc", False),
        ("status.bucket=photos", False),
        ("status.failure.reason=OOMKilled", False),
    ],
)
def test_runs_are_found_by_field(kubectl: Kubectl, selector: str, found: bool) -> None:
    assert (
        "trainingrun.mlops.cats-dogs.io/fixed" in kubectl("get", "trun", "-o", "name", "--field-selector", selector)
    ) is found


def test_the_rule_on_images_can_be_told_otherwise(kubectl: Kubectl) -> None:
    change = f"--patch-file={ROOT / 'deploy/image-tags.json'}"
    crd = ("crd", "trainingruns.mlops.cats-dogs.io")
    shown = kubectl("patch", *crd, "--type=json", change, "--dry-run=server", "-o", "json")

    def rules(text: str) -> list[dict[str, Any]]:
        [version] = json.loads(text)["spec"]["versions"]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        found: list[dict[str, Any]] = spec["image"]["x-kubernetes-validations"]
        return found

    [before], [after] = rules(kubectl("get", *crd, "-o", "json")), rules(shown)
    assert ("by digest, as" in before["message"], "by digest or tag" in after["message"]) == (True, True)


QUEUE = {"kueue.x-k8s.io/queue-name": "team"}


def queued(labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    body = run_of("in-queue", **spec)
    return {**body, "metadata": {**body["metadata"], "labels": labels}}


def test_a_run_in_a_queue_can_not_be_suspended_by_hand(kubectl: Kubectl) -> None:
    def refusal(body: dict[str, Any], verb: str = "create") -> str:
        return kubectl.tried(verb, "--dry-run=server", "-f", "-", given=body).stderr

    # A policy is in force a moment after it was made.
    until("the policy holds", lambda: "spec.suspend: must not be true" in refusal(queued(QUEUE, suspend=True)))
    assert refusal(queued({}, suspend=True)) == ""
    assert refusal(queued(QUEUE)) == ""
    kubectl("create", "-f", "-", given=queued(QUEUE))
    other = {"kueue.x-k8s.io/queue-name": "other"}
    assert "queue-name]: cannot change after creation" in refusal(queued(other, **DEFAULTS), "replace")
    assert "queue-name]: cannot change after creation" in refusal(queued({}, **DEFAULTS), "replace")
    assert refusal(queued({**QUEUE, "sweep": "a"}, **DEFAULTS), "replace") == ""


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_admitted(kubectl: Kubectl, path: Path) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cats-dogs"}}
    kubectl("apply", "-f", "-", given=namespace)
    done = kubectl.tried("--namespace=cats-dogs", "create", "--dry-run=server", "-f", str(path))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
