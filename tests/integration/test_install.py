"""What deploy/ and the release install, on a real API server: each overlay is admitted without a warning, the chart is
the kustomize rendering, an upgrade keeps resources, and a removal leaves nothing stuck."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import programs
from devcluster.cluster import Cluster, isolated_control_plane
from devcluster.progress import Reporter
from mlops_operator.api.training_run import parse
from mlops_operator.builders.candidate import build_candidate
from mlops_operator.builders.deployment import DeploymentInputs, build_deployment
from mlops_operator.builders.job import Key, training_job
from mlops_operator.builders.judge import build_judge
from scripts import chart
from tests.integration.world import ROOT, Kubectl, until
from tests.unit.operator.test_model_server_trial_builders import INPUTS, judge
from tests.unit.operator.training_run_world import RAW, SETTINGS, VERSION, run

IMAGES = {name: f"registry.example/team/{name}@sha256:{'1' * 64}" for name in chart.IMAGES}
OVERLAYS = ("overlays/local", "overlays/gke", "overlays/gke-gpu", "release")
VALUES = {
    **{f"{name.upper()}_IMAGE": image for name, image in IMAGES.items()},
    "MLFLOW_IMAGE": IMAGES["operator"],
    "OBJECT_STORE_IMAGE": IMAGES["operator"],
    "MLFLOW_PUBLIC_URL": "",
    "BUCKET": "photos",
    "PROJECT": "team",
    "REGION": "europe-west1",
}
KUBE_VERSION = "--kube-version=1.36.3"  # without a cluster, a helm built from its module takes v1.20 for granted
Resource = dict[str, Any]


@pytest.fixture(scope="module")
def ask() -> Iterator[Kubectl]:
    """kubectl on a control plane of its own: kinds, policies and namespaces are the cluster's."""
    with isolated_control_plane(Reporter()) as running:
        yield Kubectl(running, "")  # what is applied names its own namespace


@pytest.fixture(scope="module")
def kubectl_program() -> str:
    """kubectl's path."""
    return str(programs.ensure(("kubectl",), Reporter())["kubectl"])


def overlay(kubectl_program: str, name: str) -> list[Resource]:
    """The filled rendering of a folder of deploy/."""
    command = [kubectl_program, "kustomize", str(ROOT / "deploy" / name)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for variable, value in VALUES.items():
        text = text.replace(f"${{{variable}}}", value)
    assert "${" not in text, f"{name} has a placeholder that nobody fills"
    return [each for each in yaml.safe_load_all(text) if each]


def listed(objects: list[Resource]) -> Resource:
    return {"apiVersion": "v1", "kind": "List", "items": objects}


DRY_RUN = ("apply", "--server-side", "--dry-run=server", "--force-conflicts", "--warnings-as-errors", "-f", "-")


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_is_admitted_without_a_warning(ask: Kubectl, kubectl_program: str, name: str) -> None:
    objects = overlay(kubectl_program, name)
    namespaces = [each for each in objects if each["kind"] == "Namespace"]
    assert {each["metadata"]["name"] for each in namespaces} == {"mlops-system", "cats-dogs"}
    ask("apply", "--server-side", "--force-conflicts", "-f", "-", given=listed(namespaces))
    done = ask.tried(*DRY_RUN, given=listed(objects))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(objects)


def test_a_pod_that_is_not_restricted_would_fail_that_test(ask: Kubectl, kubectl_program: str) -> None:
    objects = overlay(kubectl_program, "release")
    (operator,) = [each for each in objects if each["kind"] == "Deployment"]
    del operator["spec"]["template"]["spec"]["securityContext"]
    done = ask.tried(*DRY_RUN, given=listed([operator]))
    assert done.returncode != 0
    assert 'would violate PodSecurity "restricted:latest"' in done.stderr


def test_only_pods_on_gpus_differ_between_the_two_gke_overlays(kubectl_program: str) -> None:
    plain, gpu = (overlay(kubectl_program, f"overlays/{name}") for name in ("gke", "gke-gpu"))
    changed = [(one, other) for one, other in zip(plain, gpu, strict=True) if one != other]
    (quotas,) = changed
    assert [quota["kind"] for quota in quotas] == ["ResourceQuota"] * 2
    assert [quota["spec"]["hard"]["requests.nvidia.com/gpu"] for quota in quotas] == ["0", "4"]


class Helm:
    """helm on the control plane, with everything of its own in one folder."""

    def __init__(self, cluster: Cluster, folder: Path, package: Path) -> None:
        program = programs.ensure(("helm",), Reporter())["helm"]
        self._command, self.package = [str(program)], package
        homes = {f"HELM_{name}_HOME": str(folder / name) for name in ("CACHE", "CONFIG", "DATA")}
        self._env = {"KUBECONFIG": str(cluster.kubeconfig), "PATH": "/usr/bin:/bin", "HOME": str(folder), **homes}

    def tried(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._command, *words], env=self._env, capture_output=True, text=True, check=False)

    def __call__(self, *words: str) -> str:
        done = self.tried(*words)
        assert done.returncode == 0, f"helm {' '.join(words)}: {done.stderr}"
        return done.stdout

    def template(self, *words: str) -> list[Resource]:
        """What the chart renders to."""
        text = self("template", "cats-dogs", str(self.package), KUBE_VERSION, *words)
        return [each for each in yaml.safe_load_all(text) if each]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, kubectl_program: str) -> Path:
    """The folder of a release."""
    folder = tmp_path_factory.mktemp("release")
    chart.write(folder, "1.2.3", IMAGES, kubectl_program)
    return folder


