"""Puts the system on a cluster: resource definitions, operator, MLflow, object store; and waits until they run.

It must not describe any of them: that is what crds/ and deploy/ are for; it only fills in the image references.
"""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any, TypeVar

import yaml

from demo.errors import DemoError
from demo.kubectl import Kubectl, Resource
from devcluster import cluster
from devcluster.existing import REGISTRY
from devcluster.progress import Reporter, Step

ROOT = Path(__file__).resolve().parent.parent
OVERLAY = ROOT / "deploy" / "overlays" / "local"
SYSTEM = "mlops-system"
IMAGES = ("operator", "trainer", "server", "mlflow", "object-store")
DEPLOYMENTS = ("object-store", "mlops-operator", "mlflow")
READY_SECONDS = 600.0
Answer = TypeVar("Answer")
DIGEST = re.compile(r"^[a-z0-9.:/_-]+@sha256:[0-9a-f]{64}$")


def variable(image: str) -> str:
    """The name under which deploy/ asks for an image: object-store is OBJECT_STORE_IMAGE."""
    return f"{image.upper().replace('-', '_')}_IMAGE"


def references(context: str | None, environment: Mapping[str, str], report: Reporter) -> dict[str, str]:
    """The image references that the cluster pulls: built and pushed where they are not yet, or given.

    An existing cluster has no registry of ours: then they go to REGISTRY, or OPERATOR_IMAGE and the like give them.
    """
    if context and not environment.get(REGISTRY):
        return given_images(environment)
    with report.step("Images") as step:
        built = cluster.build(IMAGES, report, context)
        step.done(f"{len(built)} in the cluster's registry")
    return built


def given_images(environment: Mapping[str, str]) -> dict[str, str]:
    """The references that an existing cluster pulls, from OPERATOR_IMAGE and the like.

    Raises DemoError that names those that are missing or not pinned by digest.
    """
    wrong = [variable(name) for name in IMAGES if not DIGEST.match(environment.get(variable(name), ""))]
    if wrong:
        raise DemoError(
            f"an existing cluster needs images it can pull: set {REGISTRY} to HOST/PATH to build and push them there, "
            f"or {', '.join(wrong)} to HOST/PATH/NAME@sha256:..."
        )
    return {name: environment[variable(name)] for name in IMAGES}


def fill(rendered: str, images: Mapping[str, str], mlflow: str = "") -> list[dict[str, Any]]:
    """The resources of a rendered overlay with references in place of ${OPERATOR_IMAGE} and the like.

    `mlflow` is where a browser finds MLflow, in place of ${MLFLOW_PUBLIC_URL}. ALLOWED_REGISTRIES of the operator
    becomes the registries of these images. Raises DemoError naming a placeholder that nobody fills.
    """
    values = {variable(name): image for name, image in images.items()} | {"MLFLOW_PUBLIC_URL": mlflow}
    try:
        text = Template(rendered).substitute(values)
    except KeyError as error:
        raise DemoError(f"deploy/overlays/local asks for ${{{error.args[0]}}}, which nobody gives") from None
    resources: list[dict[str, Any]] = [resource for resource in yaml.safe_load_all(text) if resource]
    registries = sorted({image.split("/")[0] + "/" for image in images.values()})
    for resource in resources:
        if resource["kind"] == "Deployment" and resource["metadata"]["name"] == "mlops-operator":
            for container in resource["spec"]["template"]["spec"]["containers"]:
                for entry in container.get("env", ()):
                    if entry["name"] == "ALLOWED_REGISTRIES":
                        entry["value"] = ",".join(registries)
    return resources


def install(kubectl: Kubectl, images: Mapping[str, str], report: Reporter) -> None:
    """Apply crds/ and the local overlay, and wait until all three Deployments are ready."""
    with report.step("Operator, MLflow, object store") as step:
        step.update(None, "applying")
        kubectl.apply(*(yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))))
        _established(kubectl)
        rendered = kubectl.run("kustomize", str(OVERLAY))
        for kind in ("Namespace", "Service"):  # MLflow's Service first: its address is a setting of the operator
            kubectl.apply(*(each for each in fill(rendered, images) if each["kind"] == kind))
        resources = fill(rendered, images, address(kubectl, "mlflow-service", 5000))
        kubectl.apply(*(each for each in resources if each["kind"] not in ("Namespace", "Service")))
        for number, name in enumerate(DEPLOYMENTS):
            _roll_out(kubectl, name, step, number / len(DEPLOYMENTS))


def address(kubectl: Kubectl, service: str, port: int, namespace: str = SYSTEM) -> str:
    """The address of a LoadBalancer Service, as http://ADDRESS:PORT, waiting until it has one."""

    def found() -> str | None:
        resource = kubectl.get("service", service, namespace) or {}
        for ingress in resource.get("status", {}).get("loadBalancer", {}).get("ingress", ()):
            return str(ingress.get("ip") or ingress.get("hostname"))
        return None

    host = until(found, 60, f"the Service {namespace}/{service} got no load balancer address in 60 s")
    return f"http://{host}:{port}"


def until(look: Callable[[], Answer | None], seconds: float, otherwise: str, pause: float = 0.5) -> Answer:
    """The first answer of `look` that is not None; raises DemoError with `otherwise` after `seconds`."""
    end = time.monotonic() + seconds
    while (answer := look()) is None:
        if time.monotonic() > end:
            raise DemoError(otherwise)
        time.sleep(pause)
    return answer


def _established(kubectl: Kubectl) -> None:
    kubectl.run("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")


def _roll_out(kubectl: Kubectl, name: str, step: Step, fraction: float) -> None:
    step.update(fraction, f"waiting for {name}")

    def ready() -> bool | None:
        found = kubectl.get("deployment", name, SYSTEM) or {}
        if rolled_out(found):
            return True
        step.update(fraction, f"waiting for {name}: {_trouble(kubectl, name) or 'starting'}")
        return None

    try:
        until(ready, READY_SECONDS, "", pause=1.0)
    except DemoError:
        why = _trouble(kubectl, name) or "its pod says nothing"
        raise DemoError(
            f"{name} is not ready after {READY_SECONDS:.0f} s: {why}; "
            f"see `kubectl -n {SYSTEM} describe pods` and `kubectl -n {SYSTEM} logs deploy/{name}`"
        ) from None


def rolled_out(deployment: Resource) -> bool:
    """Whether all replicas are of the present template and ready, as `kubectl rollout status` sees it."""
    status, wanted = deployment.get("status", {}), deployment.get("spec", {}).get("replicas", 1)
    seen: bool = status.get("observedGeneration", 0) >= deployment.get("metadata", {}).get("generation", 1)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
    return seen and counts == [wanted] * 3


def _trouble(kubectl: Kubectl, name: str) -> str:
    """Why the pod of a Deployment does not run, in its own words, or an empty string."""
    label = f"--selector=app.kubernetes.io/name={name}"
    path = "-o=jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}"
    return kubectl.run("get", "pods", f"--namespace={SYSTEM}", label, path).strip()
