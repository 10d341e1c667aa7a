"""Who runs each command of the manuals: a test of its own, the tests beside this file, or nobody, and then why.

A rule names a page ("*" is any) and the words that a command begins with; of several that fit the longest holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.contract.documented import Command


@dataclass(frozen=True)
class By:
    """Another test runs it; `words` stand in that file."""

    file: str
    words: str


@dataclass(frozen=True)
class Nobody:
    """It can't be run here."""

    reason: str


class Here:
    """tests/contract/test_documented_commands.py runs it as it stands, in the checkout."""


class DryRun:
    """The same, as `make --dry-run`: the target is there and its recipe can be read."""


class Cluster:
    """tests/e2e/test_documented_commands.py runs it on the session's cluster."""


Rule = By | Nobody | Here | DryRun | Cluster
HERE, DRY_RUN, CLUSTER = Here(), DryRun(), Cluster()
VERSIONS, TUTORIAL = "tests/workloads/pod/test_versions.py", "tests/workloads/test_tutorial.py"
SERVER = By("tests/workloads/server/test_documentation.py", "docs/server.md")
SESSION = "tests/e2e/conftest.py"
INSTALL = By("tests/integration/test_install.py", "helm")
NO_CLOUD = Nobody("there is no Google Cloud project where the tests run")
NO_GITHUB = Nobody("there is no repository on GitHub where the tests run")
NO_DOCKER = Nobody("the bare node has no docker")
FRAGMENT = Nobody("it is named, not given: words are missing")