@pytest.fixture(scope="module")
def helm(ask: Kubectl, release: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(ask.cluster, tmp_path_factory.mktemp("helm"), release / "cats-dogs")


def by_name(objects: list[Resource]) -> dict[tuple[str, str, str], Resource]:
    found = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): without_keep(each)
        for each in objects
    }
    assert len(found) == len(objects)
    return found


def without_keep(resource: Resource) -> Resource:
    metadata = dict(resource["metadata"])
    notes = {name: value for name, value in metadata.pop("annotations", {}).items() if name not in chart.KEEP}
    return {**resource, "metadata": {**metadata, **({"annotations": notes} if notes else {})}}


def test_the_chart_is_the_kustomize_rendering(helm: Helm, release: Path, kubectl_program: str) -> None:
    kinds = [yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))]
    want = by_name([*kinds, *overlay(kubectl_program, "release")])
    operator = want["Deployment", "mlops-system", "mlops-operator"]["spec"]["template"]["spec"]["containers"][0]
    (registries,) = [entry for entry in operator["env"] if entry["name"] == "ALLOWED_REGISTRIES"]
    registries["value"] = "registry.example/team/"  # the one place where a release knows better than the overlay
    installed = list(yaml.safe_load_all((release / "install.yaml").read_text().replace("${BUCKET}", "photos")))
    assert by_name(installed) == want
    templated = helm.template("--namespace=mlops-system", "--set=bucket=photos")
    want.pop(("Namespace", "", "mlops-system"))  # Helm makes the release's own
    assert by_name(templated) == want
    kept = {each["kind"] for each in templated if chart.KEEP.items() <= each["metadata"].get("annotations", {}).items()}
    assert kept == {"CustomResourceDefinition", "Namespace"}
    assert helm("lint", "--strict", str(helm.package), "--quiet", KUBE_VERSION) == ""


