"""Makes install.yaml and the Helm chart of a release from crds/ and the kustomize rendering of deploy/release.

It must not describe an object itself: a chart's template is a rendered object with values in a few places of it.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from devcluster import programs
from devcluster.errors import DevclusterError
from devcluster.progress import Reporter

ROOT = Path(__file__).resolve().parents[1]
SYSTEM, WORKLOADS = "mlops-system", "cats-dogs"
IMAGES = ("operator", "trainer", "server")
DIGEST = re.compile(r"^[a-z0-9][a-z0-9.:/_-]*/[a-z0-9._-]+@sha256:[0-9a-f]{64}$")
VERSION = re.compile(r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$")
KEEP = {"helm.sh/resource-policy": "keep"}
"""On kinds and workload namespaces: `helm uninstall` would else delete every run and server with them."""

# In the chart each workload namespace is one turn of a loop over this variable.
NAMESPACE = "{{ $namespace | quote }}"
RELEASE = "{{ $.Release.Namespace | quote }}"
SETTINGS = {
    "NAMESPACES": '{{ join "," $.Values.namespaces | quote }}',
    "TRAINER_IMAGE": "{{ $.Values.images.trainer | quote }}",
    "SERVER_IMAGE": "{{ $.Values.images.server | quote }}",
    "ALLOWED_REGISTRIES": '{{ join "," $.Values.allowedRegistries | quote }}',
    "BUCKET": "{{ $.Values.bucket | quote }}",
    "MLFLOW_TRACKING_URI": "{{ $.Values.mlflow.trackingUri | quote }}",
    "MLFLOW_PUBLIC_URL": "{{ $.Values.mlflow.publicUrl | quote }}",
    "API_KEYS_SECRET": "{{ $.Values.apiKeysSecret | quote }}",
    "POD_ENV": "{{ $.Values.podEnv | toJson | quote }}",
}
"""What stands in the chart in place of each environment variable of the operator; another one is refused."""

Resource = dict[str, Any]


class ReleaseError(ValueError):
    """What can't be released, and why, in one line."""


def rendered(images: Mapping[str, str], bucket: str = "${BUCKET}", kubectl: str = "kubectl") -> list[Resource]:
    """All objects of a release: kinds first, then deploy/release with `images` by digest and their registries allowed.

    Raises ReleaseError for an image that is missing or not named by digest.
    """
    if wrong := [name for name in IMAGES if not DIGEST.match(images.get(name, ""))]:
        raise ReleaseError(f"no digest for {', '.join(wrong)}: give HOST/PATH/NAME@sha256:HEX")
    command = [kubectl, "kustomize", str(ROOT / "deploy" / "release")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"kubectl kustomize deploy/release failed: {done.stderr.strip()}")
    text = done.stdout.replace("${REGION}-docker.pkg.dev/${PROJECT}/cats-dogs/", ",".join(registries(images)))
    for name in IMAGES:
        text = text.replace(f"${{{name.upper()}_IMAGE}}", images[name])
    kinds = [yaml.safe_load(file.read_text()) for file in sorted((ROOT / "crds").glob("*.yaml"))]
    objects: list[Resource] = [*kinds, *yaml.safe_load_all(text.replace("${BUCKET}", bucket))]
    return sorted(objects, key=lambda each: ("CustomResourceDefinition", "Namespace", each["kind"]).index(each["kind"]))


def registries(images: Mapping[str, str]) -> list[str]:
    """Where these images lie, each ending in a slash: what the operator lets a run name."""
    return sorted({images[name].rpartition("/")[0] + "/" for name in IMAGES})


def install_yaml(objects: list[Resource], version: str) -> str:
    """One file for kubectl."""
    head = f"# cats-dogs {version}: kinds, operator, namespace {WORKLOADS}. How to apply it: docs/install.md.\n"
    return head + yaml.safe_dump_all(objects, sort_keys=False, width=120)