RULES: Mapping[str, Mapping[str, Rule]] = {
    "*": {
        "make": DRY_RUN,
        "gcloud": NO_CLOUD,
        "terraform": Nobody("no registry of Terraform's providers is reachable where the tests run"),
        "gh": NO_GITHUB,
        "git": NO_GITHUB,
        "docker": NO_DOCKER,
        "buildah login": Nobody("no registry here asks for a login"),
        "kind": NO_DOCKER,
        "catsdogs versions": By(VERSIONS, '["versions", "--bucket"'),
        "catsdogs restore": By(VERSIONS, '"restore"'),
        "catsdogs compare": By(VERSIONS, '"compare"'),
        "catsdogs gc": By(VERSIONS, '"gc"'),
        "catsdogs pin": By(VERSIONS, '"pin"'),
        "catsdogs run": By(TUTORIAL, "catsdogs run"),
        "catsdogs evalset": By("tests/workloads/gate/test_evalset.py", '"evalset"'),
        "dvc repro": By(TUTORIAL, "dvc repro"),
        "kubectl": CLUSTER,
        "kubectl describe httproute": Nobody("the local cluster has no Gateway API"),
        "kubectl rollout restart": Nobody("it restarts what other tests use"),
        "kubectl rollout undo": Nobody("it puts an older one in the place of what other tests use"),
        "kubectl logs -n mlops-system deploy/mlops-operator --previous": Nobody("no operator has died here before"),
    },
    "README.md": {
        "curl -F file=@cat.jpg http://10.199.0.102/predict": CLUSTER,
    },
    "CONTRIBUTING.md": {
        ".venv/bin/python -m pytest": Nobody("it is this run"),
        "go get": Nobody("it changes what is pinned"),
    },
    "examples/README.md": {
        "kubectl describe -n cats-dogs httproute/cats-dogs-routed": Nobody(
            "the local cluster has no Gateway API; tests/integration/test_training_run_spec.py has the example admitted"
        ),
    },
    "docs/delivery.md": {
        "DEPLOYER_SERVICE_ACCOUNT=… python3 scripts/delivery/render.py": By(
            "tests/integration/test_delivery.py", "render.py"
        ),
    },
    "docs/devcluster.md": {
        "python -m devcluster": FRAGMENT,
        ". .venv/bin/activate": Nobody("it made the environment that this runs in"),
        "python -m devcluster up": By(SESSION, "cluster.up("),
        "python -m devcluster up --control-plane": By("tests/integration/conftest.py", "isolated_control_plane"),
        "python -m devcluster down": By(SESSION, "cluster.down()"),
        "python -m devcluster status": CLUSTER,
        "python -m devcluster kubeconfig": CLUSTER,
        "python -m devcluster build": By(SESSION, "deploy.references"),
        "python -m devcluster load": By("tests/unit/devcluster/test_images.py", "load"),
        "python -m devcluster --context NAME": By("tests/unit/devcluster/test_cluster.py", "context"),
    },
    "docs/gate.md": {
        "python -m catsdogs.gate": By("tests/workloads/gate/test_program.py", "catsdogs.gate"),
    },
    "docs/gke.md": {
        "export": NO_CLOUD,
        "cp deploy/gcp/terraform.tfvars.example": NO_CLOUD,
        "kubectl kustomize deploy/overlays/gke": INSTALL,
        "kubectl create secret generic mlflow-database": NO_CLOUD,
        "curl -F file=@Cat/1.jpg": NO_CLOUD,
        "for name in gcp_project": NO_GITHUB,
    },
    "docs/install.md": {
        "helm": INSTALL,
        "kubectl kustomize deploy/overlays/gke": INSTALL,
        "curl -LO https://HOST/install.yaml": Nobody("there is no release yet"),
        "scripts/release": INSTALL,
    },
    "docs/mlflow.md": {
        "kubectl -n mlops-system": By("tests/e2e/test_mlflow.py", "docs/mlflow.md"),
        "kubectl -n mlops-system create secret": CLUSTER,
        "kubectl -n mlops-system create secret generic mlflow-iap": NO_CLOUD,
        "kubectl -n mlops-system port-forward": Nobody("it does not end"),
    },
    "docs/monitoring.md": {
        "kubectl create secret generic alertmanager": Nobody("the local cluster has no namespace gmp-public"),
        ".venv/bin/python -m demo monitoring": By("tests/e2e/test_monitoring.py", "monitoring"),
        "python -m scripts.dashboards": By("tests/contract/test_dashboards.py", "dashboards"),
        "promtool test rules": By("tests/contract/test_alerts.py", "promtool"),
    },
    "docs/server.md": {
        "curl": SERVER,
        "echo": SERVER,
        "MODEL_URI=gs://BUCKET/models/cats-dogs/VERSION/model.pt": By(
            "tests/workloads/server/test_process.py", "catsdogs.server"
        ),
    },
    "docs/trainingrun.md": {
        "python -m scripts.resource_docs": By("tests/contract/test_resource_docs.py", "resource_docs.page"),
        "kubectl get workloads": Nobody("the local cluster has no Kueue"),
        "kubectl describe pod": FRAGMENT,
        "kubectl delete pod": FRAGMENT,
        "kubectl get trun --field-selector": FRAGMENT,
    },
    "docs/uninstall.md": {
        "helm uninstall": INSTALL,
    },
    "docs/upgrade.md": {
        "helm upgrade": INSTALL,
        "kubectl kustomize deploy/overlays/gke": INSTALL,
    },
    "docs/tutorial.md": {
        "scripts/setup": Nobody("it made the environment that this runs in"),
        ". .venv/bin/activate": Nobody("it made the environment that this runs in"),
        "python -c": By(TUTORIAL, "docs/tutorial.md"),
        "sha256sum": By(TUTORIAL, "docs/tutorial.md"),
        "catsdogs predict": By(TUTORIAL, "docs/tutorial.md"),
        "CATSDOGS_RAW=$PWD/photos dvc repro": By(TUTORIAL, "docs/tutorial.md"),
        "export CATSDOGS_BUCKET=cats-dogs": By("tests/workloads/commands/test_cli.py", "CATSDOGS_BUCKET"),
        "export STORAGE_EMULATOR_HOST=http://ADDRESS:4443": By(
            "tests/workloads/pod/conftest.py", "STORAGE_EMULATOR_HOST"
        ),
        "gcloud auth application-default login": NO_CLOUD,
        "kubectl get msrv -A -o json | catsdogs gc": By(VERSIONS, "--served"),
        "dvc status": HERE,
        "dvc dag": HERE,
    },
}


def rule_of(command: Command) -> tuple[str, str, Rule] | None:
    """The page, the words and the rule that hold for a command; None where none does."""
    fitting = [
        (len(words), page != "*", page, words, rule)
        for page, words, rule in _flat()
        if page in ("*", command.page) and (command.text + " ").startswith(words + " ")
    ]
    if not fitting:
        return None
    _, _, page, words, rule = max(fitting, key=lambda each: each[:2])
    return page, words, rule


def _flat() -> Iterator[tuple[str, str, Rule]]:
    for page, rules in RULES.items():
        for words, rule in rules.items():
            yield page, words, rule
