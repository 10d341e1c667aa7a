"""Whom the pods of an installation can reach and whom they can't, as its NetworkPolicies say."""

from functools import cache
from typing import Any

import pytest
import yaml

from mlops_operator.builders.network_policy import NetworkPolicyInputs, build_candidate_policy, build_server_policy
from tests.contract.policy_rules import Place, is_open
from tests.contract.test_deploy import documents

NAME, INSTANCE = "app.kubernetes.io/name", "app.kubernetes.io/instance"
WORK, SYSTEM = "cats-dogs", "mlops-system"


def pod(namespace: str, app: str, ip: str, **ports: int) -> Place:
    return Place(ip, namespace, {NAME: app, INSTANCE: "pets"}, ports)


PLACES = {
    # Its port is of an init container, which network plugins do not look into.
    "trainer": pod(WORK, "cats-dogs-trainer", "10.8.0.1"),
    "server": pod(WORK, "cats-dogs-api", "10.8.0.2", http=8080, metrics=8081),
    "candidate": pod(WORK, "cats-dogs-candidate", "10.8.0.3", http=8080, metrics=8081),
    "judge": pod(WORK, "cats-dogs-judge", "10.8.0.4"),
    "stranger": pod(WORK, "stranger", "10.8.0.5"),
    "operator": pod(SYSTEM, "mlops-operator", "10.8.0.6", health=8080, metrics=9090),
    "mlflow": pod(SYSTEM, "mlflow", "10.8.0.7", http=5000),
    "backup": pod(SYSTEM, "mlflow-backup", "10.8.0.8"),
    "garbage collection": pod(SYSTEM, "mlflow-gc", "10.8.0.9"),
    "object store": pod(SYSTEM, "object-store", "10.8.0.10", http=4443),
    "collector": pod("gmp-system", "collector", "10.8.0.11"),
    "Autopilot's collector": pod("gke-gmp-system", "collector", "10.8.0.12"),
    "other team": pod("default", "mlops-operator", "10.8.0.13"),
    "other trainer": pod("default", "cats-dogs-trainer", "10.8.0.14"),
    "cloud storage": Place("142.250.185.123"),
    "api server": Place("172.16.0.2"),
    "metadata": Place("169.254.169.254"),
    "metadata before Dataplane V2": Place("169.254.169.252"),
    "dns": Place("10.8.9.9"),
    "node-local dns": Place("169.254.20.10"),
    "vpc": Place("10.132.0.5"),
    "internet": Place("203.0.113.7"),
}

OPEN = """
trainer                      cloud storage:443  mlflow:5000  metadata:80  metadata before Dataplane V2:988  dns:53
server                       cloud storage:443  metadata:80  metadata before Dataplane V2:988  node-local dns:53
candidate                    cloud storage:443  metadata:80
judge                        cloud storage:443  metadata:80  candidate:8080
operator                     cloud storage:443  api server:443  api server:6443  metadata:80  dns:53  mlflow:5000
operator                     trainer:8080  server:8081  candidate:8081
mlflow                       cloud storage:443  metadata:80  dns:53
backup                       cloud storage:443  metadata:80
garbage collection           mlflow:5000
internet                     server:8080
other team                   server:8080  server:8081
collector                    operator:9090  trainer:8080  server:8081
Autopilot's collector        operator:9090  trainer:8080  server:8081
"""

CLOSED = """
trainer                      api server:443  server:8080  operator:9090  mlflow:5432  metadata:443  vpc:443  internet:80
server                       mlflow:5000  api server:443  vpc:443  trainer:8080  candidate:8080  metadata:8080
candidate                    mlflow:5000  server:8080
judge                        server:8080  mlflow:5000  trainer:8080
stranger                     cloud storage:443  mlflow:5000  metadata:80  dns:53  server:8080  trainer:8080
operator                     trainer:22  server:8080  candidate:8080  stranger:8080  mlflow:22  internet:80
mlflow                       api server:443  trainer:8080  operator:9090  vpc:443
backup                       mlflow:5000
other team                   mlflow:5000  trainer:8080  operator:9090  candidate:8080  object store:4443
other trainer                mlflow:5000  operator:8080
internet                     trainer:8080  mlflow:5000  operator:9090  candidate:8080
collector                    mlflow:5000  operator:8080
"""


def connections(table: str) -> list[tuple[str, str]]:
    lines = [[word.strip() for word in line.split("  ") if word.strip()] for line in table.strip().splitlines()]
    return [(source, target) for source, *targets in lines for target in targets]


@cache
def namespaces() -> dict[str, dict[str, str]]:
    found = [*documents("base", "namespace.yaml"), *documents("cats-dogs", "namespace.yaml")]
    return {each["metadata"]["name"]: each["metadata"]["labels"] for each in found}


@cache
def policies(*overlays: str) -> list[dict[str, Any]]:
    """Those of the installation, and those that the operator makes for a ModelServer."""
    found = [*documents("base", "network-policies.yaml"), *documents("workloads", "network-policies.yaml")]
    for overlay in overlays:
        found += documents("overlays", overlay, "network-policies.yaml")
    for each in found:
        each["metadata"].setdefault("namespace", WORK)
    inputs = NetworkPolicyInputs("pets", WORK, {})
    return [*found, build_server_policy(inputs), build_candidate_policy(inputs)]


def tried(source: str, target: str, *overlays: str) -> bool:
    name, _, port = target.rpartition(":")
    return is_open(PLACES[source], PLACES[name], int(port), policies(*overlays), namespaces())


@pytest.mark.parametrize(("source", "target"), connections(OPEN))
def test_open(source: str, target: str) -> None:
    assert tried(source, target)


@pytest.mark.parametrize(("source", "target"), connections(CLOSED))
def test_closed(source: str, target: str) -> None:
    assert not tried(source, target)


@pytest.mark.parametrize("source", ["trainer", "server", "candidate", "judge", "operator", "mlflow", "backup"])
def test_the_local_overlay_opens_the_object_store_in_place_of_the_cloud(source: str) -> None:
    assert tried(source, "object store:4443", "local")
    assert not tried(source, "object store:4443")


def test_the_local_overlay_opens_no_more() -> None:
    local = {pair: tried(*pair, "local") for pair in [*connections(OPEN), *connections(CLOSED)]}
    assert local == {pair: tried(*pair) for pair in local}
    assert not tried("stranger", "object store:4443", "local")


def test_a_pod_that_calls_itself_a_trainer_elsewhere_is_none() -> None:
    """The operator asks only namespaces that an administrator has marked."""
    marked = namespaces() | {"default": {"mlops.cats-dogs.io/workloads": "true"}}
    other, operator = PLACES["other trainer"], PLACES["operator"]
    assert not is_open(operator, other, 8080, policies(), namespaces())
    assert is_open(operator, other, 8080, policies(), marked)


def test_without_the_default_the_rest_would_open_everything_else() -> None:
    rest = [each for each in policies() if each["metadata"]["name"] != "default-deny"]
    assert is_open(PLACES["stranger"], PLACES["mlflow"], 22, rest, namespaces()) is False  # mlflow has rules of its own
    assert is_open(PLACES["stranger"], PLACES["internet"], 80, rest, namespaces())


def test_what_is_read_here_is_what_kustomize_installs() -> None:
    for folder in ("base", "workloads"):
        text = yaml.safe_dump(documents(folder, "kustomization.yaml"))
        assert "network-policies.yaml" in text