def chart(objects: list[Resource], images: Mapping[str, str], version: str) -> dict[str, str]:
    """The files of the chart, by path."""
    kinds = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
    looped = [each for each in objects if _of_workloads(each)]
    # Helm makes the release's namespace itself; a chart that holds it can't be installed in it.
    system = {"kind": "Namespace", "metadata": SYSTEM}
    rest = [each for each in objects if each not in kinds and each not in looped and _name(each) != system]
    loop = "{{- range $namespace := .Values.namespaces }}\n"
    quota = next(each for each in looped if each["kind"] == "ResourceQuota")["spec"]["hard"]
    return {
        "Chart.yaml": _chart_yaml(version),
        "values.yaml": _values(images, quota),
        "values.schema.json": json.dumps(SCHEMA, indent=2) + "\n",
        "templates/crds.yaml": "{{- if .Values.crds.install }}\n" + _templates(map(_kept, kinds)) + "{{- end }}\n",
        "templates/operator.yaml": _templates(rest),
        "templates/workloads.yaml": loop + _templates(map(_kept_namespace, looped)) + "{{- end }}\n",
        "templates/NOTES.txt": NOTES,
    }


def _name(resource: Resource) -> dict[str, str]:
    return {"kind": resource["kind"], "metadata": resource["metadata"]["name"]}


def _of_workloads(resource: Resource) -> bool:
    metadata = resource["metadata"]
    return metadata.get("namespace") == WORKLOADS or _name(resource) == {"kind": "Namespace", "metadata": WORKLOADS}


def _kept(resource: Resource) -> Resource:
    metadata = resource["metadata"]
    return {**resource, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **KEEP}}}


def _kept_namespace(resource: Resource) -> Resource:
    return _kept(resource) if resource["kind"] == "Namespace" else resource


def _templates(resources: Any) -> str:
    text = "".join("---\n" + yaml.safe_dump(_template(each), sort_keys=False, width=120) for each in resources)
    # YAML needs no quotes around what Helm quotes itself.
    return re.sub(r"'(\{\{ [^']*? \}\})'", r"\1", text)


def _template(resource: Resource) -> Resource:
    if "{{" in json.dumps(resource):
        raise ReleaseError(f"{_name(resource)} holds {{{{, which Helm would read as its own")
    found: Resource = _walk(resource, _namespaced)
    if resource["kind"] == "Namespace":
        found["metadata"]["name"] = NAMESPACE
    if resource["kind"] == "ResourceQuota":
        found["spec"]["hard"] = "{{ $.Values.quota | toJson }}"
    if resource["kind"] == "Deployment":
        (container,) = found["spec"]["template"]["spec"]["containers"]
        container["image"] = "{{ $.Values.images.operator | quote }}"
        container["env"] = [_setting(entry) for entry in container["env"]]
    return found


def _walk(value: Any, change: Callable[[str, Any], Any]) -> Any:
    """`value` with `change(key, entry)` in place of each dictionary's entries, at any depth."""
    if isinstance(value, dict):
        return {key: _walk(change(key, entry), change) for key, entry in value.items()}
    return [_walk(entry, change) for entry in value] if isinstance(value, list) else value


def _namespaced(key: str, entry: Any) -> Any:
    if key in ("namespace", "kubernetes.io/metadata.name"):
        return {SYSTEM: RELEASE, WORKLOADS: NAMESPACE}.get(entry, entry)
    return entry


def _setting(entry: Mapping[str, str]) -> dict[str, str]:
    if entry["name"] == "HOME":
        return dict(entry)
    if entry["name"] not in SETTINGS:
        raise ReleaseError(
            f"deploy/release gives the operator {entry['name']}, for which scripts/chart.py has no value"
        )
    return {"name": entry["name"], "value": SETTINGS[entry["name"]]}


def _chart_yaml(version: str) -> str:
    about = {
        "apiVersion": "v2",
        "name": "cats-dogs",
        "description": "A Kubernetes operator that trains an image classifier and serves it",
        "type": "application",
        "version": version,
        "appVersion": version,
        "kubeVersion": ">=1.33.0-0",
    }
    return yaml.safe_dump(about, sort_keys=False)


