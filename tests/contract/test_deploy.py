"""What deploy/ installs fits the operator: its settings can be read, its rights are what it uses, no more."""

from pathlib import Path
from typing import Any

import yaml

from mlops_operator.api.settings import settings_from_env
from mlops_operator.cluster import PLURALS

DEPLOY = Path(__file__).parents[2] / "deploy"
DIGEST = "localhost:5000/cats-dogs/any@sha256:" + "1" * 64


def documents(*parts: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(DEPLOY.joinpath(*parts).read_text()))


def everything() -> list[dict[str, Any]]:
    found = [document for file in sorted(DEPLOY.rglob("*.yaml")) for document in yaml.safe_load_all(file.read_text())]
    assert len(found) > 15
    return found


def test_the_local_settings_can_be_read() -> None:
    [patch] = documents("overlays", "local", "operator-settings.yaml")
    [container] = patch["spec"]["template"]["spec"]["containers"]
    env = {item["name"]: item["value"].replace("${TRAINER_IMAGE}", DIGEST) for item in container["env"]}
    env["SERVER_IMAGE"] = env["SERVER_IMAGE"].replace("${SERVER_IMAGE}", DIGEST)
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
    assert [document["metadata"]["name"] for document in everything() if "ClusterRole" in document["kind"]] == []
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


def test_images_are_placeholders_that_the_installer_fills_in() -> None:
    specs = [document.get("spec", {}) for document in everything() if document["kind"] in ("Deployment", "CronJob")]
    pods = [spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"] for spec in specs]
    containers = [container for pod in pods for container in (*pod["containers"], *pod.get("initContainers", ()))]
    images = {container["image"] for container in containers if "image" in container}
    assert images == {"${MLFLOW_IMAGE}", "${OBJECT_STORE_IMAGE}", "${OPERATOR_IMAGE}"}
