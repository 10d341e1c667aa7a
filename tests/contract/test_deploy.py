"""What deploy/ installs fits the operator: its settings can be read, its rights are what it uses, no more."""

from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from mlops_operator import serving
from mlops_operator.api.settings import Settings, settings_from_env
from mlops_operator.builders import candidate, deployment, job, judge
from mlops_operator.cluster import PLURALS

DEPLOY = Path(__file__).parents[2] / "deploy"
DIGEST = "localhost:5000/cats-dogs/any@sha256:" + "1" * 64


def documents(*parts: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(DEPLOY.joinpath(*parts).read_text()))


def everything() -> list[dict[str, Any]]:
    found = [document for file in sorted(DEPLOY.rglob("*.yaml")) for document in yaml.safe_load_all(file.read_text())]
    assert len(found) > 15
    return found


def environment(*parts: str) -> dict[str, str]:
    """The operator's variables of a patch, with an image's digest and words in place of ${NAME}."""
    [patch] = documents(*parts, "operator-settings.yaml")
    [container] = patch["spec"]["template"]["spec"]["containers"]
    words = {"BUCKET": "photos", "REGION": "europe-west1", "PROJECT": "team", "MLFLOW_PUBLIC_URL": ""}
    values = {"TRAINER_IMAGE": DIGEST, "SERVER_IMAGE": DIGEST, **words}
    return {item["name"]: Template(item["value"]).substitute(values) for item in container["env"]}


def test_the_settings_of_a_release_can_be_read() -> None:
    assert settings_from_env(environment("release")) == Settings(
        namespaces=("cats-dogs",),
        trainer_image=DIGEST,
        server_image=DIGEST,
        bucket="photos",
        allowed_registries=("europe-west1-docker.pkg.dev/team/cats-dogs/",),
    )
    assert environment("overlays", "gke") == {"MLFLOW_TRACKING_URI": "http://mlflow-service.mlops-system:5000"}


def test_the_local_settings_can_be_read() -> None:
    env = environment("overlays", "local")
    settings = settings_from_env(env)
    assert (settings.namespaces, settings.bucket) == (("cats-dogs",), "cats-dogs")
    assert settings.allows_image(DIGEST)
    assert settings.pod_env == {
        "STORAGE_EMULATOR_HOST": env["STORAGE_EMULATOR_HOST"],
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }


def test_the_role_names_every_kind_the_operator_uses_and_no_other() -> None:
    role = documents("workloads", "role.yaml")[0]
    granted = {(group, name) for rule in role["rules"] for group in rule["apiGroups"] for name in rule["resources"]}
    used = {(api.rpartition("/")[0], plural) for (api, _), plural in PLURALS.items()}
    group = "mlops.cats-dogs.io"
    assert granted == used | {(group, "trainingruns/status"), (group, "modelservers/status")}


def test_rights_are_of_namespaces_and_never_wild() -> None:
    wide = {document["metadata"]["name"] for document in everything() if "ClusterRole" in document["kind"]}
    assert wide <= {"cats-dogs-delivery"}  # CI, which compares the two kinds; nothing that runs in the cluster
    rules = [rule for document in everything() if document["kind"] == "Role" for rule in document["rules"]]
    assert rules
    for rule in rules:
        assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"])
        assert "secrets" not in rule["resources"]


def test_what_asks_for_no_password_lets_in_private_networks_alone() -> None:
    exposed = [document for document in everything() if document.get("spec", {}).get("type") == "LoadBalancer"]
    assert {service["metadata"]["name"] for service in exposed} == {"mlflow-service", "object-store"}
    for service in exposed:
        assert service["spec"]["loadBalancerSourceRanges"] == ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]


def test_both_namespaces_enforce_pod_security_restricted() -> None:
    namespaces = [document for document in everything() if document["kind"] == "Namespace"]
    assert {
        namespace["metadata"]["name"]: namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for namespace in namespaces
    } == {"mlops-system": "restricted", "cats-dogs": "restricted"}


def policies(*parts: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"] for each in documents(*parts, "network-policies.yaml")}


@pytest.mark.parametrize("folder", ["base", "workloads"])
def test_nothing_is_open_but_what_is_listed(folder: str) -> None:
    found = policies(folder)
    assert found.pop("default-deny") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    rules = [rule for spec in found.values() for way in ("ingress", "egress") for rule in spec.get(way, ())]
    assert all(rule.get("ports") for rule in rules)
    everywhere = [sorted(port["port"] for port in rule["ports"]) for rule in rules if not {"from", "to"} & set(rule)]
    assert everywhere == {"base": [[53, 53], [443, 6443]], "workloads": [[53, 53]]}[folder]


def test_policies_name_the_pods_and_ports_that_the_operator_makes() -> None:
    [egress] = [policies("workloads")["names-identity-bucket"]["podSelector"]["matchExpressions"]]
    assert egress[0]["values"] == [job.NAME, deployment.APP, candidate.APP, judge.APP]
    trainers, servers = policies("base")["mlops-operator"]["egress"][-2:]
    [trainer], [server] = trainers["to"], servers["to"]
    assert trainer["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": job.NAME}
    assert server["podSelector"]["matchExpressions"][0]["values"] == [deployment.APP, candidate.APP]
    assert [rule["ports"][0]["port"] for rule in (trainers, servers)] == [job.PROGRESS_PORT, serving.PORT]
    assert policies("workloads")["trainer"]["ingress"][0]["ports"][0]["port"] == job.PROGRESS_PORT
    [namespace] = documents("cats-dogs", "namespace.yaml")
    for peer in (trainer, server):
        assert peer["namespaceSelector"]["matchLabels"].items() <= namespace["metadata"]["labels"].items()


def test_images_are_placeholders_that_the_installer_fills_in() -> None:
    specs = [document.get("spec", {}) for document in everything() if document["kind"] in ("Deployment", "CronJob")]
    pods = [spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"] for spec in specs]
    containers = [container for pod in pods for container in (*pod["containers"], *pod.get("initContainers", ()))]
    images = {container["image"] for container in containers if "image" in container}
    assert images == {"${MLFLOW_IMAGE}", "${OBJECT_STORE_IMAGE}", "${OPERATOR_IMAGE}"}
