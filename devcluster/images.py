"""The project's images: built by buildah from its Dockerfiles, tagged by what goes into them, pushed to the registry.

An image whose tag is in the registry is neither built nor pushed again, so that its digest stays.
"""

import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from devcluster import base, buildah, paths, programs
from devcluster.errors import DevclusterError
from devcluster.node import REGISTRY_PORT
from devcluster.progress import Reporter, Step

REGISTRY = f"localhost:{REGISTRY_PORT}"
MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class Image:
    """One image: its Dockerfile, and what it is made from, relative to `context`."""

    dockerfile: str
    inputs: tuple[str, ...]
    program: str = ""  # a program of the cluster that is the whole image


IMAGES = {
    "object-store": Image("devcluster/object-store.Dockerfile", (), program="fake-gcs-server"),
    "operator": Image(
        "Dockerfile.operator",
        (
            "requirements/operator.lock",
            "operator",
            "workloads/catsdogs/__init__.py",
            "workloads/catsdogs/key.py",
        ),
    ),
    "mlflow": Image("deploy/mlflow/Dockerfile", ("requirements/mlflow.lock", "deploy/mlflow")),
    "server": Image(
        "workloads/Dockerfile.server",
        (
            "requirements/torch.lock",
            "requirements/server.lock",
            *(f"workloads/catsdogs/{part}" for part in ("__init__.py", "key.py", "images.py", "model.py", "server")),
        ),
    ),
    "trainer": Image(
        "workloads/Dockerfile.trainer",
        (
            "requirements/torch.lock",
            "requirements/trainer.lock",
            "workloads/catsdogs",
            "dvc.yaml",
            "params.yaml",
        ),
    ),
}


def build(names: Iterable[str], report: Reporter) -> dict[str, str]:
    """Build what is not in the registry yet; returns each image's reference by digest.

    Raises `DevclusterError` naming the image and the step of its Dockerfile that failed.
    """
    references = {}
    for name in names:
        tag = f"{REGISTRY}/cats-dogs/{name}:{content_hash(name)}"
        digest = published(tag)
        if digest is None:
            with report.step(f"Image {name}") as step:
                _build(name, tag, report, step)
                digest = _push(tag, step)
                step.done(digest[:19])
        references[name] = f"{REGISTRY}/cats-dogs/{name}@{digest}"
    return references


def load(image: str) -> str:
    """Push an image of buildah's store to the cluster's registry; returns its reference by digest."""
    target = image if image.startswith(REGISTRY) else f"{REGISTRY}/{image.removeprefix('localhost/')}"
    if ":" not in target.rsplit("/", 1)[-1]:
        target += ":latest"
    digest = _push(target, None, image)
    return f"{target.rsplit(':', 1)[0]}@{digest}"


def content_hash(name: str, checkout: Path = paths.CHECKOUT) -> str:
    """16 hex digits over everything that goes into an image: its Dockerfile, its inputs, its base."""
    image = IMAGES[name]
    parts = [base.VERSION if not image.program else programs.PROGRAMS[image.program].version]
    for entry in (image.dockerfile, *image.inputs):
        for file in _files(checkout / entry):
            content = sha256(file.read_bytes()).hexdigest()
            parts.append(f"{file.relative_to(checkout)} {content}")
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    found = sorted(file for file in place.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    if not found:
        raise DevclusterError(f"{place} is not there: the image can't be built from this checkout")
    return found


def published(tag: str) -> str | None:
    """The digest of a tag in the cluster's registry, or None when it holds no such tag."""
    registry, _, rest = tag.partition("/")
    repository, _, version = rest.rpartition(":")
    request = urllib.request.Request(
        f"http://{registry}/v2/{repository}/manifests/{version}",
        method="HEAD",
        headers={"Accept": MANIFEST_TYPES},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise DevclusterError(f"the image registry answers {error.code} for {tag}") from None
    except OSError as error:
        raise DevclusterError(
            f"the image registry at {registry} does not answer ({error}): start the cluster"
        ) from None


def _build(name: str, tag: str, report: Reporter, step: Step) -> None:
    image, context, arguments = IMAGES[name], paths.CHECKOUT, []
    if image.program:
        context = programs.ensure([image.program], report)[image.program].parent
    else:
        arguments = [f"--build-arg=BASE={base.ensure(report)}"]
    command = buildah.build(*arguments, f"--file={paths.CHECKOUT / image.dockerfile}", f"--tag={tag}", str(context))
    lines: list[str] = []
    with subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=buildah.environment()
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if found := re.match(r"(?:\[[\d/]+\] )?STEP (\d+)/(\d+): (.*)", line):
                step.update((int(found[1]) - 1) / int(found[2]), found[3][:60])
    if process.returncode:
        log = paths.cache() / "logs" / f"image-{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("\n".join(lines) + "\n")
        failed = next((line for line in reversed(lines) if "STEP" in line), "")
        raise DevclusterError(f"image {name}: {failed} failed: {lines[-1][-200:] if lines else ''} (all of it: {log})")


def _push(tag: str, step: Step | None, image: str | None = None) -> str:
    if step:
        step.update(None, "loading into the cluster's registry")
    digest = paths.cache() / "tmp" / f"digest-{os.getpid()}"
    # Compressing gigabytes costs minutes and saves nothing on one machine.
    command = buildah.command(
        "push",
        "--disable-compression",
        "--tls-verify=false",
        f"--digestfile={digest}",
        image or tag,
        f"docker://{tag}",
    )
    done = subprocess.run(command, text=True, capture_output=True, check=False, env=buildah.environment())
    if done.returncode:
        raise DevclusterError(f"{tag} can't be pushed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return digest.read_text().strip()
