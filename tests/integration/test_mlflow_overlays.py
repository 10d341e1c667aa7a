"""deploy/mlflow in every way it can be put together: the API server takes it, and what is exposed asks who it is."""

from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from devcluster.cluster import Cluster
from tests.integration.mlflow_overlay import rendered
from tests.integration.world import ROOT, Kubectl

BASE = {
    "ConfigMap/mlflow-auth", "ConfigMap/mlflow-settings", "ConfigMap/mlflow-sqlite", "CronJob/mlflow-backup",
    "CronJob/mlflow-gc", "CronJob/mlflow-restore", "Deployment/mlflow", "PersistentVolumeClaim/mlflow",
    "Service/mlflow-service", "ServiceAccount/mlflow",
}  # fmt: skip
SQLITE = {"CronJob/mlflow-backup", "CronJob/mlflow-restore", "PersistentVolumeClaim/mlflow"}
EXPOSED = {
    "Gateway/mlflow", "HTTPRoute/mlflow", "HealthCheckPolicy/mlflow", "NetworkPolicy/mlflow-public",
    "Service/mlflow-public",
}  # fmt: skip
POSTGRESQL = BASE - SQLITE | {"NetworkPolicy/mlflow-to-postgresql", "PodDisruptionBudget/mlflow"}
WAYS = {
    (): BASE,
    ("postgresql",): POSTGRESQL,
    ("exposed-iap",): BASE | EXPOSED | {"GCPBackendPolicy/mlflow"},
    ("exposed-password",): BASE | EXPOSED,
    ("postgresql", "exposed-iap"): POSTGRESQL | EXPOSED | {"GCPBackendPolicy/mlflow"},
    ("exposed-password", "postgresql"): POSTGRESQL | EXPOSED,
}


@pytest.fixture(scope="module")
def kubectl(control_plane: Cluster) -> Kubectl:
    """The namespace, which admits only restricted pods, and the kinds of GKE's Gateway."""
    ask = Kubectl(control_plane, "mlops-system")
    ask("apply", "--server-side", "-f", str(ROOT / "deploy/base/namespace.yaml"))
    ask("apply", "--server-side", "-f", str(ROOT / "tests/integration/gke_gateway.yaml"))
    ask("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return ask


def name_of(resource: dict[str, Any]) -> str:
    """Kind and name, without the hash that kustomize gives a ConfigMap."""
    name = resource["metadata"]["name"]
    return f"{resource['kind']}/{name.rpartition('-')[0] if resource['kind'] == 'ConfigMap' else name}"


def pod_of(resource: dict[str, Any]) -> dict[str, Any] | None:
    spec = resource.get("spec", {})
    template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
    if template is None:
        return None
    metadata = {"name": f"pod-of-{resource['metadata']['name']}", "namespace": resource["metadata"]["namespace"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], **metadata},
        "spec": template["spec"],
    }


@pytest.mark.parametrize("components", WAYS, ids=lambda names: "+".join(names) or "sqlite")
def test_the_api_server_takes_all_of_it_and_its_pods(
    kubectl: Kubectl, components: tuple[str, ...], tmp_path: Path
) -> None:
    resources = rendered(kubectl, components, tmp_path)
    assert {name_of(resource) for resource in resources} == WAYS[components]
    accounts = [resource for resource in resources if resource["kind"] == "ServiceAccount"]
    kubectl("apply", "--server-side", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": accounts})
    pods = [pod for resource in resources if (pod := pod_of(resource))]
    assert len(pods) >= 2
    given = {"apiVersion": "v1", "kind": "List", "items": [*resources, *pods]}
    said = kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", given=given)
    assert len(said.splitlines()) == len(resources) + len(pods)


def listeners(resources: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The arguments of the server's containers by the names of their ports."""
    [deployment] = [resource for resource in resources if resource["kind"] == "Deployment"]
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return {port["name"]: container["args"] for container in containers for port in container["ports"]}


@pytest.mark.parametrize("components", WAYS, ids=lambda names: "+".join(names) or "sqlite")
def test_what_is_exposed_asks_who_it_is(kubectl: Kubectl, components: tuple[str, ...], tmp_path: Path) -> None:
    resources = rendered(kubectl, components, tmp_path)
    services = {
        resource["metadata"]["name"]: resource["spec"] for resource in resources if resource["kind"] == "Service"
    }
    assert {name: spec.get("type", "ClusterIP") for name, spec in services.items()} == dict.fromkeys(
        services, "ClusterIP"
    )
    routes = [resource for resource in resources if resource["kind"] in ("HTTPRoute", "Ingress")]
    rules = chain.from_iterable(route["spec"]["rules"] for route in routes)
    reached = {backend["name"] for rule in rules for backend in rule["backendRefs"]}
    assert reached == ({"mlflow-public"} if components not in ((), ("postgresql",)) else set())
    proxied = {
        resource["spec"]["targetRef"]["name"]
        for resource in resources
        if resource["kind"] == "GCPBackendPolicy" and resource["spec"]["default"]["iap"]["enabled"]
    }
    for name in reached - proxied:
        [port] = services[name]["ports"]
        assert "--app-name=basic-auth" in listeners(resources)[port["targetPort"]]


@pytest.mark.parametrize("components", WAYS, ids=lambda names: "+".join(names) or "sqlite")
def test_every_name_and_key_that_is_asked_for_is_there(
    kubectl: Kubectl, components: tuple[str, ...], tmp_path: Path
) -> None:
    """ConfigMaps by their hashed names, volumes by those mounted; the Secrets are those that the page tells to make."""
    resources = rendered(kubectl, components, tmp_path)
    made = {resource["metadata"]["name"] for resource in resources if resource["kind"] == "ConfigMap"}
    claims = {resource["metadata"]["name"] for resource in resources if resource["kind"] == "PersistentVolumeClaim"}
    page = (ROOT / "docs" / "mlflow.md").read_text()
    for pod in filter(None, map(pod_of, resources)):
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)
            for source in container["envFrom"]:
                if "configMapRef" in source:
                    assert source["configMapRef"]["name"] in made
                else:
                    assert f"create secret generic {source['secretRef']['name']} " in page
        assert {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume} <= made
        wanted = {v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if v.get("persistentVolumeClaim")}
        assert wanted <= claims