def test_names_of_the_chart_are_nobodys_but_the_values(helm: Helm) -> None:
    objects = helm.template("--namespace=ops", "--set=namespaces={team-a,team-b}", "--set=crds.install=false")
    text = json.dumps([each for each in objects if each["kind"] != "Deployment"])
    assert "mlops-system" not in text
    assert {each["metadata"].get("namespace", "") for each in objects} == {"", "ops", "team-a", "team-b"}
    roles = [each["metadata"]["namespace"] for each in objects if each["kind"] == "RoleBinding"]
    assert roles == ["team-a", "team-b"]
    (operator,) = [each for each in objects if each["kind"] == "Deployment"]
    assert {"name": "NAMESPACES", "value": "team-a,team-b"} in operator["spec"]["template"]["spec"]["containers"][0][
        "env"
    ]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("images.trainer=registry.example/team/trainer:latest", "/images/trainer"),
        ("bucket=gs://photos", "/bucket"),
        ("buckt=photos", "buckt"),
        ("allowedRegistries={registry.example}", "/allowedRegistries/0"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_is_rendered(helm: Helm, value: str, named: str) -> None:
    done = helm.tried("template", "cats-dogs", str(helm.package), KUBE_VERSION, f"--set={value}")
    assert (done.returncode, done.stdout) == (1, "")
    assert named in done.stderr


@pytest.mark.parametrize(
    ("version", "images", "said"),
    [
        ("1.2", IMAGES, "'1.2' is no version: give MAJOR.MINOR.PATCH"),
        (
            "1.2.3",
            {**IMAGES, "server": "registry.example/server:1"},
            "no digest for server: give HOST/PATH/NAME@sha256:HEX",
        ),
    ],
)
def test_what_can_not_be_released(tmp_path: Path, version: str, images: Mapping[str, str], said: str) -> None:
    with pytest.raises(chart.ReleaseError) as refused:
        chart.write(tmp_path, version, images)
    assert str(refused.value) == said
    assert list(tmp_path.iterdir()) == []


def test_the_command_of_a_release_writes_file_chart_and_package(helm: Helm, tmp_path: Path) -> None:
    words = [word for name, image in IMAGES.items() for word in (f"--{name}", image)]
    command = [str(ROOT / "scripts/release"), "1.2.3-rc.1", *words, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {each.name for each in tmp_path.iterdir()} == {"install.yaml", "cats-dogs", "cats-dogs-1.2.3-rc.1.tgz"}
    said = helm("show", "chart", str(tmp_path / "cats-dogs-1.2.3-rc.1.tgz"))
    assert yaml.safe_load(said)["appVersion"] == "1.2.3-rc.1"


@pytest.fixture(scope="module")
def installed(ask: Kubectl, helm: Helm) -> Kubectl:
    """The chart, installed by Helm for team-a: kubectl there. No node: its pods are admitted and wait."""
    settings = ("--namespace=ops", "--create-namespace", "--set=namespaces={team-a},bucket=photos")
    helm("install", "cats-dogs", str(helm.package), *settings)
    ask("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return Kubectl(ask.cluster, "team-a")


def test_the_operators_pod_is_made(installed: Kubectl) -> None:
    ops = Kubectl(installed.cluster, "ops")
    until("the operator's pod", lambda: ops.items("pods", "-l", "app.kubernetes.io/name=mlops-operator"))


def test_a_team_at_work_fits_into_its_namespace(installed: Kubectl) -> None:
    """A training, six servers rolling over, a candidate and its judge pass Pod Security, quota and limits."""
    uid = installed.get("serviceaccount", "trainer")["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "trainer", "uid": uid}
    servers = DeploymentInputs(**{**vars(INPUTS), "namespace": "team-a", "owner": reference, "cpu": "1", "replicas": 7})
    resource = run()
    resource["metadata"] |= {"namespace": "team-a"}
    job = training_job(parse(resource), Key(IMAGES["trainer"], "photos", RAW, VERSION), SETTINGS)
    job["metadata"]["ownerReferences"] = [reference]
    judging = build_judge(judge(namespace="team-a", owner=reference))
    made = [job, judging, build_deployment(servers), build_candidate(servers)]
    installed("apply", "--server-side", "-f", "-", given=listed(made))
    until("all ten pods", lambda: len(installed.items("pods")) == 10)
    used = installed.get("resourcequota", "workloads")["status"]["used"]
    assert used["requests.cpu"] == "9500m"  # 1 of the training, 0.5 of the judge, 8 servers of 1
    assert used["pods"] == "10"
    (trainer,) = installed.items("pods", "-l", "app.kubernetes.io/name=cats-dogs-trainer")
    containers = [*trainer["spec"]["initContainers"], *trainer["spec"]["containers"]]
    assert [each["resources"] for each in containers] == [
        {
            "requests": {"cpu": "1", "memory": "4Gi", "ephemeral-storage": "10Gi"},
            "limits": {"memory": "4Gi", "ephemeral-storage": "10Gi"},
        }
    ] * 5
    installed("delete", "deployments,jobs", "--all")
    until("they are gone", lambda: not installed.items("pods"))


def test_a_gpu_is_refused_in_the_quotas_own_words(installed: Kubectl) -> None:
    pod = yaml.safe_load((ROOT / "tests/integration/gpu_pod.yaml").read_text())
    said = installed.tried("create", "-f", "-", given=pod).stderr
    assert "exceeded quota: workloads, requested: requests.nvidia.com/gpu=1" in said


def test_an_upgrade_of_the_kinds_keeps_resources_and_fills_defaults(
    installed: Kubectl, helm: Helm, tmp_path: Path
) -> None:
    for example in ("01-trainingrun", "02-modelserver"):
        text = (ROOT / f"examples/{example}.yaml").read_text().replace("namespace: cats-dogs", "namespace: team-a")
        installed("create", "-f", "-", given=text)
    names = ("trainingrun", "cats-dogs-demo"), ("modelserver", "cats-dogs-api")
    before = [installed.get(*name) for name in names]
    newer = tmp_path / "cats-dogs"
    shutil.copytree(helm.package, newer)
    kinds = newer / "templates" / "crds.yaml"
    field = {"type": "string", "default": "as-before", "maxLength": 20}
    head, *documents = kinds.read_text().removesuffix("{{- end }}\n").split("---\n")
    changed = [yaml.safe_load(document) for document in documents]
    for kind in changed:
        kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["addedLater"] = (
            field
        )
    kinds.write_text(head + "".join(f"---\n{yaml.safe_dump(kind)}" for kind in changed) + "{{- end }}\n")
    helm("upgrade", "cats-dogs", str(newer), "--namespace=ops", "--reset-then-reuse-values")

    def defaulted() -> bool:
        return all(installed.get(*name)["spec"].get("addedLater") == "as-before" for name in names)

    until("the API server serves the new schema", defaulted)
    for name, was in zip(names, before, strict=True):
        now = installed.get(*name)
        assert now["metadata"]["uid"] == was["metadata"]["uid"]
        assert {**now["spec"], "addedLater": None} == {**was["spec"], "addedLater": None}


def test_removal_keeps_what_people_made_until_they_remove_it(installed: Kubectl, helm: Helm) -> None:
    """docs/uninstall.md, in its order; the upgrade's test left a run and a server."""
    helm("uninstall", "cats-dogs", "--namespace=ops", "--wait", "--timeout=60s")
    assert Kubectl(installed.cluster, "ops").items("deployments") == []
    assert [len(installed.items(kind)) for kind in ("trainingruns", "modelservers")] == [1, 1]
    installed("delete", "modelservers,trainingruns", "--all", "--timeout=20s")  # nobody has to take off a finalizer
    installed("delete", "namespace", "team-a", "--timeout=60s")
    installed("delete", "crd", "trainingruns.mlops.cats-dogs.io", "modelservers.mlops.cats-dogs.io", "--timeout=60s")
