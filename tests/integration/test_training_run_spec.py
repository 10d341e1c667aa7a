"""The API server itself refuses a wrong TrainingRun, and its message names the field.

A dry run on the server passes through schema, defaults and rules, and stores nothing.
"""

from typing import Any

import pytest

from devcluster.cluster import Cluster
from tests.integration.world import ROOT, Kubectl, run_of

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
    "suspend": False,
    "activeDeadlineSeconds": 7200,
    "pendingDeadlineSeconds": 600,
    "retries": 2,
    "ttlSecondsAfterFinished": 86400,
}
GOOD: list[dict[str, Any]] = [
    {},
    {"image": IMAGE, "bucket": "photos.example_1-a"},
    {"parameters": {"epochs": 500, "learningRate": "9.5", "seed": 0, "imageSize": 256}},
    {"parameters": {"learningRate": "0.00001"}, "resources": {"cpu": "500m", "memory": "512Mi"}},
    {"suspend": True, "retries": 0, "ttlSecondsAfterFinished": 0},
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
    assert wide == [*header, "MODEL", "IMAGE"]
    assert "trainingrun.mlops.cats-dogs.io/fixed" in kubectl("get", "mlops", "-o", "name")
