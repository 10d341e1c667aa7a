"""The project's images: built from its Dockerfiles, tagged by what goes into them, pushed to the cluster's registry.

An image whose tag is in the registry is neither built nor pushed again, so that its digest stays.
"""

import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from devcluster import base, commands, docker, paths, programs
from devcluster.errors import DevclusterError
from devcluster.progress import Reporter, Step

MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"


class Engine(Protocol):
    """What builds images: the module `buildah` or `docker`. `STEP` finds number, count and what in its output."""

    STEP: re.Pattern[str]

    def build(self, *arguments: str) -> list[str]:
        """The command of a build."""

    def environment(self) -> dict[str, str]:
        """What a build needs beside this process's environment."""

    def push(self, tag: str, image: str) -> str:
        """Push `image` as `tag`; returns its digest."""


@dataclass(frozen=True)
class Target:
    """Where images go, e.g. localhost:5000/cats-dogs, as builder and nodes both call it; and what builds them."""

    registry: str
    engine: Engine


@dataclass(frozen=True)
class Image:
    """One image: its Dockerfile, what it is made from, and the folder that the build sees, relative to the checkout."""

    dockerfile: str
    inputs: tuple[str, ...]
    program: str = ""  # a program of the cluster that is the whole image
    context: str = "."


IMAGES = {
    "object-store": Image("devcluster/object-store.Dockerfile", (), program="fake-gcs-server"),
    "prometheus": Image("devcluster/prometheus.Dockerfile", (), program="prometheus"),
    "operator": Image(
        "Dockerfile.operator",
        (
            "requirements/operator.lock",
            "operator",
            "workloads/catsdogs/__init__.py",
            "workloads/catsdogs/key.py",
        ),
    ),
    "mlflow": Image("deploy/mlflow/Dockerfile", ("requirements/mlflow.lock",)),
    "server": Image(
        "workloads/Dockerfile.server",
        (
            "requirements/torch.lock",
            "requirements/server.lock",
            *(
                f"workloads/catsdogs/{part}"
                for part in ("__init__.py", "errors.py", "key.py", "images.py", "model.py", "server", "gate")
            ),
            *(
                f"workloads/catsdogs/pipeline/{part}.py"
                for part in ("__init__", "bucket", "duplicates", "metrics", "photos")
            ),
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


# docker builds in a container what buildah takes from the cache of programs: such a machine may have no Go.
IN_DOCKER = {
    name: Image(
        f"devcluster/{name}.docker.Dockerfile", (f"devcluster/modules/{name}",), context=f"devcluster/modules/{name}"
    )
    for name in ("object-store", "prometheus")
}


def build(names: Iterable[str], report: Reporter, target: Target) -> dict[str, str]:
    """Build what is not in the registry yet; returns each image's reference by digest.

    Raises `DevclusterError` naming the image and the step of its Dockerfile that failed.
    """
    references = {}
    for name in names:
        tag = f"{target.registry}/{name}:{content_hash(name, target.engine)}"
        digest = published(tag)
        if digest is None:
            with report.step(f"Image {name}") as step:
                _build(name, tag, target.engine, report, step)
                step.update(None, "pushing it to the cluster's registry")
                digest = target.engine.push(tag, tag)
                step.done(digest[:19])
        references[name] = f"{target.registry}/{name}@{digest}"
    return references


def load(image: str, target: Target) -> str:
    """Push an image of the builder's own store to the cluster's registry; returns its reference by digest."""
    name = image.rsplit("/", 1)[-1]
    repository, _, version = name.partition(":")
    digest = target.engine.push(f"{target.registry}/{repository}:{version or 'latest'}", image)
    return f"{target.registry}/{repository}@{digest}"


def described(name: str, engine: Engine) -> Image:
    """The image as this engine builds it."""
    return IN_DOCKER.get(name, IMAGES[name]) if engine is docker else IMAGES[name]


def content_hash(name: str, engine: Engine, checkout: Path = paths.CHECKOUT) -> str:
    """16 hex digits over everything that goes into an image: its Dockerfile, its inputs, its base."""
    image = described(name, engine)
    # docker takes the base that the Dockerfile itself names.
    beneath = "docker" if engine is docker else base.VERSION
    parts = [programs.PROGRAMS[image.program].version if image.program else beneath]
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
    """The digest of a tag in a registry, or None when it holds no such tag.

    A registry that wants a login tells nobody: then it is None too, and the builder, which has the login, pushes.
    """
    registry, _, rest = tag.partition("/")
    repository, _, version = rest.rpartition(":")
    local = registry.startswith("localhost:")
    request = urllib.request.Request(
        f"{'http' if local else 'https'}://{registry}/v2/{repository}/manifests/{version}",
        method="HEAD",
        headers={"Accept": MANIFEST_TYPES},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError as error:
        if error.code == 404 or not local:
            return None
        raise DevclusterError(f"the image registry answers {error.code} for {tag}") from None
    except OSError as error:
        hint = "start the cluster" if local else "is REGISTRY right?"
        raise DevclusterError(f"the image registry at {registry} does not answer ({error}): {hint}") from None


def _build(name: str, tag: str, engine: Engine, report: Reporter, step: Step) -> None:
    image = described(name, engine)
    context, arguments = paths.CHECKOUT / image.context, []
    if image.program:
        context = programs.ensure([image.program], report)[image.program].parent
    elif engine is not docker:
        arguments = [f"--build-arg=BASE={base.ensure(report)}"]

    def tell(line: str) -> None:
        if found := engine.STEP.match(line):
            step.update((int(found["number"]) - 1) / int(found["count"]), found["what"][:60])

    file = f"--file={paths.CHECKOUT / image.dockerfile}"
    command = engine.build(*arguments, file, f"--tag={tag}", str(context))
    code, lines = commands.follow(command, tell, engine.environment())
    if code:
        raise DevclusterError(f"image {name}: {_failure(engine, lines)} (all of it: {_log(name, lines)})")


def _failure(engine: Engine, lines: list[str]) -> str:
    """Which step of the Dockerfile failed, and the builder's own word on it."""
    steps = [found["what"] for line in lines if (found := engine.STEP.match(line))] or ["its build"]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no message"]
    return f"{steps[-1]} failed: {errors[-1][-200:]}"


def _log(name: str, lines: list[str]) -> Path:
    return paths.write(paths.cache() / "logs" / f"image-{name}.log", "\n".join(lines) + "\n")
