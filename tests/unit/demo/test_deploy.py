"""Image references are filled into what deploy/ renders, and a Deployment is waited for until it is rolled out."""

import pytest

from demo.deploy import IMAGES, fill, given_images, references, rolled_out, until, variable
from demo.errors import DemoError
from devcluster import cluster
from devcluster.progress import Reporter

DIGEST = "sha256:" + "a" * 64
REFERENCES = {name: f"localhost:5000/cats-dogs/{name}@{DIGEST}" for name in IMAGES}

RENDERED = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: mlops-operator
  namespace: mlops-system
spec:
  template:
    spec:
      containers:
        - name: operator
          image: ${OPERATOR_IMAGE}
          env:
            - name: TRAINER_IMAGE
              value: ${TRAINER_IMAGE}
            - name: ALLOWED_REGISTRIES
              value: localhost:5000/
            - name: MLFLOW_PUBLIC_URL
              value: ${MLFLOW_PUBLIC_URL}
---
apiVersion: v1
kind: Namespace
metadata:
  name: mlops-system
"""


def rendered_with(references: dict[str, str], registries: str, mlflow: str | None = None) -> list[dict[str, object]]:
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "mlops-operator", "namespace": "mlops-system"},
            "spec": {
                "template": {
                    "spec": {
                        "containers": [
                            {
                                "name": "operator",
                                "image": references["operator"],
                                "env": [
                                    {"name": "TRAINER_IMAGE", "value": references["trainer"]},
                                    {"name": "ALLOWED_REGISTRIES", "value": registries},
                                    {"name": "MLFLOW_PUBLIC_URL", "value": mlflow},
                                ],
                            }
                        ]
                    }
                }
            },
        },
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mlops-system"}},
    ]


def test_references_and_registries_are_filled_in() -> None:
    assert fill(RENDERED, REFERENCES) == rendered_with(REFERENCES, "localhost:5000/")


def test_the_operator_is_told_where_a_browser_finds_mlflow() -> None:
    address = "http://10.199.0.100:5000"
    assert fill(RENDERED, REFERENCES, address) == rendered_with(REFERENCES, "localhost:5000/", address)


def test_the_operator_allows_the_registries_that_its_images_come_from() -> None:
    references = {**REFERENCES, "trainer": f"europe-docker.pkg.dev/team/trainer@{DIGEST}"}

    assert fill(RENDERED, references) == rendered_with(references, "europe-docker.pkg.dev/,localhost:5000/")


def test_a_placeholder_that_nobody_fills_is_named() -> None:
    with pytest.raises(DemoError, match=r"asks for \$\{JUDGE_IMAGE\}, which nobody gives"):
        fill("image: ${JUDGE_IMAGE}", REFERENCES)


def test_the_variables_of_the_images() -> None:
    assert [variable(name) for name in IMAGES] == [
        "OPERATOR_IMAGE",
        "TRAINER_IMAGE",
        "SERVER_IMAGE",
        "MLFLOW_IMAGE",
        "OBJECT_STORE_IMAGE",
    ]


def test_an_existing_cluster_takes_the_images_that_the_environment_names() -> None:
    environment = {variable(name): image for name, image in REFERENCES.items()}

    assert given_images({**environment, "HOME": "/root"}) == REFERENCES


@pytest.mark.parametrize(
    ("context", "environment", "built"),
    [(None, {}, True), ("mine", {"REGISTRY": "example.com/team"}, True), ("mine", {}, False)],
)
def test_images_are_built_unless_an_existing_cluster_is_given_them(monkeypatch, context, environment, built) -> None:
    monkeypatch.setattr(cluster, "build", lambda names, report, where: {"built for": where, **dict.fromkeys(names)})
    given = {variable(name): image for name, image in REFERENCES.items()}
    wanted = {"built for": context, **dict.fromkeys(IMAGES)} if built else REFERENCES

    assert references(context, {**given, **environment}, Reporter()) == wanted


def test_an_image_by_tag_is_refused_and_named() -> None:
    environment = {variable(name): image for name, image in REFERENCES.items()}
    environment["TRAINER_IMAGE"] = "example.com/trainer:latest"
    del environment["MLFLOW_IMAGE"]

    with pytest.raises(
        DemoError, match=r"set REGISTRY to HOST/PATH .* or TRAINER_IMAGE, MLFLOW_IMAGE to HOST/PATH/NAME@sha256"
    ):
        given_images(environment)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}, True),
        ({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}, False),
        ({"observedGeneration": 2, "replicas": 1, "readyReplicas": 1}, False),
        ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "readyReplicas": 1}, False),
        ({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}, False),
        ({}, False),
    ],
)
def test_a_deployment_is_rolled_out_when_all_pods_are_new_and_ready(status: dict[str, int], expected: bool) -> None:
    deployment = {"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}

    assert rolled_out(deployment) is expected


def test_waiting_ends_with_the_answer_or_with_the_line_that_says_what_was_waited_for() -> None:
    answers = iter([None, None, "10.0.0.1"])

    assert until(lambda: next(answers), 5, "no address", pause=0) == "10.0.0.1"
    with pytest.raises(DemoError, match="no address"):
        until(lambda: None, 0, "no address", pause=0)