def _values(images: Mapping[str, str], quota: Mapping[str, Any]) -> str:
    parts: list[tuple[str, Resource]] = [
        ("Made by scripts/release from deploy/release; docs/install.md says more.", {}),
        ("By digest; other than these, a run may name images of these registries.", {"images": dict(images)}),
        ("", {"allowedRegistries": registries(images)}),
        ("Where photographs and models are, without gs://. Empty: each TrainingRun names its own.", {"bucket": ""}),
        ("Workload namespaces: each is made, with rights, quota and network policies.", {"namespaces": [WORKLOADS]}),
        ("What the pods of each of them may ask for together.", {"quota": dict(quota)}),
        ("MLflow as pods and as browsers reach it. Empty: none.", {"mlflow": {"trackingUri": "", "publicUrl": ""}}),
        ("A Secret in the workload namespaces with the keys that clients need. Empty: everybody may ask.",
         {"apiKeysSecret": ""}),
        ("Environment variables for every pod that the operator makes.", {"podEnv": {}}),
        ("The kinds, upgraded with the release and kept when it is uninstalled. false: apply crds/ yourself.",
         {"crds": {"install": True}}),
    ]  # fmt: skip
    return "".join((f"# {said}\n" if said else "") + (yaml.safe_dump(part) if part else "") for said, part in parts)


def _object(**properties: Any) -> Resource:
    return {"type": "object", "additionalProperties": False, "properties": properties}


STRING: Resource = {"type": "string"}
IMAGE: Resource = {"type": "string", "pattern": DIGEST.pattern}
NAMES: Resource = {
    "type": "array",
    "items": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"},
    "minItems": 1,
}
SCHEMA: Resource = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    **_object(
        images=_object(**dict.fromkeys(IMAGES, IMAGE)),
        allowedRegistries={"type": "array", "items": {"type": "string", "pattern": "/$"}},
        bucket={"type": "string", "pattern": "^([a-z0-9][a-z0-9._-]{1,61}[a-z0-9])?$"},
        namespaces=NAMES,
        quota={"type": "object", "additionalProperties": {"type": ["string", "integer"]}},
        mlflow=_object(trackingUri=STRING, publicUrl=STRING),
        apiKeysSecret=STRING,
        podEnv={"type": "object", "additionalProperties": STRING},
        crds=_object(install={"type": "boolean"}),
        **{"global": {"type": "object"}},
    ),
}
"""A wrong or misspelt value ends `helm install` with the value's name."""

NOTES = """The operator serves {{ join ", " .Values.namespaces }}. When it runs:
  kubectl rollout status -n {{ .Release.Namespace }} deploy/mlops-operator
  kubectl apply -f examples/01-trainingrun.yaml
"""


def write(folder: Path, version: str, images: Mapping[str, str], kubectl: str = "kubectl") -> list[Path]:
    """install.yaml and the chart's folder; returns what was written. Raises ReleaseError before anything is."""
    if not VERSION.match(version):
        raise ReleaseError(f"{version!r} is no version: give MAJOR.MINOR.PATCH")
    objects = rendered(images, kubectl=kubectl)
    files = {f"cats-dogs/{name}": text for name, text in chart(objects, images, version).items()}
    for name, text in {"install.yaml": install_yaml(objects, version), **files}.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return [folder / "install.yaml", folder / "cats-dogs"]


def program(name: str) -> str:
    """The path of a program: this machine's own, else the one that devcluster has or builds."""
    return shutil.which(name) or str(programs.ensure([name], Reporter())[name])


def main() -> int:
    """Write the release of a version, and its chart as a package; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/release", description="install.yaml and the Helm chart of a release."
    )
    parser.add_argument("version", help="MAJOR.MINOR.PATCH")
    for name in IMAGES:
        parser.add_argument(f"--{name}", required=True, metavar="HOST/PATH@sha256:HEX", help=f"the {name}'s image")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder to write to (dist)")
    given = parser.parse_args()
    images = {name: getattr(given, name) for name in IMAGES}
    try:
        file, folder = write(given.out, given.version, images, program("kubectl"))
        print(file)
        subprocess.run([program("helm"), "package", folder, "--destination", given.out], check=True)
    except (ReleaseError, DevclusterError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
